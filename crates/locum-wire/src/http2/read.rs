//! Heads that were received, told as HTTP/1.1 (RFC 9113 §8).

mod answer;
mod field;
mod request;
mod trailers;

pub(super) use answer::{GRPC, answer};
pub(super) use request::request;
pub(super) use trailers::trailers;
