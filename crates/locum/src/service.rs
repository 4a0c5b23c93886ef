//! A service as a server sees it, and its description.

use std::pin::Pin;

use locum_wire::rpc::{Body, DecodeError, Shape};

use crate::Cx;
use crate::server::Responder;
use crate::stream::Inlet;

/// What `#[locum::service]` knows of a trait.
#[derive(Debug)]
pub struct ServiceSpec {
    /// Its name on the wire.
    pub name: &'static str,
    /// In the order of the trait.
    pub methods: &'static [Method],
}

/// One method of a service.
#[derive(Debug)]
pub struct Method {
    /// `Service.Method`.
    pub path: &'static str,
    /// Whether calling it twice does no harm: the licence to retry and to hedge.
    pub idempotent: bool,
    /// Whether its handler takes the processor for long, and so gets a task of its own from the start.
    pub heavy: bool,
    /// The argument.
    pub args: Shape,
    /// The argument's type, as it is written in the trait.
    pub args_type: &'static str,
    /// What it returns.
    pub reply: Shape,
    /// The type of that, as it is written in the trait.
    pub reply_type: &'static str,
    /// Whether its last argument is a stream.
    pub takes_stream: bool,
    /// Whether it returns a stream.
    pub returns_stream: bool,
}

impl Method {
    /// Whether it has a stream, either way.
    pub(crate) const fn streams(&self) -> bool {
        self.takes_stream || self.returns_stream
    }
}

/// What a server serves: the generated `…Server` of a trait.
pub trait Service: Send + Sync + 'static {
    /// The description.
    fn spec(&self) -> &'static ServiceSpec;

    /// Begins a call of `spec().methods[method]`. The argument has been read when this returns.
    ///
    /// # Errors
    ///
    /// The argument cannot be read; the call is answered with that.
    fn call(&self, method: usize, call: Incoming<'_>) -> Result<Handler, DecodeError>;
}

/// A call that has come in.
pub struct Incoming<'a> {
    /// Its context. A handler that goes by it keeps a clone.
    pub cx: &'a Cx,
    /// Its argument.
    pub args: Body<'a>,
    /// The stream that comes with it.
    pub items: Inlet,
    /// Takes its result.
    pub responder: Responder,
}

/// A call being handled. It has given its result to its responder when it ends; dropped, it is given up.
pub type Handler = Pin<Box<dyn Future<Output = ()> + Send>>;
