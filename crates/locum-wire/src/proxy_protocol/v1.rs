//! Version 1: a line such as `PROXY TCP4 192.0.2.1 198.51.100.7 56324 443` (§2.1).

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::{Addresses, Header, Malformed, begins};

const SIGNATURE: &[u8] = b"PROXY ";
/// The longest line that can be written, with its end.
const LONGEST: usize = 107;

pub(super) fn read(input: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    if !begins(input, SIGNATURE) {
        return Err(Malformed::NotOne);
    }
    let window = &input[..input.len().min(LONGEST)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if input.len() < LONGEST { Ok(None) } else { Err(Malformed::TooLong) };
    };
    let rest = window[..end].get(SIGNATURE.len()..).ok_or(Malformed::Invalid)?;
    let header = header(rest).ok_or(Malformed::Invalid)?;
    Ok(Some((header, end + 2)))
}

fn header(rest: &[u8]) -> Option<Header> {
    let (family, rest) = match rest.iter().position(|byte| *byte == b' ') {
        Some(at) => (&rest[..at], std::str::from_utf8(&rest[at + 1..]).ok()),
        None => (rest, None),
    };
    let addresses = match family {
        // The rest of the line means nothing.
        b"UNKNOWN" => return Some(Header::Unknown),
        b"TCP4" => addresses::<Ipv4Addr>(rest?)?,
        b"TCP6" => addresses::<Ipv6Addr>(rest?)?,
        _ => return None,
    };
    Some(Header::Addresses(addresses))
}

fn addresses<A: FromStr + Into<IpAddr>>(rest: &str) -> Option<Addresses> {
    let mut parts = rest.split(' ');
    let (client, server) = (parts.next()?.parse::<A>().ok()?, parts.next()?.parse::<A>().ok()?);
    let (from, to) = (port(parts.next()?)?, port(parts.next()?)?);
    let none = parts.next().is_none();
    none.then(|| Addresses {
        client: SocketAddr::new(client.into(), from),
        server: SocketAddr::new(server.into(), to),
    })
}

/// Digits alone, and no zero before others.
fn port(text: &str) -> Option<u16> {
    let plain =
        text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

pub(super) fn write(header: &Header, out: &mut Vec<u8>) {
    let Header::Addresses(Addresses { client, server }) = header else {
        return out.extend_from_slice(b"PROXY UNKNOWN\r\n");
    };
    let (from, to) = (client.port(), server.port());
    let written = match (client.ip(), server.ip()) {
        (IpAddr::V4(client), IpAddr::V4(server)) => {
            write!(out, "PROXY TCP4 {client} {server} {from} {to}\r\n")
        }
        (client, server) => {
            let (client, server) = (mapped(client), mapped(server));
            write!(out, "PROXY TCP6 {client} {server} {from} {to}\r\n")
        }
    };
    written.expect("a Vec takes everything");
}

/// The address as one of IPv6.
pub(super) fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}
