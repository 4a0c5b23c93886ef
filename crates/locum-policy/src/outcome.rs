//! How an attempt ended, and what that means to a policy.

/// What happened to an attempt, as its protocol saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An HTTP answer with this status.
    Status(u16),
    /// A gRPC answer with this status code.
    Grpc(u8),
    /// An RPC answer.
    Reply,
    /// An RPC answer that is the application's own error.
    AppError,
    /// No connection could be made; nothing was sent.
    Connect,
    /// Making the connection took longer than its own timeout; nothing was sent.
    ConnectTimeout,
    /// The peer refused the stream before processing it (HTTP/2 `REFUSED_STREAM`).
    Refused,
    /// A reused connection turned out dead, and the peer cannot have processed anything of this call.
    Stale,
    /// The connection broke after the call may have reached the peer, before an answer began.
    Reset,
    /// The answer broke after it had begun.
    Truncated,
    /// The peer answered, but not in its protocol.
    Protocol,
    /// Our attempt timeout, or the call's deadline, ended it.
    Timeout,
    /// The caller went away, or what it sent was at fault.
    Cancelled,
    /// No endpoint could be chosen, or a policy of the endpoint refused.
    Unavailable,
}

/// What an outcome counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The peer works.
    Success,
    /// The peer, or the way to it, does not.
    Failure,
    /// Says nothing about the peer.
    Ignored,
    /// The peer says that it is overloaded (429, RESOURCE_EXHAUSTED).
    Overload,
}
