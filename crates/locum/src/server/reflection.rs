//! The service that every server has: it tells of the others.

use std::sync::Arc;

use locum_wire::rpc::{DecodeError, Shape};
use serde::{Deserialize, Serialize};

use crate::service::{Handler, Incoming, Method, Service, ServiceSpec};

/// `Locum.Services` returns what the server serves, itself included, on every protocol; whatever its argument.
pub(super) struct Reflection(Arc<[ServiceInfo]>);

/// A service, as `Locum.Services` tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceInfo {
    /// Its name on the wire.
    pub name: String,
    /// In the order of its trait.
    pub methods: Vec<MethodInfo>,
}

/// A method, as `Locum.Services` tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodInfo {
    /// `Service.Method`.
    pub name: String,
    /// The argument's type, as it is written in the trait.
    pub args: String,
    /// The type of what it returns, as it is written in the trait.
    pub reply: String,
    /// Whether calling it twice does no harm.
    pub idempotent: bool,
    /// Whether its last argument is a stream.
    pub takes_stream: bool,
    /// Whether it returns a stream.
    pub returns_stream: bool,
}

impl Reflection {
    pub(super) fn new(services: &[Arc<dyn Service>]) -> Self {
        let specs = services.iter().map(|service| service.spec()).chain([&SPEC]);
        Self(specs.map(ServiceInfo::new).collect())
    }
}

impl ServiceInfo {
    fn new(spec: &ServiceSpec) -> Self {
        let methods = spec.methods.iter().map(MethodInfo::new).collect();
        Self { name: spec.name.to_owned(), methods }
    }
}

impl MethodInfo {
    pub(super) fn new(method: &Method) -> Self {
        Self {
            name: method.path.to_owned(),
            args: method.args_type.to_owned(),
            reply: method.reply_type.to_owned(),
            idempotent: method.idempotent,
            takes_stream: method.takes_stream,
            returns_stream: method.returns_stream,
        }
    }
}

impl Service for Reflection {
    fn spec(&self) -> &'static ServiceSpec {
        &SPEC
    }

    fn call(&self, _: usize, call: Incoming<'_>) -> Result<Handler, DecodeError> {
        let services = Arc::clone(&self.0);
        let responder = call.responder;
        Ok(Box::pin(async move { responder.finish::<_, String>(&Ok(&*services)) }))
    }
}

static SPEC: ServiceSpec = ServiceSpec { name: "Locum", methods: &METHODS };

static METHODS: [Method; 1] = [Method {
    path: "Locum.Services",
    idempotent: true,
    heavy: false,
    args: Shape::of::<()>(),
    args_type: "()",
    reply: Shape::of::<Vec<ServiceInfo>>(),
    reply_type: "Vec<ServiceInfo>",
    takes_stream: false,
    returns_stream: false,
}];
