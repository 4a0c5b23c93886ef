#![doc = include_str!("../../docs/fallback.md")]

use std::collections::BTreeMap;

use crate::call::is_token;
use crate::settings::{Error, Mode};

/// What a caller is given in place of a failure or a refusal.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema),
    serde(deny_unknown_fields, default)
)]
#[cfg_attr(feature = "serde", schemars(rename = "FallbackSettings"))]
pub struct Settings {
    /// Enforced, watched in shadow, or off; absent: as the whole policy.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub mode: Option<Mode>,
    /// The status of the answer, from 200 to 599.
    pub status: u16,
    /// The header fields of the answer; its length and date are added.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "BTreeMap::is_empty"))]
    pub headers: BTreeMap<String, String>,
    /// The body of the answer.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "String::is_empty"))]
    pub body: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { mode: None, status: 200, headers: BTreeMap::new(), body: String::new() }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if !(200..=599).contains(&self.status) {
            let reason = format!("{} is not the status of an answer", self.status);
            return Err(Error::new("fallback.status", reason, "write one from 200 to 599"));
        }
        if !self.body.is_empty() && matches!(self.status, 204 | 205 | 304) {
            let reason = format!("an answer with status {} has no body", self.status);
            return Err(Error::new("fallback.body", reason, "remove it, or change `status`"));
        }
        self.headers.iter().try_for_each(|(name, value)| check_field(name, value))
    }
}

/// Whether a field can be sent as it is, and is not one that the answer gets by itself.
fn check_field(name: &str, value: &str) -> Result<(), Error> {
    let path = format!("fallback.headers.\"{name}\"");
    if name.is_empty() || !name.bytes().all(is_token) {
        let remedy = "write letters, digits and `-`, such as \"Content-Type\"";
        return Err(Error::new(&path, "this is not the name of a header field", remedy));
    }
    if FRAMING.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        let reason = "this field is written with every answer, or belongs to one connection";
        return Err(Error::new(&path, reason, "remove it"));
    }
    // RFC 9110 §5.5: visible characters, with blanks only between them.
    let printable = value.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..));
    if !printable || value.trim_matches([' ', '\t']) != value {
        let remedy = "remove line breaks, control characters, and blanks around it";
        return Err(Error::new(&path, "this cannot stand in a header field", remedy));
    }
    Ok(())
}

const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
