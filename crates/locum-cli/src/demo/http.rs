//! The demo backends of HTTP.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Interval, interval, sleep};

use super::Names;

/// One of the services.
struct Backend {
    number: usize,
    /// What the welcome page names.
    names: Arc<Names>,
    /// Requests of `/flaky` so far.
    asked: AtomicU64,
}

/// Serves as the backend of that number, until the future is dropped.
pub(super) async fn serve(listener: TcpListener, number: usize, names: Arc<Names>) {
    let backend = Arc::new(Backend { number, names, asked: AtomicU64::new(0) });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(answer(stream, Arc::clone(&backend)));
                }
                // No file descriptor is free; some will be.
                Err(_) => sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(stream: TcpStream, backend: Arc<Backend>) {
    let service = service_fn(|request| {
        let backend = Arc::clone(&backend);
        async move { Ok::<_, Infallible>(backend.answer(request).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new());
    // However the connection ended, there is nobody to tell.
    drop(http.serve_connection(TokioIo::new(stream), service).await);
}

impl Backend {
    async fn answer(&self, request: Request<Incoming>) -> Response<Content> {
        let path = request.uri().path().to_owned();
        let number = |prefix: &str| path.strip_prefix(prefix)?.parse::<u64>().ok();
        if path == "/" {
            return html(self.welcome(&request));
        }
        if path == "/echo" || path.starts_with("/echo/") {
            return self.echo(request).await;
        }
        if path == "/flaky" {
            return self.flaky(request.uri());
        }
        if path == "/stream" {
            return events();
        }
        if let Some(status) = number("/status/").and_then(|code| u16::try_from(code).ok())
            && (200..=599).contains(&status)
        {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            return json(status, &json!({ "status": status.as_u16(), "backend": self.number }));
        }
        if let Some(millis) = number("/delay/") {
            let millis = millis.min(MAX_DELAY);
            sleep(Duration::from_millis(millis)).await;
            return json(StatusCode::OK, &json!({ "delayed": millis, "backend": self.number }));
        }
        if let Some(count) = number("/bytes/")
            && count <= MAX_BYTES
        {
            return with_type("application/octet-stream", Content::Bytes { left: count });
        }
        let there = [
            "/",
            "/echo",
            "/status/{code}",
            "/delay/{ms}",
            "/bytes/{n}",
            "/flaky?rate=0.5",
            "/stream",
        ];
        json(StatusCode::NOT_FOUND, &json!({ "error": "there is nothing here", "try": there }))
    }

    fn welcome(&self, request: &Request<Incoming>) -> String {
        // The host is the client's word: on the page it may only be what a host can be.
        let is_plain = |host: &&str| {
            host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
        };
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).filter(is_plain);
        WELCOME
            .replace("{gateway}", host.unwrap_or("127.0.0.1:8080"))
            .replace("{admin}", &self.names.admin)
            .replace("{rpc}", self.names.rpc.get().map_or("127.0.0.1:1234", String::as_str))
    }

    async fn echo(&self, request: Request<Incoming>) -> Response<Content> {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_ECHO).collect().await else {
            let text = format!("the body is cut short or has more than {MAX_ECHO} bytes");
            return json(StatusCode::PAYLOAD_TOO_LARGE, &json!({ "error": text }));
        };
        let mut headers = Map::new();
        for (name, value) in &head.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            match headers.get_mut(name.as_str()) {
                Some(Value::String(present)) => {
                    present.push_str(", ");
                    present.push_str(&value);
                }
                _ => {
                    headers.insert(name.to_string(), value.into());
                }
            }
        }
        let echo = json!({
            "method": head.method.as_str(),
            "path": head.uri.path(),
            "query": head.uri.query(),
            "headers": headers,
            "body": String::from_utf8_lossy(&body.to_bytes()),
            "backend": self.number,
        });
        json(StatusCode::OK, &echo)
    }

    /// Fails as often as `rate` says, evenly spread.
    fn flaky(&self, uri: &Uri) -> Response<Content> {
        let pairs = uri.query().unwrap_or_default().split('&');
        let rate = pairs.filter_map(|pair| pair.strip_prefix("rate=")).next_back();
        let Some(rate) = rate.map_or(Some(0.5), |rate| rate.parse::<f64>().ok()) else {
            let text = "write the rate as a number from 0 to 1, such as ?rate=0.5";
            return json(StatusCode::BAD_REQUEST, &json!({ "error": text }));
        };
        // Multiples of the golden ratio spread evenly over [0, 1), without chance.
        let turn = (self.asked.fetch_add(1, Ordering::Relaxed) as f64 * GOLDEN_RATIO).fract();
        let status = if turn < rate { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        json(status, &json!({ "status": status.as_u16(), "rate": rate, "backend": self.number }))
    }
}

fn json(status: StatusCode, value: &Value) -> Response<Content> {
    let body = Content::Text(Some(format!("{value:#}\n").into()));
    let mut response = with_type("application/json", body);
    *response.status_mut() = status;
    response
}

fn html(page: String) -> Response<Content> {
    with_type("text/html; charset=utf-8", Content::Text(Some(page.into())))
}

/// Server-sent events, one at once and then two a second, until the client has enough.
fn events() -> Response<Content> {
    let mut response =
        with_type("text/event-stream", Content::Events { sent: 0, pace: interval(PACE) });
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn with_type(content_type: &'static str, body: Content) -> Response<Content> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The body of an answer.
enum Content {
    Text(Option<Bytes>),
    Bytes { left: u64 },
    Events { sent: u64, pace: Interval },
}

// By hand because hyper asks for this trait; each kind is one line of it.
impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = match &mut *self {
            Self::Text(text) => text.take(),
            Self::Bytes { left: 0 } => None,
            Self::Bytes { left } => {
                let length = CHUNK.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= length as u64;
                Some(Bytes::from_static(&CHUNK[..length]))
            }
            Self::Events { sent, pace } => {
                ready!(pace.poll_tick(cx));
                *sent += 1;
                Some(format!("id: {sent}\ndata: {{\"event\": {sent}}}\n\n").into())
            }
        };
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
            Self::Bytes { left } => SizeHint::with_exact(*left),
            Self::Events { .. } => SizeHint::default(),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Text(None) | Self::Bytes { left: 0 })
    }
}

const WELCOME: &str = include_str!("../embedded/welcome.html");
static CHUNK: [u8; 16 * 1024] = [b'.'; 16 * 1024];
const GOLDEN_RATIO: f64 = 0.618_033_988_749_894_9;
const PACE: Duration = Duration::from_millis(500);
const MAX_DELAY: u64 = 60_000;
const MAX_BYTES: u64 = 1 << 30;
const MAX_ECHO: usize = 1 << 20;
