//! Bytes to messages and back, without I/O, clock or async.
//!
//! The caller owns the buffers and feeds them; what comes back are indices into them. Everything
//! here is a plain struct with plain methods, so that a proxy, a test and a fuzzer drive the very
//! same code.
//!
//! [`http1`] is HTTP/1.1: begin at [`http1::Head`]. [`http2`] is HTTP/2, told as HTTP/1.1: begin at
//! [`http2::Connection`].

#![warn(missing_docs)]

#[cfg(feature = "tls")]
pub mod certificate;
pub mod client_hello;
pub mod connect;
pub mod detect;
pub mod gob;
pub mod http1;
pub mod http2;
pub mod jsonrpc;
pub mod native;
pub mod netrpc;
pub mod protobuf;
pub mod proxy_protocol;
pub mod rpc;
