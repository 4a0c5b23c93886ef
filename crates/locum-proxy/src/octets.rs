//! A client's address, as the bytes that limits tell clients apart by.

use std::net::IpAddr;

/// The bytes of an address; none, where there is no address.
pub(crate) struct Octets {
    bytes: [u8; 16],
    length: usize,
}

impl Octets {
    pub(crate) fn of(address: Option<IpAddr>) -> Self {
        let mut bytes = [0; 16];
        let length = match address {
            None => 0,
            Some(IpAddr::V4(v4)) => {
                bytes[..4].copy_from_slice(&v4.octets());
                4
            }
            Some(IpAddr::V6(v6)) => {
                bytes = v6.octets();
                16
            }
        };
        Self { bytes, length }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
