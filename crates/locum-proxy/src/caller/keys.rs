//! What tells one caller from another.

use std::net::IpAddr;

use locum_policy::{Key, Keys};
use locum_wire::http1::Request;

use super::Caller;

/// The values that rate limits tell callers apart by.
pub(crate) struct CallKeys<'a> {
    request: Request<'a>,
    route: &'a str,
    identity: Option<&'a str>,
    address: [u8; 16],
    length: usize,
}

impl<'a> CallKeys<'a> {
    pub(crate) fn new(caller: &'a Caller<'_>, route: &'a str) -> Self {
        let mut address = [0; 16];
        let length = match caller.client_address() {
            None => 0,
            Some(IpAddr::V4(v4)) => {
                address[..4].copy_from_slice(&v4.octets());
                4
            }
            Some(IpAddr::V6(v6)) => {
                address = v6.octets();
                16
            }
        };
        let identity = caller.identity();
        Self { request: caller.request, route, identity, address, length }
    }
}

impl Keys for CallKeys<'_> {
    fn key(&self, part: &Key) -> Option<&[u8]> {
        match part {
            Key::ClientIp => Some(&self.address[..self.length]),
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
