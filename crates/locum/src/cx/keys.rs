//! What the rate limits of a policy tell calls apart by.

use locum_policy::{Key, Keys};

use crate::Cx;

/// The keys of one call: `header:NAME` is its metadata of that name, whatever the case; `route` is its
/// method.
pub(crate) struct CallKeys<'a> {
    cx: &'a Cx,
    method: &'a str,
    /// The peer's address as text, if a limit asks for it.
    ip: Option<String>,
}

impl<'a> CallKeys<'a> {
    /// Those of a call of `method` under `policy`.
    pub(crate) fn new(policy: &locum_policy::Policy, cx: &'a Cx, method: &'a str) -> Self {
        let mut asked = policy.settings().rate_limit.iter().flat_map(|limit| &limit.key);
        let ip = asked.any(|key| *key == Key::ClientIp).then(|| cx.peer());
        Self { cx, method, ip: ip.flatten().map(|peer| peer.ip().to_string()) }
    }
}

impl Keys for CallKeys<'_> {
    fn key(&self, part: &Key) -> Option<&[u8]> {
        let value = match part {
            Key::ClientIp => self.ip.as_deref()?,
            Key::Header(name) => {
                let mut metadata = self.cx.metadata().iter();
                metadata.find(|(it, _)| it.eq_ignore_ascii_case(name))?.1
            }
            Key::Method | Key::Route => self.method,
            Key::Identity => self.cx.identity()?,
        };
        Some(value.as_bytes())
    }
}
