//! A policy before a service that answers.

use std::future::poll_fn;
use std::net::IpAddr;
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
use super::request::{self, Values};
use super::{Ask, Body, Watch, answer};
use crate::Policy;

/// Puts a policy before a service, such as an axum router: rate limits, a cap on calls in flight, the
/// time of a call.
///
/// What the policy refuses is answered as the proxy would: 429, 503 or 504 with `Retry-After`, the
/// RateLimit fields, and a JSON problem that says which policy, why, and when to come back. A request
/// is given to the service once: `retry` and `hedge` of the policy have no effect here. Waiting for the
/// service to be ready is part of the call, and in its time.
///
/// ```
/// # use locum::{Policies, http::ServerLayer};
/// # let policies = Policies::parse("[policies.public]\nrate_limit = { rate = '100/s', key = 'client-ip' }")?;
/// let public = policies.get("public").expect("it stands in the file");
/// let app: axum::Router = axum::Router::new()
///     .route("/", axum::routing::get(|| async { "hello" }))
///     .layer(ServerLayer::new(public).client_ip(|head| {
///         let peer = head.extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
///         peer.map(|peer| peer.0.ip())
///     }));
/// # Ok::<_, locum::ParseError>(())
/// ```
#[derive(Clone)]
pub struct ServerLayer {
    policy: Policy,
    bound: Bound,
    keys: Arc<[Key]>,
    client_ip: Ask<Option<IpAddr>>,
    method: Ask<String>,
    priority: Ask<u8>,
    trusts_callers: bool,
    watch: Watch,
}

impl ServerLayer {
    /// `policy` before whatever this layer is put on. Clones of the layer share its state.
    pub fn new(policy: &Policy) -> Self {
        Self {
            policy: policy.clone(),
            bound: policy.engine().bind("service"),
            keys: request::keys_of(policy.engine()).into(),
            client_ip: Arc::new(request::client_of),
            method: Arc::new(|head| head.uri.path().to_owned()),
            priority: Arc::new(|_| 1),
            trusts_callers: false,
            watch: Watch::default(),
        }
    }

    /// Where the key `client-ip` is found; otherwise a `SocketAddr` or `IpAddr` among the extensions
    /// of the request.
    #[must_use]
    pub fn client_ip(
        self,
        client_ip: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Self { client_ip: Arc::new(client_ip), ..self }
    }

    /// What stands for the method of a call: in `methods`, in the keys `method` and `route`, and as the
    /// target of a breaker per method; otherwise the path. Where paths hold identifiers, name the route:
    /// each name may have a state of its own.
    #[must_use]
    pub fn method(self, method: impl Fn(&Parts) -> String + Send + Sync + 'static) -> Self {
        Self { method: Arc::new(method), ..self }
    }

    /// How important a call is where there is not room for all: 0 is shed first, 3 last; otherwise 1.
    #[must_use]
    pub fn priority(self, priority: impl Fn(&Parts) -> u8 + Send + Sync + 'static) -> Self {
        Self { priority: Arc::new(priority), ..self }
    }

    /// Believes what callers say of their time (`grpc-timeout`, `x-request-timeout-ms`,
    /// `x-envoy-expected-rq-timeout-ms`): only for a service that strangers cannot reach.
    #[must_use]
    pub fn trusting_callers(self) -> Self {
        Self { trusts_callers: true, ..self }
    }

    /// Tells every decision to `observer`; what a policy in shadow would have done is seen only so.
    #[must_use]
    pub fn observed_by(self, observer: impl Observer + Send + Sync + 'static) -> Self {
        Self { watch: Watch(Some(Arc::new(observer))), ..self }
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = Server<S>;

    fn layer(&self, inner: S) -> Server<S> {
        Server { inner, layer: self.clone() }
    }
}

/// A service behind a policy.
#[derive(Clone)]
pub struct Server<S> {
    inner: S,
    layer: ServerLayer,
}

impl<S, B, R> Service<Request<B>> for Server<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
    B: Send + 'static,
    R: HttpBody + Send + 'static,
{
    type Response = Response<Body<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(serve(self.inner.clone(), self.layer.clone(), request))
    }
}

/// Gives one request to `service`, under the policy of `layer`.
async fn serve<S, B, R>(
    service: S,
    layer: ServerLayer,
    request: Request<B>,
) -> Result<Response<Body<R>>, S::Error>
where
    S: Service<Request<B>, Response = Response<R>> + Send,
    S::Future: Send,
    S::Error: Send,
    B: Send,
    R: HttpBody + Send,
{
    let (parts, body) = request.into_parts();
    let clock = *layer.policy.clock();
    let arrived = clock.now();
    let method = (layer.method)(&parts);
    let keys = Values::look_up(&layer.keys, &parts, (layer.client_ip)(&parts), &method);
    let told = request::time_told(&parts.headers).filter(|_| layer.trusts_callers);
    let call = Call {
        method: &method,
        arrived,
        deadline: told.map(|told| arrived + told),
        idempotent: request::is_idempotent(&parts),
        cost: 1,
        priority: (layer.priority)(&parts).min(3),
        attempt_above: request::attempt_above(&parts.headers),
        keys: &keys,
        seed: layer.policy.next_seed(),
    };
    let once = Once(Mutex::new(Some((service, Request::from_parts(parts, body)))));
    let answer = run(&layer.bound, &call, &clock, &once, &layer.watch).await;
    match end::conclude(answer, &layer.bound, &call, clock, &layer.watch) {
        Ok(response) => Ok(response),
        Err(ClientError::Failed(error)) => Err(error),
        Err(ClientError::Rejected(rejection)) => Ok(answer::rejected(&rejection).map(Body::ours)),
        Err(ClientError::TimedOut { policy, after }) => {
            Ok(answer::timed_out(&policy, after).map(Body::ours))
        }
        Err(ClientError::Unavailable) => Ok(answer::unavailable().map(Body::ours)),
    }
}

/// A request that is given to its service once.
struct Once<S, B>(Mutex<Option<(S, Request<B>)>>);

impl<S, B> Once<S, B> {
    fn take(&self) -> Option<(S, Request<B>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<S, B, R> Exchange for Once<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Reply = Reply<Response<R>, S::Error>;

    /// There is no second endpoint, nor a second attempt.
    fn pick(&self, tried: &[u32], _: Time) -> Option<Endpoint<'_>> {
        tried.is_empty().then_some(Endpoint { id: 0, name: "service", policy: None })
    }

    fn repeatable(&self) -> bool {
        false
    }

    async fn send(&self, _: &Attempt<'_>) -> Ended<Self::Reply> {
        let Some((mut service, request)) = self.take() else {
            // Nobody may ask twice for what is not repeatable; 503 says that nothing was done.
            return end::fault(503);
        };
        if let Err(error) = poll_fn(|cx| service.poll_ready(cx)).await {
            return end::failed(Cause::Reset, error);
        }
        match service.call(request).await {
            Ok(response) => end::answered(response),
            Err(error) => end::failed(Cause::Reset, error),
        }
    }

    fn abort(&self, _: &Attempt<'_>, status: u16) -> Ended<Self::Reply> {
        end::fault(status)
    }
}
