//! How much a peer may ask for.

/// How much a peer may ask for before it is refused.
///
/// The defaults suit a proxy at the edge. What is announced to the peer in SETTINGS is said at each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Streams the peer may have open at once; announced. One more is refused, and may be tried again.
    pub streams: u32,
    /// Bytes of content that may be on their way, unread, on one stream; announced.
    pub stream_window: u32,
    /// The same for all streams of the connection together; announced.
    pub connection_window: u32,
    /// Bytes of a head after it was read, counted with 32 more for each field (RFC 9113 §6.5.2); announced.
    pub head_bytes: usize,
    /// Fields of a head; pseudo-header fields and each crumb of a cookie count.
    pub fields: usize,
    /// Frames of one header block, empty ones included.
    pub header_frames: u32,
    /// Bytes of one frame, 16 KiB at least; announced. The caller's buffer must hold one and its head
    /// of nine bytes.
    pub frame_bytes: u32,
    /// The table by which the peer compresses its heads; announced.
    pub table_bytes: usize,
    /// Answers to SETTINGS and PING, and resets, that wait to be written.
    pub queued_control: u32,
    /// Bytes of heads of open streams and of what waits to be written, together.
    pub memory: usize,
    /// DATA frames without data one after the other.
    pub empty_data: u32,
    /// Streams that had to be reset for what the peer did; one in a thousand more may be.
    pub mistakes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams: 100,
            stream_window: 64 * 1024,
            connection_window: 1024 * 1024,
            head_bytes: 32 * 1024,
            fields: 100,
            header_frames: 8,
            frame_bytes: 16 * 1024,
            table_bytes: 4096,
            queued_control: 1000,
            memory: 1024 * 1024,
            empty_data: 100,
            mistakes: 100,
        }
    }
}
