//! HTTP on the port of calls: what a person or a monitor looks at, and JSON-RPC by `POST`.

use std::io;
use std::sync::Arc;

use locum_wire::http1::{self, Framing, Head, Name, encode};
use locum_wire::rpc::Refusal;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::bearer;
use super::core::{Core, Phase, drains};
use super::entry::read_more;
use crate::cx::Peer;
use crate::transport::Io;

mod body;
mod page;
mod post;

pub(super) use page::metrics;

/// A connection that speaks HTTP/1.
pub(super) struct Connection {
    core: Arc<Core>,
    io: Io,
    peer: Peer,
    /// Who the connection has proved to be, before any token.
    proved: bool,
    /// What came and was not taken.
    input: Vec<u8>,
}

/// What a request asks for.
struct Asked {
    what: What,
    is_head: bool,
    framing: Framing,
    keep_alive: bool,
    expects_continue: bool,
    /// Whoever has this.
    token: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Services {
        json: bool,
    },
    Metrics,
    Calls,
    /// Of where gob begins after a CONNECT: as Go says it (`src/net/rpc/server.go`).
    NoConnect,
    Refused(u16),
}

/// What is answered.
struct Answer {
    status: u16,
    content_type: &'static str,
    content: Vec<u8>,
}

impl Connection {
    /// One whose first bytes were read already.
    pub(super) fn new(core: &Arc<Core>, io: Io, peer: Peer, input: Vec<u8>) -> Self {
        let proved = peer.identity.is_some();
        Self { core: Arc::clone(core), io, peer, proved, input }
    }

    /// Serves it to its end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection and gives its calls up.
    pub(super) async fn serve(mut self) {
        let mut phases = self.core.phases();
        let over = async {
            // The core, which sends, is here.
            let _ = phases.wait_for(|phase| *phase == Phase::Over).await;
        };
        tokio::select! {
            served = self.answer_all() => if let Err(error) = served {
                tracing::debug!(%error, "an HTTP connection broke");
            },
            () = over => {}
        }
    }

    async fn answer_all(&mut self) -> io::Result<()> {
        loop {
            let head = timeout(self.core.limits.header_timeout, self.read_head()).await;
            let asked = match head {
                Ok(asked) => asked?,
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            };
            let Some(asked) = asked else { return Ok(()) };
            let answer = self.answer(&asked).await?;
            let is_last = *self.core.phases().borrow() != Phase::Serving;
            // What a refused request has in its body was not read.
            let refused = answer.status >= 400;
            let keep_alive = asked.keep_alive && !is_last && !refused;
            self.send(&answer.encode(asked.is_head, keep_alive)).await?;
            if !keep_alive {
                return super::connection::linger(&mut self.io).await;
            }
        }
    }

    /// The next request, or the end. A drain does not wait for a request of which nothing has come.
    async fn read_head(&mut self) -> io::Result<Option<Asked>> {
        let mut head = Head::new();
        let mut phases = self.core.phases();
        loop {
            match head.parse_request(&self.input, &http1::Limits::default()) {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => return Ok(Some(Asked::malformed(error.status()))),
            }
            let began = !self.input.is_empty();
            tokio::select! {
                read = read_more(&mut self.io, &mut self.input) => match read {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                    read => read?,
                },
                () = drains(&mut phases), if !began => return Ok(None),
            }
        }
        let asked = Asked::read(&head.request(&self.input));
        self.input.drain(..head.len());
        Ok(Some(asked))
    }

    async fn answer(&mut self, asked: &Asked) -> io::Result<Answer> {
        if let What::Refused(status) = asked.what {
            return Ok(Answer::refused(status));
        }
        let peer = match self.identify(asked.token.as_deref()) {
            Ok(peer) => peer,
            Err(refusal) => return Ok(Answer::text(401, &format!("{refusal}\n"))),
        };
        if asked.expects_continue {
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let limits = &self.core.limits;
        let read = body::read(&mut self.io, &mut self.input, asked.framing, limits).await;
        let content = match read? {
            Ok(content) => content,
            Err(status) => return Ok(Answer::refused(status)),
        };
        Ok(match asked.what {
            What::Services { json: false } => {
                Answer::ok("text/html; charset=utf-8", page::html(&self.core))
            }
            What::Services { json: true } => Answer::ok("application/json", page::json(&self.core)),
            What::Metrics => Answer::ok(page::METRICS_TYPE, metrics(&self.core)),
            What::Calls => post::answer(&self.core, peer, &content).await,
            What::NoConnect => Answer::text(405, "405 must CONNECT\n"),
            What::Refused(status) => Answer::refused(status),
        })
    }

    /// Writes `bytes` to a client that goes on taking some.
    async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let stall = self.core.limits.write_stall;
        while !bytes.is_empty() {
            let written = timeout(stall, self.io.write(bytes)).await??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = bytes.get(written..).unwrap_or_default();
        }
        timeout(stall, self.io.flush()).await?
    }

