//! What is known of the methods of an upstream.

use std::sync::Arc;

use locum_wire::gob::Described;
use locum_wire::rpc::Body;

use crate::plan::Error;
use crate::upstream::MethodTypes;

/// The types of an upstream's methods: those that were given, and those that calls have shown.
#[derive(Debug, Default)]
pub(crate) struct Methods {}

impl Methods {
    /// Of an upstream whose file says this of types; what calls have shown is taken over.
    pub(crate) fn build(
        _given: &[(String, MethodTypes)],
        _previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Error> {
        Ok(Arc::default())
    }

    /// The type of a method's argument, as far as it is known.
    pub(crate) fn args(&self, _method: &str) -> Option<Described> {
        None
    }

    /// The type of what a method returns.
    pub(crate) fn reply(&self, _method: &str) -> Option<Described> {
        None
    }

    /// A call of `method` with this argument returned that.
    pub(crate) fn learn(&self, _method: &str, _args: &Body<'_>, _reply: &Body<'_>) {}
}
