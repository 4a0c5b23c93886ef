//! What a Rust type looks like on wires that describe their types.

use std::sync::OnceLock;

use serde::de::DeserializeOwned;

use crate::gob;

/// The shape of a Rust type, found out at its first use on a wire that describes types.
///
/// ```
/// use locum_wire::rpc::Shape;
/// static ARGS: Shape = Shape::of::<(i64, i64)>();
/// ```
#[derive(Debug)]
pub struct Shape {
    trace: fn() -> Result<gob::Schema, gob::SchemaError>,
    schema: OnceLock<Result<gob::Schema, gob::SchemaError>>,
}

impl Shape {
    /// The shape of `T`.
    pub const fn of<T: DeserializeOwned>() -> Self {
        Self { trace: gob::Schema::trace::<T>, schema: OnceLock::new() }
    }

    /// As gob describes it.
    ///
    /// # Errors
    ///
    /// The type has something that gob has not, such as an enum.
    pub fn gob(&self) -> Result<&gob::Schema, &gob::SchemaError> {
        self.schema.get_or_init(self.trace).as_ref()
    }
}
