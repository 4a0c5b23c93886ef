//! HTTP/1.1 as a gateway must read it: strictly, and the same however the bytes were cut.
//!
//! ```
//! use locum_wire::http1::{Framing, Head, Limits, Name};
//!
//! let bytes = b"POST /orders?x=1 HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 2\r\n\r\nhi";
//! let mut head = Head::new();
//! assert!(!head.parse_request(&bytes[..20], &Limits::default())?, "half a head");
//! assert!(head.parse_request(bytes, &Limits::default())?);
//!
//! let request = head.request(bytes);
//! assert_eq!(request.path(), b"/orders");
//! assert_eq!(request.host(), Some(&b"shop.test"[..]));
//! assert_eq!(request.get(Name::ContentLength), Some(&b"2"[..]));
//! assert_eq!(request.framing(), Framing::Length(2));
//! assert_eq!(&bytes[head.len()..], b"hi");
//! # Ok::<(), locum_wire::http1::Error>(())
//! ```
//!
//! Where RFC 9112 lets a recipient repair a message or refuse it, this module refuses: a repair is
//! a second reading of the same bytes, and two readings are what request smuggling needs.

pub(crate) mod authority;
pub(crate) mod byte;
mod chunked;
pub mod encode;
mod error;
mod field;
mod head;
mod meaning;
mod name;
pub mod path;
mod request;
mod response;

pub use chunked::{Chunked, Piece};
pub use error::Error;
pub use field::{Field, FieldLine};
pub use head::Head;
pub use name::Name;
pub use request::{Request, Target};
pub use response::Response;

/// How much of a message's head is read before it is refused.
///
/// The defaults suit a proxy at the edge: browsers and their cookies stay far below, and a
/// connection that sends its head slowly holds little memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a whole head, and of a whole trailer section. Beyond: 431.
    pub head_bytes: usize,
    /// Field lines of a head, and of a trailer section. Beyond: 431.
    pub fields: usize,
    /// Bytes of a request-target. Beyond: 414.
    pub target_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head_bytes: 32 * 1024, fields: 100, target_bytes: 8 * 1024 }
    }
}

/// The version a message is processed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0: no chunked coding, no interim answers, one request a connection unless asked.
    Http10,
    /// HTTP/1.1, and any later 1.x (RFC 9110 §2.5).
    Http11,
}

/// How the end of a message's content is found (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no content.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks: read them with [`Chunked`].
    Chunked,
    /// Whatever comes until the connection ends. Only answers can have it.
    UntilClose,
}
