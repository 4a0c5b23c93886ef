//! Version 2: a signature, four bytes of what and how much, addresses, and what else there is to say (§2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::v1::mapped;
use super::{Addresses, Header, LIMIT, Malformed, begins};

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and transport, and the length of the rest.
const HEAD: usize = 16;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

pub(super) fn read(input: &[u8]) -> Result<Option<(Header, usize)>, Malformed> {
    if !begins(input, SIGNATURE) {
        return Err(Malformed::NotOne);
    }
    let Some((head, rest)) = input.split_first_chunk::<HEAD>() else { return Ok(None) };
    let [.., command, family, high, low] = *head;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if HEAD + length > LIMIT {
        return Err(Malformed::TooLong);
    }
    let least = match command {
        LOCAL => 0,
        PROXY => length_of(family).ok_or(Malformed::Invalid)?,
        _ => return Err(Malformed::Invalid),
    };
    if length < least {
        return Err(Malformed::Invalid);
    }
    let Some(rest) = rest.get(..length) else { return Ok(None) };
    let header = match (command, family) {
        (LOCAL, _) => Header::Local,
        (_, TCP4) => addresses(rest, 4, |bytes| {
            <[u8; 4]>::try_from(bytes).map(|octets| Ipv4Addr::from(octets).into()).ok()
        }),
        (_, TCP6) => addresses(rest, 16, |bytes| {
            <[u8; 16]>::try_from(bytes).map(|octets| Ipv6Addr::from(octets).into()).ok()
        }),
        // Datagrams, unix sockets, or nothing said: a connection all the same.
        _ => Header::Unknown,
    };
    Ok(Some((header, HEAD + length)))
}

/// How many bytes addresses of that family take; `None`: no such family may be named.
fn length_of(family: u8) -> Option<usize> {
    let length = match family >> 4 {
        0 => 0,
        1 => 12,
        2 => 36,
        3 => 216,
        _ => return None,
    };
    (family & 0xf <= 2).then_some(length)
}

/// Two addresses, then two ports.
fn addresses(rest: &[u8], size: usize, ip: impl Fn(&[u8]) -> Option<IpAddr>) -> Header {
    let port = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
    let ends = ip(&rest[..size]).zip(ip(&rest[size..2 * size]));
    ends.map_or(Header::Unknown, |(client, server)| {
        Header::Addresses(Addresses {
            client: (client, port(2 * size)).into(),
            server: (server, port(2 * size + 2)).into(),
        })
    })
}

pub(super) fn write(header: &Header, out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    let Addresses { client, server } = match header {
        Header::Local => return out.extend_from_slice(&[LOCAL, 0, 0, 0]),
        Header::Unknown => return out.extend_from_slice(&[PROXY, 0, 0, 0]),
        Header::Addresses(addresses) => addresses,
    };
    match (client.ip(), server.ip()) {
        (IpAddr::V4(client), IpAddr::V4(server)) => {
            out.extend_from_slice(&[PROXY, TCP4, 0, 12]);
            out.extend_from_slice(&client.octets());
            out.extend_from_slice(&server.octets());
        }
        (client, server) => {
            out.extend_from_slice(&[PROXY, TCP6, 0, 36]);
            out.extend_from_slice(&mapped(client).octets());
            out.extend_from_slice(&mapped(server).octets());
        }
    }
    out.extend_from_slice(&client.port().to_be_bytes());
    out.extend_from_slice(&server.port().to_be_bytes());
}
