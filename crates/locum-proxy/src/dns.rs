//! Asks name servers, as a stub resolver does (RFC 1035, RFC 1123 §6.1.3.2, RFC 2782).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

pub(crate) use message::{Answer, Data, Kind};
use message::{Bad, Question};

mod message;

/// Whom to ask, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// Name servers, in the order in which they are asked.
    pub servers: Vec<SocketAddr>,
    /// Domains in which names are looked for that have few dots.
    pub search: Vec<String>,
    /// So many dots are enough for a name to be looked up as it is first.
    pub ndots: usize,
}

/// How often each server is asked, and how long it has to answer.
const ROUNDS: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(2);
/// As large as a datagram may be that is not split on its way (DNS flag day 2020).
const DATAGRAM: usize = 1232;

impl Resolver {
    /// What there is of `kind` under `name`, or under the first of its names in the search domains that has
    /// any.
    ///
    /// # Errors
    ///
    /// There is none, or no server says; in words.
    pub(crate) async fn look_up(&self, name: &str, kind: Kind) -> Result<Answer, String> {
        let mut last = format!("`{name}` has no {} record", kind.name());
        for name in self.candidates(name) {
            let answer = self.ask(&name, kind).await?;
            if !answer.data.is_empty() {
                return Ok(answer);
            }
            last = format!("`{name}` has no {} record", kind.name());
        }
        Err(last)
    }

    /// The addresses of `host`; those of IPv6 only if it has none of IPv4. An address is its own.
    ///
    /// # Errors
    ///
    /// As of [`look_up`](Self::look_up).
    pub(crate) async fn addresses(&self, host: &str) -> Result<(Vec<IpAddr>, Duration), String> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse() {
            return Ok((vec![address], Duration::MAX));
        }
        let answer = match self.look_up(host, Kind::A).await {
            Ok(answer) => answer,
            Err(of_v4) => self.look_up(host, Kind::Aaaa).await.map_err(|_| of_v4)?,
        };
        let address = |data: &Data| match data {
            Data::A(bits) => Some(Ipv4Addr::from_bits(*bits).into()),
            Data::Aaaa(bits) => Some(Ipv6Addr::from_bits(*bits).into()),
            Data::Srv { .. } => None,
        };
        Ok((answer.data.iter().filter_map(address).collect(), answer.ttl))
    }

    /// The full names that `name` may stand for, in the order in which they are tried (resolv.conf(5)).
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(whole) = name.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let within = |domain: &String| format!("{name}.{}", domain.trim_end_matches('.'));
        let mut candidates: Vec<_> = self.search.iter().map(within).collect();
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        let at = if dots >= self.ndots { 0 } else { candidates.len() };
        candidates.insert(at, name.to_owned());
        candidates
    }

    /// Asks one server after the other, until one answers.
    async fn ask(&self, name: &str, kind: Kind) -> Result<Answer, String> {
        let mut last = "there is no name server".to_owned();
        for _ in 0..ROUNDS {
            for server in &self.servers {
                match timeout(PATIENCE, ask_one(*server, name, kind)).await {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(why)) => last = format!("name server {server}: {why}"),
                    Err(_) => last = format!("name server {server} does not answer"),
                }
            }
        }
        Err(last)
    }
}

async fn ask_one(server: SocketAddr, name: &str, kind: Kind) -> Result<Answer, String> {
    // Whoever would answer in the server's name has to guess this and our port.
    let id = crate::random::seed() as u16;
    let question = Question::new(id, name, kind)?;
    match over_udp(server, &question).await {
        Err(Refused::Truncated) => over_tcp(server, &question).await,
        answered => answered,
    }
    .map_err(|refused| refused.to_string())
}

enum Refused {
    /// The answer did not fit into a datagram.
    Truncated,
    Io(io::Error),
    /// What the server says, in words.
    Said(String),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Truncated => f.write_str("even over TCP its answer is cut off"),
            Self::Io(error) => error.fmt(f),
            Self::Said(text) => f.write_str(text),
        }
    }
}

async fn over_udp(server: SocketAddr, question: &Question<'_>) -> Result<Answer, Refused> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.map_err(Refused::Io)?;
    socket.connect(server).await.map_err(Refused::Io)?;
    socket.send(question.bytes()).await.map_err(Refused::Io)?;
    let mut datagram = [0; DATAGRAM];
    loop {
        let length = socket.recv(&mut datagram).await.map_err(Refused::Io)?;
        match question.read(&datagram[..length]) {
            Ok(answer) => return Ok(answer),
            // Not the answer to this question: that may still come.
            Err(Bad::Foreign) => {}
            Err(Bad::Truncated) => return Err(Refused::Truncated),
            Err(Bad::Said(text)) => return Err(Refused::Said(text)),
        }
    }
}

/// RFC 7766: two bytes of length before each message.
async fn over_tcp(server: SocketAddr, question: &Question<'_>) -> Result<Answer, Refused> {
    let mut stream = TcpStream::connect(server).await.map_err(Refused::Io)?;
    let length = u16::try_from(question.bytes().len()).unwrap_or(u16::MAX);
    let message = [&length.to_be_bytes()[..], question.bytes()].concat();
    stream.write_all(&message).await.map_err(Refused::Io)?;
    let length = stream.read_u16().await.map_err(Refused::Io)?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await.map_err(Refused::Io)?;
    match question.read(&message) {
        Ok(answer) => Ok(answer),
        Err(Bad::Truncated) => Err(Refused::Truncated),
        Err(Bad::Foreign) => Err(Refused::Said("it answers another question".to_owned())),
        Err(Bad::Said(text)) => Err(Refused::Said(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_for_where_resolv_conf_says() {
        let search = vec!["ns.svc.".to_owned(), "svc".to_owned()];
        let resolver = Resolver { servers: Vec::new(), search, ndots: 2 };
        assert_eq!(resolver.candidates("users"), ["users.ns.svc", "users.svc", "users"]);
        assert_eq!(resolver.candidates("a.b.c"), ["a.b.c", "a.b.c.ns.svc", "a.b.c.svc"]);
        assert_eq!(resolver.candidates("users."), ["users"]);
    }
}
