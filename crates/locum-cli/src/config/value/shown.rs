//! What is shown of header fields: a secret by its name is `***`, as a [`Secret`](super::Secret) is.

use std::collections::BTreeMap;

use serde::Serializer;

/// The value of a field, if it may be shown.
pub(crate) fn value<'a>(name: &str, value: &'a str) -> &'a str {
    let is_secret = SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret));
    if is_secret { "***" } else { value }
}

pub(crate) fn serialize<S: Serializer>(
    fields: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|(name, text)| (name, value(name, text))))
}

/// The fields that are redacted wherever calls are told of.
const SECRETS: [&str; 5] =
    ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        assert_eq!(value("Authorization", "Bearer a"), "***");
        assert_eq!(value("x-api-key", "a"), "***");
        assert_eq!(value("x-tier", "gold"), "gold");
    }
}
