//! What a policy may know of one call.

use std::fmt;
use std::str::FromStr;

use crate::Time;
use crate::text::{Malformed, not_a_word};

/// One call, as its policy sees it: no bytes, no types.
pub struct Call<'a> {
    /// The method of an RPC call, the route's name of an HTTP call; the target of `per = "method"`.
    pub method: &'a str,
    /// When it arrived.
    pub arrived: Time,
    /// The deadline a trusted peer sent along, if it sent one.
    pub deadline: Option<Time>,
    /// Whether sending it twice does no harm.
    pub idempotent: bool,
    /// What it takes from a rate limit; 0 only looks.
    pub cost: u64,
    /// 0 is shed first, 3 last.
    pub priority: u8,
    /// 1 for a first attempt of the layer above, more for its retries.
    pub attempt_above: u32,
    /// Where rate limits find their keys.
    pub keys: &'a (dyn Keys + Sync),
    /// Feeds every random choice made for this call.
    pub seed: u64,
}

/// One part of what a rate limit tells callers apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// The client's address.
    ClientIp,
    /// A request header's value, by lower-case name.
    Header(Box<str>),
    /// The method of the call.
    Method,
    /// The route's name.
    Route,
    /// Who authenticated.
    Identity,
}

impl FromStr for Key {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "client-ip" => Ok(Self::ClientIp),
            "method" => Ok(Self::Method),
            "route" => Ok(Self::Route),
            "identity" => Ok(Self::Identity),
            _ => match text.strip_prefix("header:") {
                // RFC 9110 §5.1: field names are tokens and case-insensitive.
                Some(name) if !name.is_empty() && name.bytes().all(is_token) => {
                    Ok(Self::Header(name.to_ascii_lowercase().into()))
                }
                _ => Err(not_a_word(
                    text,
                    &["client-ip", "header:NAME", "method", "route", "identity"],
                )),
            },
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientIp => f.write_str("client-ip"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Method => f.write_str("method"),
            Self::Route => f.write_str("route"),
            Self::Identity => f.write_str("identity"),
        }
    }
}

// RFC 9110 §5.6.2
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// Tells the value of a key part of one call.
pub trait Keys {
    /// The bytes of `part`; `None` where the call has none, which is a value of its own.
    fn key(&self, part: &Key) -> Option<&[u8]>;
}

/// A call without keys: everything it is limited by is one bucket.
impl Keys for () {
    fn key(&self, _: &Key) -> Option<&[u8]> {
        None
    }
}
