//! What went wrong, and what the peer is told of it.

use std::fmt;

/// Why a stream or a connection ends, as the peers tell each other (RFC 9113 §7).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// Nothing is wrong.
    pub const NO_ERROR: Self = Self(0x0);
    /// The peer does not keep to the protocol.
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    /// We failed.
    pub const INTERNAL_ERROR: Self = Self(0x2);
    /// The peer sent more than the window allowed.
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    /// The peer did not acknowledge SETTINGS in time.
    pub const SETTINGS_TIMEOUT: Self = Self(0x4);
    /// A frame for a stream that has ended.
    pub const STREAM_CLOSED: Self = Self(0x5);
    /// A frame has not the size it must have.
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    /// Nothing was done for the stream: it may be tried again, whatever it asked for.
    pub const REFUSED_STREAM: Self = Self(0x7);
    /// The stream is not needed any more.
    pub const CANCEL: Self = Self(0x8);
    /// A compressed head cannot be read.
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    /// The connection of a CONNECT was lost.
    pub const CONNECT_ERROR: Self = Self(0xa);
    /// The peer does too much of something.
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);
    /// The transport is not secure enough.
    pub const INADEQUATE_SECURITY: Self = Self(0xc);
    /// HTTP/1.1 is to be used instead.
    pub const HTTP_1_1_REQUIRED: Self = Self(0xd);

    fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NO_ERROR => "NO_ERROR",
            Self::PROTOCOL_ERROR => "PROTOCOL_ERROR",
            Self::INTERNAL_ERROR => "INTERNAL_ERROR",
            Self::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR",
            Self::SETTINGS_TIMEOUT => "SETTINGS_TIMEOUT",
            Self::STREAM_CLOSED => "STREAM_CLOSED",
            Self::FRAME_SIZE_ERROR => "FRAME_SIZE_ERROR",
            Self::REFUSED_STREAM => "REFUSED_STREAM",
            Self::CANCEL => "CANCEL",
            Self::COMPRESSION_ERROR => "COMPRESSION_ERROR",
            Self::CONNECT_ERROR => "CONNECT_ERROR",
            Self::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM",
            Self::INADEQUATE_SECURITY => "INADEQUATE_SECURITY",
            Self::HTTP_1_1_REQUIRED => "HTTP_1_1_REQUIRED",
            _ => return None,
        })
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The connection is over: the peer broke a rule of all its streams, or exceeded a limit. The GOAWAY
/// that says so is in the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// What the peer is told.
    pub code: ErrorCode,
    /// What it did.
    pub reason: Reason,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.code)
    }
}

impl std::error::Error for Error {}

/// Declares the reasons once: the variant, a word for metrics and rules, a clause for people.
macro_rules! reasons {
    ($($name:ident $code:ident $word:literal $clause:literal)*) => {
        /// What a peer did that is refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $(#[doc = concat!("`", $word, "`: ", $clause, ".")] $name,)*
        }

        impl Reason {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// One stable word for metrics, logs and rules.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What the peer is told.
            #[must_use]
            pub fn code(self) -> ErrorCode {
                match self { $(Self::$name => ErrorCode::$code,)* }
            }
        }

        impl fmt::Display for Reason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $clause,)* })
            }
        }
    };
}

reasons! {
    Preface PROTOCOL_ERROR "preface" "the connection does not begin as HTTP/2 does"
    SettingsFirst PROTOCOL_ERROR "settings_first" "the first frame is not SETTINGS"
    FrameSize FRAME_SIZE_ERROR "frame_size" "a frame has not the size it must have"
    FrameTooLarge FRAME_SIZE_ERROR "frame_too_large" "a frame is too large"
    StreamNumber PROTOCOL_ERROR "stream_number" "a frame names a stream that it cannot be for"
    StreamIdle PROTOCOL_ERROR "stream_idle" "a frame is for a stream that was not opened"
    StreamClosed STREAM_CLOSED "stream_closed" "a frame is for a stream that has ended"
    Padding PROTOCOL_ERROR "padding" "a frame has more padding than bytes"
    SettingValue PROTOCOL_ERROR "setting_value" "a setting has a value it cannot have"
    WindowSetting FLOW_CONTROL_ERROR "window_setting" "a setting makes a window too large"
    SettingsAck PROTOCOL_ERROR "settings_ack" "SETTINGS are acknowledged that were not sent"
    Push PROTOCOL_ERROR "push" "a peer pushes that must not"
    Continuation PROTOCOL_ERROR "continuation" "a header block is broken off, or goes on without a beginning"
    WindowIncrement PROTOCOL_ERROR "window_increment" "a window is opened by nothing"
    WindowOverflow FLOW_CONTROL_ERROR "window_overflow" "a window is opened too far"
    WindowExceeded FLOW_CONTROL_ERROR "window_exceeded" "more content comes than the window allows"
    Compression COMPRESSION_ERROR "compression" "a header block cannot be read"

    HeaderFrames ENHANCE_YOUR_CALM "header_frames" "a header block has too many frames"
    HeaderBlock ENHANCE_YOUR_CALM "header_block" "a header block is too large"
    ControlFlood ENHANCE_YOUR_CALM "control_flood" "too many frames have to be answered"
    UselessFlood ENHANCE_YOUR_CALM "useless_flood" "there are too many frames that mean nothing"
    WindowFlood ENHANCE_YOUR_CALM "window_flood" "there are too many WINDOW_UPDATE frames"
    EmptyData ENHANCE_YOUR_CALM "empty_data" "there are too many DATA frames without data"
    TinyData ENHANCE_YOUR_CALM "tiny_data" "there are too many DATA frames with hardly any data"
    MistakeFlood ENHANCE_YOUR_CALM "mistake_flood" "too many streams had to be reset"

    TooManyStreams REFUSED_STREAM "too_many_streams" "too many streams are open"
    Budget REFUSED_STREAM "budget" "the connection holds too much memory"
    HeadTooLarge ENHANCE_YOUR_CALM "head_too_large" "the head is too large"
    TooManyFields ENHANCE_YOUR_CALM "too_many_fields" "there are too many fields"
    Dependency PROTOCOL_ERROR "dependency" "a stream depends on itself"
    Pseudo PROTOCOL_ERROR "pseudo" "a pseudo-header field is unknown, repeated, misplaced or missing"
    Method PROTOCOL_ERROR "method" "the method is malformed"
    Scheme PROTOCOL_ERROR "scheme" "the scheme is malformed"
    Authority PROTOCOL_ERROR "authority" "the authority is missing or malformed"
    Host PROTOCOL_ERROR "host" "Host is repeated, or contradicts the authority"
    Path PROTOCOL_ERROR "path" "the path is malformed"
    Protocol PROTOCOL_ERROR "protocol" "the protocol of an extended CONNECT is not websocket"
    Status PROTOCOL_ERROR "status" "the status is malformed"
    FieldName PROTOCOL_ERROR "field_name" "a field name is malformed"
    FieldValue PROTOCOL_ERROR "field_value" "a field value is malformed"
    ConnectionField PROTOCOL_ERROR "connection_field" "a field belongs to a connection of HTTP/1.1"
    ContentLength PROTOCOL_ERROR "content_length" "Content-Length is malformed, repeated or not what comes"
    TrailersNotLast PROTOCOL_ERROR "trailers_not_last" "a second head does not end the stream"
    Unasked PROTOCOL_ERROR "unasked" "content comes where there can be none"
}
