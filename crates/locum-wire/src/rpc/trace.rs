//! The trace that a call belongs to.

use std::fmt;
use std::str::FromStr;

/// A W3C `traceparent`, version 00.
///
/// ```
/// use locum_wire::rpc::TraceParent;
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let trace: TraceParent = text.parse()?;
/// assert_eq!(trace.flags, 1);
/// assert_eq!(trace.to_string(), text);
/// # Ok::<(), locum_wire::rpc::NoTraceParent>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// Not all zero.
    pub trace_id: [u8; 16],
    /// The caller's span; not all zero.
    pub parent_id: [u8; 8],
    /// Bit 0: sampled.
    pub flags: u8,
}

/// A text is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTraceParent;

impl fmt::Display for NoTraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a traceparent")
    }
}

impl std::error::Error for NoTraceParent {}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace = u128::from_be_bytes(self.trace_id);
        let parent = u64::from_be_bytes(self.parent_id);
        write!(f, "00-{trace:032x}-{parent:016x}-{:02x}", self.flags)
    }
}

/// Versions to come are read as far as version 00 goes (W3C Trace Context §4.3).
impl FromStr for TraceParent {
    type Err = NoTraceParent;

    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        let mut parts = text.split('-');
        let [version] = hex(parts.next())?;
        let trace_id = hex(parts.next())?;
        let parent_id = hex(parts.next())?;
        let [flags] = hex(parts.next())?;
        let ends = parts.next().is_none();
        if version == 0xff || (version == 0 && !ends) || trace_id == [0; 16] || parent_id == [0; 8]
        {
            return Err(NoTraceParent);
        }
        Ok(Self { trace_id, parent_id, flags })
    }
}

/// `N` bytes in lower-case hexadecimal.
fn hex<const N: usize>(text: Option<&str>) -> Result<[u8; N], NoTraceParent> {
    let digits = text.unwrap_or_default().as_bytes();
    if digits.len() != N * 2 {
        return Err(NoTraceParent);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for &digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return Err(NoTraceParent),
            };
            *byte = *byte << 4 | value;
        }
    }
    Ok(bytes)
}
