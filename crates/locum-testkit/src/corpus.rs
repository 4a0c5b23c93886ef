//! The corpora of malformed, ambiguous and hostile HTTP/1.1, one JSON object a line.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};

/// What a proxy should do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Refuse it.
    Reject,
    /// Pass it on, made plain.
    ForwardNormalised,
    /// One of the two.
    Either,
}

/// A request that a client sends.
#[derive(Debug, Clone, Deserialize)]
pub struct RequestCase {
    /// The name of the case.
    pub id: String,
    /// What the client sends.
    #[serde(rename = "raw_base64", deserialize_with = "bytes")]
    pub raw: Vec<u8>,
    /// Whether it then closes its sending half.
    pub half_close: bool,
    /// The stricter behaviour where the RFC leaves a choice.
    pub ours: Verdict,
    /// The statuses that refuse it.
    pub reject_status: Vec<u16>,
    /// Whether the connection must close after a refusal.
    pub must_close_after_reject: bool,
    /// Whether the connection must close after it was passed on.
    pub must_close_after_forward: bool,
    /// What the upstream may see.
    pub if_forwarded: Forwarded,
    /// The rule.
    pub section: String,
    /// The reason.
    pub note: String,
}

/// What an upstream may see of a request.
#[derive(Debug, Clone, Deserialize)]
pub struct Forwarded {
    /// At most so many requests.
    pub max_requests: usize,
    /// Targets that must not arrive.
    pub forbid_target: Vec<String>,
    /// Whether the message may be completed.
    pub complete: bool,
    /// The targets, in order.
    #[serde(default)]
    pub targets: Option<Vec<String>>,
    /// The content of the first request.
    #[serde(rename = "body_base64", default, deserialize_with = "some_bytes")]
    pub body: Option<Vec<u8>>,
    /// Names that must not arrive.
    #[serde(default)]
    pub absent_headers: Vec<String>,
    /// Names that must not arrive by our stricter reading.
    #[serde(default)]
    pub ours_absent_headers: Vec<String>,
    /// Names that must arrive.
    #[serde(default)]
    pub present_headers: Vec<String>,
    /// Lines that must arrive with exactly this value.
    #[serde(default)]
    pub equal_headers: BTreeMap<String, String>,
}

/// A response that an upstream sends.
#[derive(Debug, Clone, Deserialize)]
pub struct ResponseCase {
    /// The name of the case.
    pub id: String,
    /// What the client asked.
    #[serde(rename = "request_base64", deserialize_with = "bytes")]
    pub request: Vec<u8>,
    /// What the upstream answers.
    #[serde(rename = "raw_base64", deserialize_with = "bytes")]
    pub raw: Vec<u8>,
    /// Whether it then closes.
    pub upstream_closes: bool,
    /// The stricter behaviour where the RFC leaves a choice; to reject is to answer 502 and
    /// discard the connection.
    pub ours: Verdict,
    /// What the client may see.
    pub client: Seen,
    /// Whether the next request may go over the same upstream connection.
    pub upstream_connection_may_be_reused: bool,
    /// The rule.
    pub section: String,
    /// The reason.
    pub note: String,
}

/// What a client may see of a response that is passed on.
#[derive(Debug, Clone, Deserialize)]
pub struct Seen {
    /// The content.
    pub body: Option<String>,
    /// The status.
    pub status: Option<u16>,
    /// Text that must not be among the bytes.
    pub no_raw: Option<String>,
    /// Names that must not arrive.
    #[serde(default)]
    pub absent_headers: Vec<String>,
    /// How many Set-Cookie lines.
    pub set_cookie_lines: Option<usize>,
}

/// Reads a corpus file.
///
/// # Panics
///
/// When the file is not there or a line is not a case.
pub fn load<T: for<'de> Deserialize<'de>>(path: &Path) -> Vec<T> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines()
        .enumerate()
        .map(|(at, line)| {
            serde_json::from_str(line)
                .unwrap_or_else(|e| panic!("{}:{}: {e}", path.display(), at + 1))
        })
        .collect()
}

fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}

fn some_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
    bytes(from).map(Some)
}
