//! The cookie that brings a caller back to the endpoint it was sent to.

use locum_policy::balance::Balance;
use locum_wire::http1::Request;

use super::Upstream;

/// A cookie to be set with an answer.
#[derive(Clone, Copy)]
pub(crate) struct Cookie<'a> {
    name: &'a str,
    mark: &'a [u8],
}

impl Upstream {
    /// The cookie that an answer of endpoint `index` has to set: none if the caller has it already.
    pub(crate) fn cookie(&self, index: u32, request: &Request<'_>) -> Option<Cookie<'_>> {
        let Balance::Sticky(name) = &self.settings.balance else { return None };
        let mark = self.balancer.mark(index)?;
        (value(request, name) != Some(mark)).then_some(Cookie { name, mark })
    }
}

impl Cookie<'_> {
    /// Writes the field that sets it, for as long as the browser runs and out of reach of scripts.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let Self { name, mark } = self;
        for part in [b"Set-Cookie: ", name.as_bytes(), b"=", mark, b"; Path=/; HttpOnly\r\n"] {
            out.extend_from_slice(part);
        }
    }
}

/// What the caller has as the value of the cookie `name` (RFC 6265 §4.2); of several the first.
pub(crate) fn value<'a>(request: &Request<'a>, name: &str) -> Option<&'a [u8]> {
    let lines = request.fields().filter(|field| field.name.eq_ignore_ascii_case(b"cookie"));
    let mut pairs = lines.flat_map(|field| field.value.split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(rest.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(rest))
    })
}
