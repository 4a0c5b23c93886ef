//! Compressed heads (RFC 7541).
//!
//! What is read goes into [`Fields`], flat and reused; what is written goes to the caller's buffer.
//! Both directions keep a [`Table`](table::Table) of what was said before.

mod decoder;
mod encoder;
#[cfg(test)]
mod examples;
mod fields;
mod huffman;
mod integer;
mod predefined;
mod table;

pub(super) use decoder::Decoder;
pub(super) use encoder::{Encoder, Secrecy};
pub(super) use fields::{Excess, Fields};

/// A block that cannot be read. The table may differ from the peer's from now on, so the connection
/// is over (RFC 7541 §2.3.3 and RFC 9113 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The size a table has until SETTINGS say otherwise (RFC 9113 §6.5.2).
pub(super) const TABLE_SIZE: usize = 4096;
