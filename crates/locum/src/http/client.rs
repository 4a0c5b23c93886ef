//! A policy before a service that sends.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::request::Parts;
use http::{Request, Response};
use http_body::Body as HttpBody;
use locum_policy::{
    Attempt, Bound, Call, Cause, Clock as _, Ended, Endpoint, Exchange, Key, Observer, Time, run,
};
use tower_layer::Layer;
use tower_service::Service;

use super::end::{self, ClientError, Reply};
use super::replay::{Replay, Source};
use super::request::{self, Values};
use super::{Ask, Body, Watch};
use crate::Policy;

/// Puts a policy before a client, such as `hyper-util`'s: a breaker, retries with replayed bodies, the
/// time of each attempt and of the whole call, hedges, and all the limits a server may have.
///
/// Each attempt is sent by a clone of the client, once that is ready. The peer is told the attempt's
/// time (`x-request-timeout-ms`, or `grpc-timeout` to a gRPC peer) and its number (`x-locum-attempt`).
/// A time that the request tells already is the caller's deadline. What the policy refuses is a
/// [`ClientError`], so it cannot be taken for the peer's answer; the policy's fallback is an answer.
///
/// A body of a request is kept, up to `replay_bytes`, while it is sent; see [`Replay`].
#[derive(Clone)]
pub struct ClientLayer {
    policy: Policy,
    bound: Bound,
    upstream: Arc<str>,
    keys: Arc<[Key]>,
    method: Ask<String>,
    classify: Classify,
    watch: Watch,
}

