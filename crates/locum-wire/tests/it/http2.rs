//! HTTP/2 from outside.

mod pair;
mod talk;
