//! What a configuration may hold and nobody is shown: the values of fields and parameters that are secrets by
//! their names.

use std::collections::BTreeMap;

use serde::Serializer;

/// What is shown in place of a secret.
const HIDDEN: &str = "***";
/// Whatever has one of these in its name.
const WORDS: [&str; 4] = ["token", "secret", "password", "passwd"];
const FIELDS: [&str; 6] =
    ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key"];
const PARAMETERS: [&str; 6] = ["key", "api_key", "apikey", "code", "sig", "signature"];

/// The value of a header field, if it may be shown.
pub(crate) fn field<'v>(name: &str, value: &'v str) -> &'v str {
    show(name, value, &FIELDS)
}

/// The value of a query parameter, if it may be shown.
pub(crate) fn parameter<'v>(name: &str, value: &'v str) -> &'v str {
    show(name, value, &PARAMETERS)
}

fn show<'v>(name: &str, value: &'v str, secret: &[&str]) -> &'v str {
    let name = name.to_ascii_lowercase();
    let hides = secret.contains(&&*name) || WORDS.iter().any(|word| name.contains(word));
    if hides { HIDDEN } else { value }
}

pub(super) fn fields<S: Serializer>(
    all: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(all.iter().map(|(name, value)| (name, field(name, value))))
}

pub(super) fn parameters<S: Serializer>(
    all: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(all.iter().map(|(name, value)| (name, parameter(name, value))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in ["Authorization", "COOKIE", "x-api-key", "X-Auth-Token", "client-secret"] {
            assert_eq!(field(name, "s3cret"), HIDDEN, "{name}");
        }
        for name in ["key", "Access_Token", "sig", "code", "password", "x-token"] {
            assert_eq!(parameter(name, "s3cret"), HIDDEN, "{name}");
        }
        for name in ["x-tier", "key", "accept"] {
            assert_eq!(field(name, "gold"), "gold");
        }
        assert_eq!(parameter("v", "2"), "2");
    }
}
