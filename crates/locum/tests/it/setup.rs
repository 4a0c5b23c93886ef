//! Services that do as a test says, without a socket.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use locum::policy::{Event, Observer, Time};
use locum::{Policies, Policy};
use tower_service::Service;

/// The policy `p` of these lines.
pub(crate) fn policy(lines: &str) -> Policy {
    let text = format!("[policies.p]\n{lines}");
    Policies::parse_seeded(&text, 1).unwrap().get("p").unwrap().clone()
}

/// A service that is a function of the request's head and whole body.
pub(crate) struct Script<F>(pub(crate) Arc<F>);

impl<F> Clone for Script<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<F> Script<F> {
    pub(crate) fn new(act: F) -> Self {
        Self(Arc::new(act))
    }
}

impl<B, F, Done, R, E> Service<Request<B>> for Script<F>
where
    F: Fn(Request<B>) -> Done + Send + Sync + 'static,
    Done: Future<Output = Result<Response<R>, E>> + Send + 'static,
{
    type Response = Response<R>;
    type Error = E;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, E>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin((self.0)(request))
    }
}

/// An answer with this status and text.
pub(crate) fn answer(status: u16, text: &str) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::builder().status(status).body(Full::from(text.to_owned())).unwrap())
}

/// A request without a body.
pub(crate) fn get() -> Request<Full<Bytes>> {
    Request::get("/users/7").body(Full::default()).unwrap()
}

/// All of a body.
pub(crate) async fn read<B>(body: B) -> String
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Keeps what happened, a word an event.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Observer for Log {
    fn event(&self, _: Time, event: &Event<'_>) {
        let line = match event {
            Event::Attempt(attempt) => format!("attempt {}", attempt.number),
            Event::Rejected(rejection) => format!("rejected {}", rejection.reason),
            Event::WouldReject(rejection) => format!("would_reject {}", rejection.reason),
            Event::Done { outcome, .. } => format!("done {}", outcome.name()),
            _ => return,
        };
        self.0.lock().unwrap().push(line);
    }
}
