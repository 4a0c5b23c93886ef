//! What the generated mocks are made of.
//!
//! ```
//! use locum::{CallError, Cx};
//!
//! #[locum::service]
//! trait Greeter {
//!     async fn greet(&self, cx: &Cx, name: String) -> Result<String, CallError>;
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let mock = GreeterMock::new().on_greet(|_, name| Ok(format!("hello {name}")));
//! assert_eq!(mock.greet(&Cx::new(), "you".to_owned()).await, Ok("hello you".to_owned()));
//! assert_eq!(mock.calls()[0].to_string(), r#"Greeter.Greet("you")"#);
//! # }
//! ```

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::CallError;

/// A call that a mock was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `Service.Method`.
    pub method: &'static str,
    /// The arguments, with commas between them: each as [`Debug`](fmt::Debug) shows it, or as JSON where
    /// it cannot.
    pub args: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.method, self.args)
    }
}

/// The calls of a mock.
#[derive(Default)]
#[doc(hidden)]
pub struct Log(Mutex<Vec<Call>>);

impl Log {
    /// One more.
    pub fn add(&self, method: &'static str, args: &[String]) {
        lock(&self.0).push(Call { method, args: args.join(", ") });
    }

    /// Those so far.
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.0).clone()
    }
}

/// What answers a method, once somebody said so.
#[doc(hidden)]
pub struct Answer<F: ?Sized>(Mutex<Option<Arc<F>>>);

impl<F: ?Sized> Default for Answer<F> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<F: ?Sized> Answer<F> {
    /// From now on this does.
    pub fn set(&self, answer: Arc<F>) {
        *lock(&self.0) = Some(answer);
    }

    /// What does; not locked while it does.
    pub fn get(&self) -> Option<Arc<F>> {
        lock(&self.0).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a mock says that was told no answer.
#[doc(hidden)]
pub fn unanswered<E>(mock: &str, on: &str) -> CallError<E> {
    CallError::Internal(format!("{mock} has no answer to this; give it one with `{on}`"))
}
