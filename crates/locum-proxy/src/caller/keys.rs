//! What tells one caller from another.

use locum_policy::{Key, Keys};
use locum_wire::http1::Request;

use super::Caller;
use crate::octets::Octets;

/// The values that rate limits tell callers apart by.
pub(crate) struct CallKeys<'a> {
    request: Request<'a>,
    route: &'a str,
    identity: Option<&'a str>,
    address: Octets,
}

impl<'a> CallKeys<'a> {
    pub(crate) fn new(caller: &'a Caller<'_>, route: &'a str) -> Self {
        let address = Octets::of(caller.client_address());
        let identity = caller.identity();
        Self { request: caller.request, route, identity, address }
    }
}

impl Keys for CallKeys<'_> {
    fn key(&self, part: &Key) -> Option<&[u8]> {
        match part {
            Key::ClientIp => Some(self.address.bytes()),
            Key::Header(name) => self
                .request
                .fields()
                .find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))
                .map(|field| field.value),
            Key::Method => Some(self.request.method()),
            Key::Route => Some(self.route.as_bytes()),
            Key::Identity => self.identity.map(str::as_bytes),
        }
    }
}
