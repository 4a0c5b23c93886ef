//! Who a request is for: the grammar of Host (RFC 9110 §7.2, RFC 3986 §3.2).

use std::net::Ipv6Addr;

use super::byte::{self, HOST};

/// Whether `authority` is a host with an optional port.
///
/// Narrower than RFC 3986: no user (RFC 9110 §4.2.4), no empty host (§4.2.1), none of the
/// delimiters and percent encodings that a registered name may have but a host on a network has
/// not, a port that can be connected to. An empty port is legal.
pub(crate) fn is_valid(authority: &[u8]) -> bool {
    let (host_is_valid, port) = match authority {
        [b'[', rest @ ..] => {
            let Some(end) = memchr::memchr(b']', rest) else { return false };
            (is_ipv6(&rest[..end]), &rest[end + 1..])
        }
        _ => {
            let end = authority.iter().position(|&it| !byte::is(it, HOST));
            let (host, port) = authority.split_at(end.unwrap_or(authority.len()));
            (!host.is_empty(), port)
        }
    };
    host_is_valid && is_port(port)
}

fn is_ipv6(address: &[u8]) -> bool {
    str::from_utf8(address).is_ok_and(|it| it.parse::<Ipv6Addr>().is_ok())
}

/// Whether `port` is nothing, or a colon and a number that fits.
fn is_port(port: &[u8]) -> bool {
    let digits = match port {
        [] => return true,
        [b':', digits @ ..] => digits,
        _ => return false,
    };
    let mut number = 0u32;
    digits.iter().all(|digit| {
        number = number.saturating_mul(10).saturating_add(u32::from(digit.wrapping_sub(b'0')));
        digit.is_ascii_digit() && number <= u32::from(u16::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn hosts_addresses_and_ports_are_valid() {
        for it in [
            "a",
            "a.test",
            "A.TEST.",
            "a_b.test",
            "a-b",
            "127.0.0.1",
            "a:",
            "a:0",
            "a:80",
            "a:65535",
            "a:00080",
            "[::1]",
            "[::1]:80",
            "[::ffff:1.2.3.4]",
            "[2001:db8::]:",
        ] {
            assert!(is_valid(it.as_bytes()), "{it}");
        }
    }

    #[test]
    fn everything_else_is_not() {
        for it in [
            "",
            ":",
            ":80",
            "a:x",
            "a:+1",
            "a:-1",
            "a:65536",
            "a:99999999999999999999",
            "a:80:81",
            "[::1",
            "::1",
            "[]",
            "[1.2.3.4]",
            "[::1]x",
            "[::1]80",
            "[fe80::1%eth0]",
            "[v1.a]",
            "u@a",
            "a/x",
            "a#x",
            "a?x",
            "a,b",
            "a b",
            "a\\b",
            "http://a",
            "a%2e",
            "\u{e9}.test",
            "a\u{1}",
            "[::1]]",
            "[[::1]]",
        ] {
            assert!(!is_valid(it.as_bytes()), "{it}");
        }
    }
}