type Classify = Arc<dyn Fn(&(dyn Error + 'static)) -> Cause + Send + Sync>;

impl ClientLayer {
    /// `policy` before a client of the service `upstream`, which a breaker of the policy guards under
    /// that name. Clones of the layer share its state.
    pub fn new(policy: &Policy, upstream: &str) -> Self {
        Self {
            policy: policy.clone(),
            bound: policy.engine().bind(upstream),
            upstream: upstream.into(),
            keys: request::keys_of(policy.engine()).into(),
            method: Arc::new(|head| head.uri.path().to_owned()),
            classify: Arc::new(classify),
            watch: Watch::default(),
        }
    }

    /// What stands for the method of a call: in `methods`, in the keys `method` and `route`, and as the
    /// target of a breaker per method; otherwise the path.
    #[must_use]
    pub fn method(self, method: impl Fn(&Parts) -> String + Send + Sync + 'static) -> Self {
        Self { method: Arc::new(method), ..self }
    }

    /// What an error of the client means. [`Cause::Connect`] is retried even where calling twice would do
    /// harm, so it has to be sure. Otherwise that is what comes of a refused or unreachable address, and
    /// all else is [`Cause::Reset`].
    #[must_use]
    pub fn classify(
        self,
        classify: impl Fn(&(dyn Error + 'static)) -> Cause + Send + Sync + 'static,
    ) -> Self {
        Self { classify: Arc::new(classify), ..self }
    }

    /// Tells every decision to `observer`; what a policy in shadow would have done is seen only so.
    #[must_use]
    pub fn observed_by(self, observer: impl Observer + Send + Sync + 'static) -> Self {
        Self { watch: Watch(Some(Arc::new(observer))), ..self }
    }
}

/// Errors that come before a connection is there are told by the system, somewhere down the chain.
fn classify(error: &(dyn Error + 'static)) -> Cause {
    use io::ErrorKind::{
        AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkDown, NetworkUnreachable,
    };

    let mut link = Some(error);
    while let Some(error) = link {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && matches!(
                error.kind(),
                AddrNotAvailable
                    | ConnectionRefused
                    | HostUnreachable
                    | NetworkDown
                    | NetworkUnreachable
            )
        {
            return Cause::Connect;
        }
        link = error.source();
    }
    Cause::Reset
}

impl<S> Layer<S> for ClientLayer {
    type Service = Client<S>;

    fn layer(&self, inner: S) -> Client<S> {
        Client { inner, layer: self.clone() }
    }
}

/// A client behind a policy.
#[derive(Clone)]
pub struct Client<S> {
    inner: S,
    layer: ClientLayer,
}

impl<S, B, R> Service<Request<B>> for Client<S>
where
    S: Service<Request<Replay<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Error + Send + 'static,
    B: HttpBody + Send + 'static,
    R: HttpBody + Send + 'static,
{
    type Response = Response<Body<R>>;
    type Error = ClientError<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(send(self.inner.clone(), self.layer.clone(), request))
    }
}

/// Sends one request, as often as the policy of `layer` says.
async fn send<S, B, R>(
    service: S,
    layer: ClientLayer,
    request: Request<B>,
) -> Result<Response<Body<R>>, ClientError<S::Error>>
where
    S: Service<Request<Replay<B>>, Response = Response<R>> + Clone + Send,
    S::Future: Send,
    S::Error: Error + Send + 'static,
    B: HttpBody + Send,
    R: HttpBody + Send,
{
    let (parts, body) = request.into_parts();
    let clock = *layer.policy.clock();
    let arrived = clock.now();
    let method = (layer.method)(&parts);
    let keys = Values::look_up(&layer.keys, &parts, request::client_of(&parts), &method);
    let call = Call {
        method: &method,
        arrived,
        deadline: request::time_told(&parts.headers).map(|told| arrived + told),
        idempotent: request::is_idempotent(&parts),
        cost: 1,
        priority: 1,
        attempt_above: request::attempt_above(&parts.headers),
        keys: &keys,
        seed: layer.policy.next_seed(),
    };
    let outgoing = Outgoing {
        service: Mutex::new(service),
        parts,
        body: Source::new(body, layer.bound.replay_bytes()),
        layer: &layer,
    };
    let answer = run(&layer.bound, &call, &clock, &outgoing, &layer.watch).await;
    end::conclude(answer, &layer.bound, &call, clock, &layer.watch)
}

/// A request on its way.
struct Outgoing<'a, S, B> {
    /// Cloned for each attempt; the lock makes up for clients that cannot be shared.
    service: Mutex<S>,
    parts: Parts,
    body: Arc<Source<B>>,
    layer: &'a ClientLayer,
}

impl<S, B> Outgoing<'_, S, B>
where
    S: Clone,
    B: HttpBody,
{
    fn service(&self) -> S {
        self.service.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn request(&self, attempt: &Attempt<'_>) -> Request<Replay<B>> {
        let mut parts = self.parts.clone();
        if let Some(deadline) = attempt.deadline {
            request::tell_time(&mut parts.headers, attempt.started.until(deadline));
        }
        request::tell_attempt(&mut parts.headers, attempt.number);
        Request::from_parts(parts, self.body.attempt())
    }

    fn cause(&self, error: &(dyn Error + 'static)) -> Cause {
        if self.body.has_failed() { Cause::Cancelled } else { (self.layer.classify)(error) }
    }
}

impl<S, B, R> Exchange for Outgoing<'_, S, B>
where
    S: Service<Request<Replay<B>>, Response = Response<R>> + Clone,
    S::Error: Error + 'static,
    B: HttpBody,
{
    type Reply = Reply<Response<R>, S::Error>;

    /// Which address an attempt goes to is the client's choice, so each may be another: a hedge is sent
    /// where the client sends it.
    fn pick(&self, tried: &[u32], _: Time) -> Option<Endpoint<'_>> {
        let id = tried.iter().max().map_or(0, |last| last + 1);
        Some(Endpoint { id, name: &self.layer.upstream, policy: None })
    }

    fn repeatable(&self) -> bool {
        self.body.is_repeatable()
    }

    async fn send(&self, attempt: &Attempt<'_>) -> Ended<Self::Reply> {
        let mut service = self.service();
        if let Err(error) = poll_fn(|cx| service.poll_ready(cx)).await {
            return end::failed(self.cause(&error), error);
        }
        match service.call(self.request(attempt)).await {
            Ok(response) => end::answered(response),
            Err(error) => end::failed(self.cause(&error), error),
        }
    }

    fn abort(&self, _: &Attempt<'_>, status: u16) -> Ended<Self::Reply> {
        end::fault(status)
    }
}
