//! Names and values that travel with a call.

/// Names and values, in the order they were given. Only the native protocol carries them.
///
/// In bytes: for each, the lengths of name and value (a LEB128 number before each) and the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata<'a> {
    // Invariant: well-formed.
    pub(crate) bytes: &'a [u8],
}
