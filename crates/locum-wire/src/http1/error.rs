//! Why a message is refused.

use std::fmt;

/// Why a message is refused; after it the connection must be closed.
///
/// Which parser returned it says who is at fault: an error of [`parse_request`] or of a request's
/// content is the client's and is answered with [`status`](Self::status); an error of
/// [`parse_response`] or of an answer's content is the upstream's, whatever `status` says, and is
/// a 502.
///
/// [`parse_request`]: super::Head::parse_request
/// [`parse_response`]: super::Head::parse_response
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// More empty lines before the request line than a sloppy client sends.
    EmptyLines,
    /// The first line is not method, target and version, one space apart.
    RequestLine,
    /// The method is not a token.
    Method,
    /// The method is CONNECT, TRACE or longer than any there is.
    MethodUnsupported,
    /// The request-target is not one of the four forms, or not the one its method needs.
    Target,
    /// The request-target exceeds its limit.
    TargetTooLong,
    /// The version is not `HTTP/` digit `.` digit.
    Version,
    /// The major version is not 1.
    VersionUnsupported,
    /// The first line of an answer is not version, status and reason.
    StatusLine,
    /// A carriage return that no line feed follows.
    BareCr,
    /// A line feed that no carriage return precedes.
    BareLf,
    /// A NUL byte.
    Nul,
    /// Another control byte.
    Control,
    /// A field line that continues the one before (obs-fold).
    FoldedLine,
    /// A field name that is empty, no token or without its colon.
    FieldName,
    /// White space between a field name and its colon.
    SpaceBeforeColon,
    /// A name that CGI-style servers read as a framing or forwarding field: `Content_Length`.
    UnderscoreName,
    /// The head exceeds its limit in bytes.
    HeadTooLarge,
    /// The head has more field lines than its limit.
    TooManyFields,
    /// HTTP/1.1 without Host.
    HostMissing,
    /// More than one Host line.
    HostRepeated,
    /// Host or the target's authority is not a host name or address with an optional port.
    Host,
    /// Content-Length is not one plain decimal number.
    ContentLength,
    /// More than one Content-Length line.
    ContentLengthRepeated,
    /// Transfer-Encoding is not exactly `chunked`.
    TransferEncoding,
    /// Transfer-Encoding lists codings besides the final `chunked`.
    TransferCodingUnsupported,
    /// Transfer-Encoding in a message that cannot have it: HTTP/1.0, or an answer without content.
    TransferEncodingMisplaced,
    /// Both Content-Length and Transfer-Encoding.
    LengthAndEncoding,
    /// More connection options than any sender needs.
    ConnectionOptions,
    /// An expectation other than `100-continue`.
    Expectation,
    /// A chunk size that is not plain hexadecimal, or too large for 64 bits.
    ChunkSize,
    /// A chunk extension outside its grammar.
    ChunkExtension,
    /// More chunk extensions than content.
    ChunkExtensionsTooLong,
    /// Chunk data that CRLF does not follow.
    ChunkEnd,
    /// The trailer section exceeds a limit.
    TrailersTooLarge,
    /// The path does not begin with a slash or has a byte that no path may have.
    Path,
    /// A `%` that two hexadecimal digits do not follow.
    PathPercent,
    /// An encoded byte that servers disagree about: `%00`, `%2f` or `%5c`.
    PathEncoded,
    /// A dot segment with a parameter: `..;x`.
    PathDotParameter,
    /// The path climbs above the root.
    PathAboveRoot,
}

impl Error {
    /// The status that answers it when a client is at fault.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::HeadTooLarge | Self::TooManyFields | Self::TrailersTooLarge => 431,
            Self::MethodUnsupported | Self::TransferCodingUnsupported => 501,
            Self::VersionUnsupported => 505,
            _ => 400,
        }
    }

    /// One stable word for metrics, logs and rules.
    #[must_use]
    pub fn reason(self) -> &'static str {
        self.described().0
    }

    fn described(self) -> (&'static str, &'static str) {
        match self {
            Self::EmptyLines => ("empty_lines", "too many empty lines before the request line"),
            Self::RequestLine => {
                ("request_line", "the request line is not method, target and version")
            }
            Self::Method => ("method", "the method is not a token"),
            Self::MethodUnsupported => ("method_unsupported", "the method is not supported"),
            Self::Target => ("target", "the request target is malformed"),
            Self::TargetTooLong => ("target_too_long", "the request target is too long"),
            Self::Version => ("version", "the protocol version is malformed"),
            Self::VersionUnsupported => {
                ("version_unsupported", "the protocol version is not HTTP/1.x")
            }
            Self::StatusLine => ("status_line", "the status line is malformed"),
            Self::BareCr => ("bare_cr", "a carriage return stands without its line feed"),
            Self::BareLf => ("bare_lf", "a line feed stands without its carriage return"),
            Self::Nul => ("nul", "there is a NUL byte"),
            Self::Control => ("control", "there is a control byte"),
            Self::FoldedLine => ("folded_line", "a field line continues the one before"),
            Self::FieldName => ("field_name", "a field name is malformed"),
            Self::SpaceBeforeColon => {
                ("space_before_colon", "white space stands before the colon of a field")
            }
            Self::UnderscoreName => {
                ("underscore_name", "a field name imitates another one with underscores")
            }
            Self::HeadTooLarge => ("head_too_large", "the head is too large"),
            Self::TooManyFields => ("too_many_fields", "there are too many fields"),
            Self::HostMissing => ("host_missing", "the Host field is missing"),
            Self::HostRepeated => ("host_repeated", "the Host field is repeated"),
            Self::Host => ("host", "the host is malformed"),
            Self::ContentLength => ("content_length", "Content-Length is malformed"),
            Self::ContentLengthRepeated => {
                ("content_length_repeated", "Content-Length is repeated")
            }
            Self::TransferEncoding => {
                ("transfer_encoding", "Transfer-Encoding is not exactly `chunked`")
            }
            Self::TransferCodingUnsupported => {
                ("transfer_coding_unsupported", "a transfer coding is not supported")
            }
            Self::TransferEncodingMisplaced => {
                ("transfer_encoding_misplaced", "this message cannot have Transfer-Encoding")
            }
            Self::LengthAndEncoding => (
                "length_and_encoding",
                "Content-Length and Transfer-Encoding contradict each other",
            ),
            Self::ConnectionOptions => {
                ("connection_options", "there are too many connection options")
            }
            Self::Expectation => ("expectation", "the expectation is unknown"),
            Self::ChunkSize => ("chunk_size", "a chunk size is malformed"),
            Self::ChunkExtension => ("chunk_extension", "a chunk extension is malformed"),
            Self::ChunkExtensionsTooLong => {
                ("chunk_extensions_too_long", "the chunk extensions are too long")
            }
            Self::ChunkEnd => ("chunk_end", "chunk data does not end where its size says"),
            Self::TrailersTooLarge => ("trailers_too_large", "the trailers are too large"),
            Self::Path => ("path", "the path is malformed"),
            Self::PathPercent => ("path_percent", "the path has a malformed percent encoding"),
            Self::PathEncoded => ("path_encoded", "the path has an ambiguous encoded byte"),
            Self::PathDotParameter => {
                ("path_dot_parameter", "the path has a dot segment with a parameter")
            }
            Self::PathAboveRoot => ("path_above_root", "the path climbs above the root"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.described().1)
    }
}

impl std::error::Error for Error {}
