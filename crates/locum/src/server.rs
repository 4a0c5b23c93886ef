//! The server's side: services on listeners.
//!
//! ```no_run
//! # async fn serve(arith: impl locum::service::Service) -> Result<(), locum::server::BindError> {
//! locum::Server::new().serve(arith).listen("tcp://0.0.0.0:1234").run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! One port takes net/rpc over gob, with and without the `CONNECT` before it, JSON-RPC 1.0 and 2.0, the
//! native protocol, each of them over TLS too; and HTTP: `GET /debug/rpc`, `GET /metrics`, and JSON-RPC by
//! `POST`. What a connection speaks is seen from its first bytes.
//!
//! A call has a deadline, whether its caller gave it one or not; a handler whose time is over, or whose
//! caller has gone, is dropped. A handler that panics fails its own call. What clients may take is bounded
//! by [`Limits`].

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Policy;
use crate::service::Service;
use crate::transport::{Address, AddressError, Listener};

mod accept;
mod alarm;
mod bearer;
mod connection;
mod core;
mod directory;
mod entry;
mod guard;
mod handling;
mod http;
mod input;
mod limits;
mod line;
mod outbox;
mod output;
mod reflection;
mod responder;
#[cfg(feature = "tls")]
mod rewound;
mod session;

pub use limits::{Deadlines, Limits, WhenFull};
pub use reflection::{MethodInfo, ServiceInfo};
pub use responder::Responder;

pub(crate) use line::Line;

use self::bearer::Bearer;
use self::core::{Core, Phase, drains};
use self::directory::Directory;
use self::guard::Guard;
use self::reflection::Reflection;

/// Serves services on listeners.
#[must_use = "a server serves once it is run"]
pub struct Server {
    services: Vec<Arc<dyn Service>>,
    listens: Vec<Listen>,
    policy: Option<Policy>,
    limits: Limits,
    deadlines: Deadlines,
    bearer: Option<Bearer>,
    #[cfg(feature = "tls")]
    tls: Option<crate::transport::tls::ServerSettings>,
    drain: Duration,
}

enum Listen {
    At(Result<Address, AddressError>),
    On(Listener),
}

impl Server {
    /// A server without services and listeners.
    pub fn new() -> Self {
        Self {
            services: Vec::new(),
            listens: Vec::new(),
            policy: None,
            limits: Limits::default(),
            deadlines: Deadlines::default(),
            bearer: None,
            #[cfg(feature = "tls")]
            tls: None,
            drain: Duration::from_secs(30),
        }
    }

    /// Serves `service` too: the generated `…Server` of a trait.
    pub fn serve(mut self, service: impl Service) -> Self {
        self.services.push(Arc::new(service));
        self
    }

    /// Listens on this address too: `tcp://0.0.0.0:1234`, `unix:/run/arith.sock`. A mistake in it is told by
    /// [`bind`](Self::bind).
    pub fn listen(mut self, address: &str) -> Self {
        self.listens.push(Listen::At(address.parse()));
        self
    }

    /// Takes the connections of `listener` too, such as one [in memory](crate::transport::memory).
    pub fn listen_on(mut self, listener: Listener) -> Self {
        self.listens.push(Listen::On(listener));
        self
    }

    /// Puts `policy` before all handlers: rate limits, a cap on calls in flight, the time of a call, a breaker.
    /// What it refuses is told to the caller as such. A handler is given its call once: `retry` and `hedge` of the
    /// policy have no effect here.
    pub fn policy(self, policy: &Policy) -> Self {
        Self { policy: Some(policy.clone()), ..self }
    }

    /// Bounds what clients may take.
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Bounds how long calls may take.
    pub fn deadlines(self, deadlines: Deadlines) -> Self {
        Self { deadlines, ..self }
    }

    /// Takes only calls that say who calls, by a token: `identify` tells who has it, if anybody. It is asked for
    /// each call, so it should know its answers.
    ///
    /// The token comes as `authorization: Bearer …`, in the metadata of a native call or in the head of an
    /// HTTP request; the other protocols have no place for it. A client that has shown a certificate needs
    /// none.
    pub fn bearer(self, identify: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { bearer: Some(Bearer::new(identify)), ..self }
    }

    /// Takes TLS on TCP and, unless the settings say otherwise, nothing else there. Unix sockets and memory do
    /// not leave the machine and need none.
    #[cfg(feature = "tls")]
    pub fn tls(self, settings: crate::transport::tls::ServerSettings) -> Self {
        Self { tls: Some(settings), ..self }
    }

    /// How long calls that have begun have to end once the server is to shut down; otherwise 30 seconds.
    pub fn drain(self, drain: Duration) -> Self {
        Self { drain, ..self }
    }

