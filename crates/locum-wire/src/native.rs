//! Locum's own protocol: Rust to Rust, in frames, with streams; docs/native.md describes it.
//!
//! Frames are taken from the input as they lie there: names, texts and bodies are borrowed, and a value
//! is written straight into the buffer that leaves.

mod answers;
mod calls;
mod failure;
mod field;
mod frame;
mod hello;
mod methods;
mod postcard;
mod replies;
mod requests;

pub use answers::Answers;
pub use calls::Calls;
pub use hello::{MAGIC, VERSION};
pub use replies::Replies;
pub use requests::Requests;

pub(crate) use calls::Form;
pub(crate) use postcard::decode;

/// How many bytes of items a stream may send before the first credit.
pub const WINDOW: u32 = 256 << 10;

/// What an item counts beyond the bytes of its value, so that items of no bytes are bounded as well.
pub const ITEM: u32 = 32;
