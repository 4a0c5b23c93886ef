//! What the ends of a connection tell each other about themselves (RFC 9113 §6.5).

use super::Reason;

pub(super) const HEADER_TABLE_SIZE: u16 = 0x1;
const ENABLE_PUSH: u16 = 0x2;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_FRAME_SIZE: u16 = 0x5;
const MAX_HEADER_LIST_SIZE: u16 = 0x6;
/// RFC 8441 §3.
const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;

/// The window of a stream, and of the connection, before anything is said (RFC 9113 §6.9.2).
pub(super) const INITIAL_WINDOW: u32 = 65_535;

/// The largest window (RFC 9113 §6.9.1).
pub(super) const MAX_WINDOW: u32 = (1 << 31) - 1;

/// The smallest that the largest frame can be (RFC 9113 §6.5.2).
pub(super) const FRAME_SIZE: u32 = 1 << 14;

/// What the peer has told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) streams: u32,
    pub(super) window: u32,
    pub(super) frame: u32,
    /// It takes WebSockets on streams (RFC 8441 §3).
    pub(super) websockets: bool,
}

impl Peer {
    /// RFC 9113 §6.5.2: what holds before anything is told.
    pub(super) fn new() -> Self {
        Self { streams: u32::MAX, window: INITIAL_WINDOW, frame: FRAME_SIZE, websockets: false }
    }

    /// Takes in one setting. A server may not enable push, towards a client nobody may.
    pub(super) fn read(&mut self, name: u16, value: u32, from_server: bool) -> Result<(), Reason> {
        match name {
            ENABLE_PUSH if value > 1 || (from_server && value == 1) => {
                return Err(Reason::SettingValue);
            }
            MAX_CONCURRENT_STREAMS => self.streams = value,
            INITIAL_WINDOW_SIZE if value > MAX_WINDOW => return Err(Reason::WindowSetting),
            INITIAL_WINDOW_SIZE => self.window = value,
            MAX_FRAME_SIZE if !(FRAME_SIZE..1 << 24).contains(&value) => {
                return Err(Reason::SettingValue);
            }
            MAX_FRAME_SIZE => self.frame = value,
            ENABLE_CONNECT_PROTOCOL if value > 1 => return Err(Reason::SettingValue),
            ENABLE_CONNECT_PROTOCOL => self.websockets = value == 1,
            // RFC 9113 §6.5.2: what is not known is ignored. MAX_HEADER_LIST_SIZE is
            // advice, and the table is the encoder's.
            _ => {}
        }
        Ok(())
    }
}

/// What we tell, as a server.
pub(super) fn of_server(limits: &super::Limits) -> [(u16, u32); 6] {
    let [table, streams, window, frame, head] = common(limits);
    [table, streams, window, frame, head, (ENABLE_CONNECT_PROTOCOL, 1)]
}

/// What we tell, as a client: nobody may push.
pub(super) fn of_client(limits: &super::Limits) -> [(u16, u32); 5] {
    let [table, _, window, frame, head] = common(limits);
    [table, (ENABLE_PUSH, 0), window, frame, head]
}

fn common(limits: &super::Limits) -> [(u16, u32); 5] {
    [
        (HEADER_TABLE_SIZE, limits.table_bytes.min(u32::MAX as usize) as u32),
        (MAX_CONCURRENT_STREAMS, limits.streams),
        (INITIAL_WINDOW_SIZE, limits.stream_window.min(MAX_WINDOW)),
        (MAX_FRAME_SIZE, limits.frame_bytes.clamp(FRAME_SIZE, (1 << 24) - 1)),
        (MAX_HEADER_LIST_SIZE, limits.head_bytes.min(u32::MAX as usize) as u32),
    ]
}