    /// Listens. Connections wait until the server is [run](Bound::run).
    ///
    /// # Errors
    ///
    /// An address is wrong or taken, there is none, or two services have one name.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the addresses back.
    pub async fn bind(self) -> Result<Bound, BindError> {
        if self.listens.is_empty() {
            return Err(BindError::NoListener);
        }
        let mut services = self.services;
        services.push(Arc::new(Reflection::new(&services)));
        let directory = Directory::new(services).map_err(BindError::Name)?;
        let mut listeners = Vec::new();
        for listen in self.listens {
            listeners.push(match listen {
                Listen::On(listener) => listener,
                Listen::At(address) => {
                    let address = address.map_err(BindError::Address)?;
                    let bound = Listener::bind(&address).await;
                    bound.map_err(|error| BindError::Listen(address, error))?
                }
            });
        }
        let core = Core::new(
            directory,
            self.limits,
            self.deadlines,
            self.policy.map(Guard::new),
            self.bearer,
            #[cfg(feature = "tls")]
            self.tls,
        );
        Ok(Bound { core: Arc::new(core), listeners, drain: self.drain })
    }

    /// Serves for good.
    ///
    /// # Errors
    ///
    /// Those of [`bind`](Self::bind).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes all connections at once.
    pub async fn run(self) -> Result<(), BindError> {
        self.bind().await?.run().await;
        Ok(())
    }

    /// Serves until `shutdown` is ready, such as `tokio::signal::ctrl_c()`, and the calls that have begun by
    /// then are answered.
    ///
    /// # Errors
    ///
    /// Those of [`bind`](Self::bind).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes all connections at once.
    pub async fn run_until<F: Future>(self, shutdown: F) -> Result<Drained, BindError> {
        Ok(self.bind().await?.run_until(shutdown).await)
    }
}

/// A server that listens.
#[must_use = "a server serves once it is run"]
pub struct Bound {
    core: Arc<Core>,
    listeners: Vec<Listener>,
    drain: Duration,
}

impl Bound {
    /// Where it listens, with the ports that the system chose; listeners in memory have no address.
    pub fn addresses(&self) -> Vec<Address> {
        self.listeners.iter().filter_map(|listener| listener.address().ok().flatten()).collect()
    }

    /// What the server can be asked, and told, while it runs.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.core))
    }

    /// Serves until it is [told to shut down](Handle::shutdown), and the calls that have begun by then are
    /// answered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes all connections at once.
    pub async fn run(self) -> Drained {
        self.run_until(pending::<()>()).await
    }

    /// The same; `shutdown` being ready is another way to tell it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes all connections at once.
    pub async fn run_until<F: Future>(self, shutdown: F) -> Drained {
        let Self { core, listeners, drain } = self;
        let over = Over(Arc::clone(&core));
        // Nothing is ever sent: each connection holds an end, and when none is left all are over.
        let (alive, mut ended) = mpsc::channel::<Infallible>(1);
        let mut accepting = JoinSet::new();
        for listener in listeners {
            accepting.spawn(accept::accept(Arc::clone(&core), listener, alive.clone()));
        }
        drop(alive);
        let mut phases = core.phases();
        tokio::select! {
            _ = shutdown => core.enter(Phase::Draining),
            () = drains(&mut phases) => {}
        }
        let drained = timeout(drain, async {
            while accepting.join_next().await.is_some() {}
            ended.recv().await
        });
        // In time or not, this is the end.
        let _ = drained.await;
        let given_up = core.in_flight();
        drop(over);
        Drained { given_up }
    }
}

/// Closes all connections when it is dropped.
struct Over(Arc<Core>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.enter(Phase::Over);
    }
}

/// What became of the calls of a server that has shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// How many were given up, because the time to drain was over.
    pub given_up: usize,
}

/// What a running server can be asked, and told. Cheap to clone.
#[derive(Clone)]
pub struct Handle(Arc<Core>);

impl Handle {
    /// Has the server shut down: it listens no more, tells clients where the protocol has words for it,
    /// answers the calls that have begun, and closes. Does nothing the second time.
    pub fn shutdown(&self) {
        self.0.enter(Phase::Draining);
    }

    /// What `GET /metrics` gives: Prometheus' text format.
    pub fn metrics(&self) -> String {
        http::metrics(&self.0)
    }
}

/// A server cannot serve.
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// An address is none.
    Address(AddressError),
    /// An address cannot be listened on.
    Listen(Address, io::Error),
    /// There is nothing to listen on.
    NoListener,
    /// Two services have this name.
    Name(&'static str),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => error.fmt(f),
            Self::Listen(address, _) => write!(f, "cannot listen on {address}"),
            Self::NoListener => f.write_str("there is nothing to listen on; add `.listen(…)`"),
            Self::Name(name) => write!(f, "two services are called `{name}`"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen(_, error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.services.iter().map(|service| service.spec().name).collect();
        f.debug_struct("Server").field("services", &names).finish_non_exhaustive()
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("listeners", &self.listeners).finish_non_exhaustive()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}
