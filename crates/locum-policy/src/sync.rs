//! The shared words and locks of gates: the standard ones, or, to search every order in which threads
//! may meet, loom's (`cargo test -p locum-policy --features loom --lib races`).

#[cfg(not(feature = "loom"))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64},
};

#[cfg(feature = "loom")]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64},
};
