//! What may be written as a header field.

use super::file::HeaderEdits;
use super::findings::Findings;

/// Header edits have to be header fields, and not those that frame a message.
pub(super) fn check_edits(path: &str, edits: &HeaderEdits, findings: &mut Findings<'_>) {
    let named = edits.set.iter().map(|(name, value)| (format!("set.{name}"), name, Some(value)));
    let added = edits.add.iter().map(|(name, value)| (format!("add.{name}"), name, Some(value)));
    let removed = edits.remove.iter().enumerate();
    let removed = removed.map(|(index, name)| (format!("remove.{index}"), name, None));
    for (key, name, value) in named.chain(added).chain(removed) {
        let path = format!("{path}.{key}");
        if !is_token(name) {
            let reason = format!("`{}` is no header name", name.escape_debug());
            findings.error_in_key(&path, reason, "use letters, digits and `-`");
        } else if is_ours(name) {
            let reason = format!("`{name}` frames the message, and is the proxy's own");
            findings.error_in_key(&path, reason, "remove it");
        }
        if value.is_some_and(|value| !is_field_value(value)) {
            let reason = "the value holds a control character, or space around it";
            findings.error(&path, reason, "write it in one line, without space around it");
        }
    }
}

/// Whether the proxy writes it itself.
pub(super) fn is_ours(name: &str) -> bool {
    OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours))
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

/// RFC 9110 §5.5.
pub(super) fn is_field_value(text: &str) -> bool {
    text.trim() == text && text.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// What the proxy writes itself.
const OURS: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
