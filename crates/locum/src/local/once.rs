//! Arguments that are there for one attempt.

use std::sync::{Mutex, PoisonError};

use crate::{CallError, Delivery, TransportKind};

/// What can be given away once, by whoever comes first.
pub struct Once<T>(Mutex<Option<T>>);

impl<T> Once<T> {
    /// Holds `value`.
    pub const fn new(value: T) -> Self {
        Self(Mutex::new(Some(value)))
    }

    /// What it held, if it still does.
    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A second attempt was to be made of a call that can be made once. The engine does not: it is told so.
pub fn sent_already<E>() -> CallError<E> {
    let detail = "its arguments were given away";
    CallError::transport(TransportKind::Unsupported, Delivery::NotSent, detail)
}