    /// Who asks, if the server wants to know.
    fn identify(&self, token: Option<&str>) -> Result<Peer, Refusal> {
        let Some(bearer) = self.core.bearer.as_ref().filter(|_| !self.proved) else {
            return Ok(self.peer.clone());
        };
        let identity = bearer.identify(token)?;
        Ok(Peer { identity: Some(identity), ..self.peer.clone() })
    }
}

impl Asked {
    fn read(request: &http1::Request<'_>) -> Self {
        let credentials = request.get(Name::Authorization).and_then(|it| str::from_utf8(it).ok());
        Self {
            what: What::read(request),
            is_head: request.is_head(),
            framing: request.framing(),
            keep_alive: request.keep_alive(),
            expects_continue: request.expects_continue(),
            token: credentials.and_then(bearer::token).map(str::to_owned),
        }
    }

    fn malformed(status: u16) -> Self {
        Self {
            what: What::Refused(status),
            is_head: false,
            framing: Framing::None,
            keep_alive: false,
            expects_continue: false,
            token: None,
        }
    }
}

impl What {
    fn read(request: &http1::Request<'_>) -> Self {
        match (request.method(), request.path()) {
            // A CONNECT was told apart before.
            (_, b"/_goRPC_") => Self::NoConnect,
            (b"GET" | b"HEAD", b"/debug/rpc") => {
                let query = request.query().unwrap_or_default();
                Self::Services {
                    json: query.split(|it| *it == b'&').any(|it| it == b"format=json"),
                }
            }
            (b"GET" | b"HEAD", b"/metrics") => Self::Metrics,
            // A page of another site may have a browser post anything but JSON without being asked.
            (b"POST", _) if is_json(request.get(Name::ContentType)) => Self::Calls,
            (b"POST", _) => Self::Refused(415),
            (b"GET" | b"HEAD", _) => Self::Refused(404),
            _ => Self::Refused(405),
        }
    }
}

fn is_json(content_type: Option<&[u8]>) -> bool {
    let mut parts = content_type.unwrap_or_default().split(|byte| *byte == b';');
    let media_type = parts.next().unwrap_or_default().trim_ascii();
    [&b"application/json"[..], b"application/json-rpc", b"application/jsonrequest"]
        .iter()
        .any(|json| media_type.eq_ignore_ascii_case(json))
}

impl Answer {
    fn ok(content_type: &'static str, content: String) -> Self {
        Self { status: 200, content_type, content: content.into_bytes() }
    }

    fn text(status: u16, text: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", content: text.into() }
    }

    fn refused(status: u16) -> Self {
        Self::text(status, &format!("{status} {}\n", encode::reason(status)))
    }

    fn encode(&self, is_head: bool, keep_alive: bool) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.content.len());
        encode::status_line(&mut out, self.status);
        if self.status != 204 {
            encode::field(&mut out, b"Content-Type", self.content_type.as_bytes());
            encode::content_length(&mut out, self.content.len() as u64);
        }
        match self.status {
            401 => encode::field(&mut out, b"WWW-Authenticate", b"Bearer"),
            405 => encode::field(&mut out, b"Allow", b"GET, HEAD, POST, CONNECT"),
            _ => {}
        }
        encode::field(&mut out, b"X-Content-Type-Options", b"nosniff");
        if !keep_alive {
            encode::field(&mut out, b"Connection", b"close");
        }
        out.extend_from_slice(encode::CRLF);
        if !is_head {
            out.extend_from_slice(&self.content);
        }
        out
    }
}
