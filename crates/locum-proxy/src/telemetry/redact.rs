//! What of a request nobody is told: the values of parameters that are secrets by their names.

use std::borrow::Cow;

/// A query without the values that are secrets by their names.
pub(crate) fn query(query: &str) -> Cow<'_, str> {
    let is_secret = |pair: &str| pair.split_once('=').is_some_and(|(name, _)| hides(name));
    if !query.split('&').any(is_secret) {
        return Cow::Borrowed(query);
    }
    let mut out = String::with_capacity(query.len());
    for (at, pair) in query.split('&').enumerate() {
        if at > 0 {
            out.push('&');
        }
        match pair.split_once('=') {
            Some((name, _)) if hides(name) => {
                out.push_str(name);
                // As OpenTelemetry's conventions of URLs have it.
                out.push_str("=REDACTED");
            }
            _ => out.push_str(pair),
        }
    }
    Cow::Owned(out)
}

/// Whether the value of a parameter of that name is for nobody else.
fn hides(name: &str) -> bool {
    // A name that is escaped in part is the same name to whoever reads it.
    let name = decoded(name);
    let is_secret = |name: &str| SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret));
    is_secret(&name) || name.rsplit(['-', '_', '.']).next().is_some_and(is_secret)
}

fn decoded(name: &str) -> Cow<'_, str> {
    if !name.contains('%') {
        return Cow::Borrowed(name);
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |digit: u8| char::from(digit).to_digit(16);
        match tail {
            [a, b, after @ ..]
                if *first == b'%'
                    && let (Some(a), Some(b)) = (hex(*a), hex(*b)) =>
            {
                bytes.push((a * 16 + b) as u8);
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// Also as the end of a name: `api_key`, `client-secret`.
const SECRETS: &[&str] = &[
    "token",
    "key",
    "apikey",
    "secret",
    "password",
    "passwd",
    "pwd",
    "auth",
    "authorization",
    "code",
    "sig",
    "signature",
    "session",
    "jwt",
    "assertion",
    "AWSAccessKeyId",
    "sharedaccesssignature",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secrets_are_left_out() {
        for (written, told) in [
            ("a=1&b=2", "a=1&b=2"),
            ("", ""),
            ("token", "token"),
            ("token=x&a=1", "token=REDACTED&a=1"),
            ("a=1&Access_Token=x=y", "a=1&Access_Token=REDACTED"),
            (
                "api-key=&client.secret=1&x-amz-signature=2",
                "api-key=REDACTED&client.secret=REDACTED&x-amz-signature=REDACTED",
            ),
            ("monkey=1&passcodes=2&keys=3", "monkey=1&passcodes=2&keys=3"),
            ("tok%65n=x&%=1&%6=2", "tok%65n=REDACTED&%=1&%6=2"),
        ] {
            assert_eq!(query(written), told);
        }
    }
}
