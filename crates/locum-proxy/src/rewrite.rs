//! Paths, and places to go to, that are made from parts of a path.

use locum_wire::http1::{Error, path};

use crate::route::PathPattern;

/// Appends the path that `template` makes of `path`, which `pattern` matches.
///
/// # Errors
///
/// What groups of an expression bring together is none that has one reading only.
pub(crate) fn write_path(
    out: &mut Vec<u8>,
    template: &str,
    pattern: &PathPattern,
    path: &[u8],
) -> Result<(), Error> {
    let start = out.len();
    expand(out, template, pattern, path);
    normalise(out, start, pattern)
}

/// Appends the place that `template`, a path or a URL, makes of `path`, which `pattern` matches.
///
/// # Errors
///
/// As of [`write_path`].
pub(crate) fn write_place(
    out: &mut Vec<u8>,
    template: &str,
    pattern: &PathPattern,
    path: &[u8],
) -> Result<(), Error> {
    let (server, rest) = template.split_at(server_length(template));
    let (template, query) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    expand(out, server, pattern, path);
    let start = out.len();
    expand(out, template, pattern, path);
    if !template.is_empty() {
        normalise(out, start, pattern)?;
    }
    if server.is_empty() {
        // With two slashes at its beginning it would be another server's.
        let slashes = out[start..].iter().take_while(|byte| **byte == b'/').count();
        out.drain(start..start + slashes.saturating_sub(1));
    }
    expand(out, query, pattern, path);
    Ok(())
}

/// How much of a place says whose it is: `https://example.com`, `//example.com`, or nothing of a path.
pub fn server_length(place: &str) -> usize {
    let has_scheme = |at: &usize| !place.starts_with('/') && place[..*at].ends_with(':');
    let Some(at) = place.find("//").filter(|at| *at == 0 || has_scheme(at)) else { return 0 };
    let name = at + 2;
    place[name..].find(['/', '?', '#']).map_or(place.len(), |end| name + end)
}

/// What groups bring together is brought into the one form that a path has, as it may be none: `.` and `.`, `%2` and `f`.
fn normalise(out: &mut Vec<u8>, start: usize, pattern: &PathPattern) -> Result<(), Error> {
    if let PathPattern::Regex(_) = pattern {
        let normal = path::normalise(&out[start..])?.into_owned();
        out.truncate(start);
        out.extend_from_slice(&normal);
    }
    Ok(())
}

/// Appends `template` with each `{name}` replaced by that part of `path`.
fn expand(out: &mut Vec<u8>, template: &str, pattern: &PathPattern, path: &[u8]) {
    if !template.contains('{') {
        out.extend_from_slice(template.as_bytes());
        return;
    }
    let parts = pattern.parts(path);
    let mut rest = template;
    while let Some((text, tail)) = rest.split_once('{') {
        out.extend_from_slice(text.as_bytes());
        let Some((name, tail)) = tail.split_once('}') else { break };
        out.extend_from_slice(parts.get(name));
        rest = tail;
    }
    out.extend_from_slice(rest.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(
        write: fn(&mut Vec<u8>, &str, &PathPattern, &[u8]) -> Result<(), Error>,
        pattern: &str,
        template: &str,
        path: &str,
    ) -> Result<String, Error> {
        let pattern = PathPattern::parse(pattern).unwrap();
        assert!(pattern.matches(path.as_bytes()), "{path}");
        let mut out = b"> ".to_vec();
        write(&mut out, template, &pattern, path.as_bytes())?;
        Ok(String::from_utf8(out).unwrap().split_off(2))
    }

    #[test]
    fn a_path_is_made_of_parts_by_their_names_or_numbers() {
        for (pattern, template, path, expected) in [
            ("/users/{id}/posts/{post}", "/p/{post}/of/{id}", "/users/7/posts/99", "/p/99/of/7"),
            ("~/v([0-9]+)/(?<rest>.*)", "/{rest}/{1}", "/v12/a/b", "/a/b/12"),
            ("~/v([0-9]+)/(?<rest>.*)", "{0}/x", "/v12/a", "/v12/a/x"),
            ("~/a(/b)?(?<c>/c)?", "/x{1}{c}/y", "/a/c", "/x/c/y"),
            ("~/(.)(.*)", "/{2}/{1}{1}/z", "/.x", "/z"),
            ("~/(.*)", "/x/{1}", "/caf%c3%a9//b", "/x/caf%c3%a9//b"),
        ] {
            assert_eq!(made(write_path, pattern, template, path).as_deref(), Ok(expected));
        }
        for (pattern, template, path) in [
            ("~/(.)(.*)", "/{1}{1}", "/.x"),
            ("~/(%2)(.)x", "/{1}f", "/%25x"),
            ("~/(.)(.*)", "/{1}{1};x", "/.x"),
            ("~/(.*)", "{1}", "/x"),
        ] {
            assert!(made(write_path, pattern, template, path).is_err(), "{template}");
        }
    }

    #[test]
    fn a_place_is_where_its_template_says_whatever_the_parts() {
        let groups = "~/old(.*)";
        for (pattern, template, path, expected) in [
            ("/u/{id}", "https://{id}.x.test/?u={id}", "/u/7", "https://7.x.test/?u=7"),
            (groups, "https://x.test/new{1}", "/old/a", "https://x.test/new/a"),
            (groups, "https://x.test/{1}?from={1}#{1}", "/old", "https://x.test/?from=#"),
            (groups, "https://x.test", "/old/a", "https://x.test"),
            (groups, "{1}", "/old//evil.test/x", "/evil.test/x"),
            (groups, "/{1}", "/old/evil.test", "/evil.test"),
            (groups, "/../{1}", "/old/x", "error"),
        ] {
            let made = made(write_place, pattern, template, path);
            assert_eq!(made.as_deref().unwrap_or("error"), expected, "{template} of {path}");
        }
    }

    #[test]
    fn whose_a_place_is_stands_before_its_path() {
        for (place, server) in [
            ("https://x.test/a//b", "https://x.test"),
            ("https://x.test?a", "https://x.test"),
            ("https://x.test", "https://x.test"),
            ("//x.test/a", "//x.test"),
            ("/a//b", ""),
            ("/a?b=//c", ""),
            ("/a://c/d", ""),
            ("a", ""),
        ] {
            assert_eq!(&place[..server_length(place)], server, "{place}");
        }
    }
}
