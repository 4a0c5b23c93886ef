//! JSON-RPC 1.0, as Go's net/rpc/jsonrpc has it, and 2.0.
//!
//! A stream is JSON values one after another, with or without white space between them. An object whose
//! `jsonrpc` is `"2.0"` is of 2.0, as is an array, which is a batch; any other is of 1.0.
//!
//! Of 1.0, whose only description is Go's code: `params` has one argument; none is `jsonrpc: request body
//! missing params`, an empty array is an argument that is all zero, more are ignored. An answer always has
//! `id`, `result` and `error`. What is not JSON closes the connection, as do methods that are no strings.
//!
//! Of 2.0: arguments come by name or by position; one by position is the argument itself, several are the
//! fields of a struct in their order. Requests without an `id` are never answered. What is not JSON is
//! answered with -32700 before the connection is closed. Batches have up to [`MOST_IN_BATCH`] requests.
//!
//! Values are read alike in both, as Go reads them: names of fields without regard to case (nor to
//! underscores), what is missing or null as zero unless the type has a default of its own, bytes in base64
//! or as numbers. They are written as Go writes them in 1.0 (`user_id` is `UserId`, bytes are base64), and
//! as `serde_json` writes them in 2.0. NaN and the infinities cannot be written.
//!
//! The codes of errors stand in docs/json-rpc.md, whose examples the tests play.

mod answers;
mod call;
mod calls;
mod code;
mod envelope;
mod error;
mod error_object;
mod line;
mod members;
mod oversize;
mod read;
mod replies;
mod requests;
mod scan;
mod text;
mod write;

pub use answers::Answers;
pub(crate) use call::by_position;
pub use calls::Calls;
pub(crate) use line::line;
pub(crate) use read::{decode, decode_params};
pub use replies::Replies;
pub use requests::{MOST_IN_BATCH, Requests};

/// What `serde_json::value::RawValue` calls itself: it is written and read as it stands.
const RAW: &str = "$serde_json::private::RawValue";
