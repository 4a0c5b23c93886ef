//! What generated code is made of. It is no interface of the crate: what is here may change whenever the
//! macro does.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::local::{Guard, Once, Streaming, direct, sent_already};
pub use crate::stream::BoxStream;
pub use crate::stream::relay::relay;
pub use locum_wire::rpc::{DecodeError, Shape};
pub use serde;

use locum_wire::rpc::{Body, Form};

/// Any future.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// `stream`, as any stream.
pub fn boxed<S: crate::Stream + Send + 'static>(stream: S) -> BoxStream<S::Item> {
    Box::pin(stream)
}

/// The server asked for a method that is not in the description.
pub fn no_such_method(number: usize) -> DecodeError {
    DecodeError(format!("there is no method {number}"))
}

/// An argument that an attempt takes along, and the next one too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is an argument of an idempotent method, so it has to be `Clone`",
    label = "each attempt takes a copy along",
    note = "derive `Clone` for it, or drop `idempotent`"
)]
pub trait Repeatable: Sized {
    /// A copy.
    fn repeat(&self) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Clone> Repeatable for T {
    fn repeat(&self) -> Self {
        self.clone()
    }
}

/// A copy of `value`.
pub fn repeat<T: Repeatable>(value: &T) -> T {
    value.repeat()
}

/// An argument as a mock's log shows it. `(&&Shown(&value)).shown()` takes the first of the two traits
/// that there is for the value.
pub struct Shown<'a, T>(pub &'a T);

/// By `Debug`.
pub trait ByDebug {
    /// The text.
    fn shown(&self) -> String;
}

impl<T: Debug> ByDebug for &Shown<'_, T> {
    fn shown(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// As JSON, which is what a value that travels can do in any case.
pub trait ByJson {
    /// The text.
    fn shown(&self) -> String;
}

impl<T: Serialize> ByJson for Shown<'_, T> {
    fn shown(&self) -> String {
        serde_json::to_string(self.0).unwrap_or_else(|error| error.to_string())
    }
}

/// An error as a value.
pub fn to_bytes<T: Serialize>(value: &T) -> Option<Vec<u8>> {
    postcard::to_stdvec(value).ok()
}

/// The error of [`to_bytes`].
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    Body { bytes, form: Form::Postcard }.decode().ok()
}
