//! The context of a call.

/// The context of a call.
#[derive(Clone, Debug, Default)]
pub struct Cx(());
