//! The one normal form of a path.

use std::borrow::Cow;

use super::Error;
use super::byte::{self, PATH};

/// Brings a path into the form that routes, permissions and limits look at, and that is forwarded:
/// what was checked is what arrives.
///
/// Dot segments are removed (RFC 3986 §5.2.4), also written as `%2e`. Nothing else is decoded,
/// case is kept, and so are empty segments (`//`). The path `*` is its own normal form.
///
/// # Errors
///
/// Whatever servers are known to read in more than one way: `%00`, `%2f`, `%5c`, a `%` without two
/// hexadecimal digits, a backslash, a byte that is not a visible ASCII character of a path, a dot
/// segment with a parameter (`..;x`), and climbing above the root.
pub fn normalise(path: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    if path == b"*" {
        return Ok(Cow::Borrowed(path));
    }
    let [b'/', segments @ ..] = path else { return Err(Error::Path) };
    if !path.iter().all(|&it| byte::is(it, PATH)) {
        return Err(Error::Path);
    }
    // Dots are written as they are or encoded.
    if !path.iter().any(|&it| matches!(it, b'%' | b'.')) {
        return Ok(Cow::Borrowed(path));
    }
    check_encodings(path)?;
    let mut has_dots = false;
    for segment in segments.split(|&it| it == b'/') {
        has_dots |= dots(segment)? != Dots::None;
    }
    if !has_dots {
        return Ok(Cow::Borrowed(path));
    }
    remove_dots(segments).map(Cow::Owned)
}

/// What a segment means to RFC 3986 §5.2.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dots {
    /// An ordinary segment.
    None,
    /// `.`: this place.
    Here,
    /// `..`: the place above.
    Above,
}

fn remove_dots(segments: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(segments.len() + 1);
    let mut ends_in_dots = false;
    for segment in segments.split(|&it| it == b'/') {
        let dots = dots(segment)?;
        ends_in_dots = dots != Dots::None;
        match dots {
            Dots::None => {
                out.push(b'/');
                out.extend_from_slice(segment);
            }
            Dots::Here => {}
            Dots::Above => {
                let parent = memchr::memrchr(b'/', &out).ok_or(Error::PathAboveRoot)?;
                out.truncate(parent);
            }
        }
    }
    if ends_in_dots {
        out.push(b'/');
    }
    Ok(out)
}

/// Every `%` must be a byte, and none that some servers decode into a separator.
fn check_encodings(path: &[u8]) -> Result<(), Error> {
    for at in memchr::memchr_iter(b'%', path) {
        let [high, low] =
            path.get(at + 1..at + 3).and_then(|it| it.try_into().ok()).ok_or(Error::PathPercent)?;
        if !high.is_ascii_hexdigit() || !low.is_ascii_hexdigit() {
            return Err(Error::PathPercent);
        }
        if matches!([high, low.to_ascii_lowercase()], [b'0', b'0'] | [b'2', b'f'] | [b'5', b'c']) {
            return Err(Error::PathEncoded);
        }
    }
    Ok(())
}

/// Reads a segment's dots, however they are written, up to its end or its parameters.
fn dots(segment: &[u8]) -> Result<Dots, Error> {
    let mut rest = segment;
    let mut count = 0;
    loop {
        rest = match rest {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => break,
        };
        count += 1;
    }
    let dots = match count {
        1 => Dots::Here,
        2 => Dots::Above,
        _ => return Ok(Dots::None),
    };
    match rest {
        [] => Ok(dots),
        // CVE-2026-73551: some servers cut the parameter off and then see the dots.
        [b';', ..] | [b'%', b'3', b'b' | b'B', ..] => Err(Error::PathDotParameter),
        _ => Ok(Dots::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_are_removed_and_nothing_else_changes() {
        for (path, normal) in [
            ("*", "*"),
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a//b/", "/a//b/"),
            ("/.", "/"),
            ("/./", "/"),
            ("/a/.", "/a/"),
            ("/a/./b", "/a/b"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/../../c", "/c"),
            ("/a//../b", "/a/b"),
            ("//..", "/"),
            ("/public/../admin", "/admin"),
            ("/a/%2e/b", "/a/b"),
            ("/a/%2E%2e/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/a/%2e./b", "/b"),
            ("/...", "/..."),
            ("/.a/..b/c..", "/.a/..b/c.."),
            ("/a%2eb", "/a%2eb"),
            ("/%252e%252e/admin", "/%252e%252e/admin"),
            ("/a;x=1/b", "/a;x=1/b"),
            ("/...;x", "/...;x"),
            ("/x%0d%0aX-Evil:%201", "/x%0d%0aX-Evil:%201"),
            ("/caf%c3%a9", "/caf%c3%a9"),
            ("/a/{b}|[c]^", "/a/{b}|[c]^"),
        ] {
            let is = normalise(path.as_bytes());
            assert_eq!(
                is.as_deref().map(<[u8]>::escape_ascii).map(|it| it.to_string()).ok(),
                Some(normal.as_bytes().escape_ascii().to_string()),
                "{path}"
            );
        }
    }

    #[test]
    fn what_servers_disagree_about_is_refused() {
        for (path, error) in [
            ("", Error::Path),
            ("a", Error::Path),
            ("**", Error::Path),
            ("/a b", Error::Path),
            ("/a\\b", Error::Path),
            ("/a?b", Error::Path),
            ("/a#b", Error::Path),
            ("/a\u{0}", Error::Path),
            ("/a\u{7f}", Error::Path),
            ("/caf\u{e9}", Error::Path),
            ("/%", Error::PathPercent),
            ("/%2", Error::PathPercent),
            ("/%2/a", Error::PathPercent),
            ("/%zz", Error::PathPercent),
            ("/%+1", Error::PathPercent),
            ("/a%00", Error::PathEncoded),
            ("/a%2fb", Error::PathEncoded),
            ("/a%2Fb", Error::PathEncoded),
            ("/a%5cb", Error::PathEncoded),
            ("/a%5Cb", Error::PathEncoded),
            ("/a/..;x/b", Error::PathDotParameter),
            ("/a/.;/b", Error::PathDotParameter),
            ("/a/%2e%2e%3bx/b", Error::PathDotParameter),
            ("/a/.%2E%3B", Error::PathDotParameter),
            ("/..", Error::PathAboveRoot),
            ("/../", Error::PathAboveRoot),
            ("/a/../../b", Error::PathAboveRoot),
            ("/./..", Error::PathAboveRoot),
            ("/%2e%2e", Error::PathAboveRoot),
        ] {
            assert_eq!(normalise(path.as_bytes()), Err(error), "{path}");
        }
    }
}
