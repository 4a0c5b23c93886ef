//! The trace that a call belongs to.

/// A W3C `traceparent`, version 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// Not all zero.
    pub trace_id: [u8; 16],
    /// The caller's span; not all zero.
    pub parent_id: [u8; 8],
    /// Bit 0: sampled.
    pub flags: u8,
}
