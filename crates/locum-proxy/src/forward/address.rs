//! A client's address in the fields that tell of it.

use std::io::Write as _;
use std::net::IpAddr;

/// A client's address as it is written into fields.
pub(super) struct Address {
    text: [u8; Self::LONGEST],
    length: usize,
    is_v6: bool,
}

impl Address {
    /// That of a v6 address with a v4 address in it.
    const LONGEST: usize = 45;

    pub(super) fn of(address: Option<IpAddr>) -> Self {
        let mut text = [0; Self::LONGEST];
        let length = match address {
            // By hand: the formatting machinery costs as much as the rest of the head.
            Some(IpAddr::V4(address)) => {
                let mut at = 0;
                for octet in address.octets() {
                    let (digits, length) = OCTETS[usize::from(octet)];
                    text[at..at + digits.len()].copy_from_slice(&digits);
                    at += usize::from(length);
                }
                // The last has a dot too.
                at - 1
            }
            Some(IpAddr::V6(address)) => {
                let mut left = &mut text[..];
                write!(left, "{address}").expect("invariant: no address is longer");
                Self::LONGEST - left.len()
            }
            None => {
                text[..UNKNOWN.len()].copy_from_slice(UNKNOWN);
                UNKNOWN.len()
            }
        };
        Self { text, length, is_v6: matches!(address, Some(IpAddr::V6(_))) }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text[..self.length]
    }

    /// What stands around it where it is a node (RFC 7239 §6): a v6 address is in brackets and quotes.
    pub(super) fn node_marks(&self) -> [&'static [u8]; 2] {
        if self.is_v6 { [b"\"[", b"]\""] } else { [b"", b""] }
    }

    /// Writes it as a node.
    pub(super) fn write_node(&self, out: &mut Vec<u8>) {
        let [before, after] = self.node_marks();
        out.extend_from_slice(before);
        out.extend_from_slice(self.text());
        out.extend_from_slice(after);
    }
}

const UNKNOWN: &[u8] = b"unknown";

/// Every octet in decimal, with a dot behind, and how many bytes that is.
static OCTETS: [([u8; 4], u8); 256] = {
    let mut octets = [([b'.'; 4], 0); 256];
    let mut octet = 0;
    while octet < 256 {
        let digits = [octet / 100, octet / 10 % 10, octet % 10];
        let mut skipped = if octet < 10 { 2 } else { (octet < 100) as usize };
        let mut at = 0;
        while skipped < digits.len() {
            octets[octet].0[at] = b'0' + digits[skipped] as u8;
            at += 1;
            skipped += 1;
        }
        octets[octet].1 = at as u8 + 1;
        octet += 1;
    }
    octets
};

#[cfg(test)]
mod tests {
    use super::*;

    fn written(address: &str) -> String {
        let address = Address::of(Some(address.parse().unwrap()));
        str::from_utf8(address.text()).unwrap().to_owned()
    }

    #[test]
    fn addresses_are_written_as_everybody_writes_them() {
        for address in [
            "127.0.0.1",
            "10.20.100.255",
            "0.0.0.0",
            "255.255.255.255",
            "99.9.199.42",
            "2001:db8::1",
            "::1",
        ] {
            assert_eq!(written(address), address);
        }
    }
}
