//! A balance in words.

use std::fmt;
use std::str::FromStr;

use super::Balance;
use crate::call::{Key, is_token};
use crate::text::{Malformed, not_a_word};

impl FromStr for Balance {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text.split_once(':') {
            None => match text {
                "round-robin" => return Ok(Self::RoundRobin),
                "weighted" => return Ok(Self::Weighted),
                "random" => return Ok(Self::Random),
                "least-request" => return Ok(Self::LeastRequest),
                "peak-ewma" => return Ok(Self::PeakEwma),
                _ => {}
            },
            Some(("hash", key)) => {
                if let Ok(key @ (Key::ClientIp | Key::Header(_))) = key.parse() {
                    return Ok(Self::Hash(key));
                }
            }
            // RFC 6265 §4.1.1: a cookie's name is a token.
            Some(("sticky", cookie)) if !cookie.is_empty() && cookie.bytes().all(is_token) => {
                return Ok(Self::Sticky(cookie.into()));
            }
            Some(_) => {}
        }
        Err(not_a_word(text, WORDS))
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RoundRobin => f.write_str("round-robin"),
            Self::Weighted => f.write_str("weighted"),
            Self::Random => f.write_str("random"),
            Self::LeastRequest => f.write_str("least-request"),
            Self::PeakEwma => f.write_str("peak-ewma"),
            Self::Hash(key) => write!(f, "hash:{key}"),
            Self::Sticky(cookie) => write!(f, "sticky:{cookie}"),
        }
    }
}

const WORDS: &[&str] = &[
    "round-robin",
    "weighted",
    "random",
    "least-request",
    "peak-ewma",
    "hash:header:NAME",
    "hash:client-ip",
    "sticky:COOKIE",
];
