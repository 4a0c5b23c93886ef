//! Types that only they themselves can read, of Go's library and one more that everybody has.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::gob::{BigInt, OpaqueKind, Time, Type};

/// An opaque type that is known by its name, so that its values can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// `time.Time`.
    Time,
    /// `math/big.Int`.
    BigInt,
    /// `net/netip.Addr`.
    Addr,
    /// `net/netip.AddrPort`.
    AddrPort,
    /// `net/netip.Prefix`.
    Prefix,
    /// `net/url.URL`.
    Url,
    /// `github.com/google/uuid.UUID`, and others like it.
    Uuid,
}

impl Known {
    /// By the type's name.
    pub fn of(kind: &Type) -> Option<Self> {
        let Type::Opaque { name, kind } = kind else {
            return None;
        };
        Some(match (&**name, kind) {
            ("Time", OpaqueKind::GobEncoder) => Self::Time,
            ("Int", OpaqueKind::GobEncoder) => Self::BigInt,
            ("Addr", OpaqueKind::BinaryMarshaler) => Self::Addr,
            ("AddrPort", OpaqueKind::BinaryMarshaler) => Self::AddrPort,
            ("Prefix", OpaqueKind::BinaryMarshaler) => Self::Prefix,
            ("URL", OpaqueKind::BinaryMarshaler) => Self::Url,
            ("UUID", OpaqueKind::BinaryMarshaler) => Self::Uuid,
            _ => return None,
        })
    }

    /// By the type's name, or by what its bytes look like where it has none: to Go a pointer's type is
    /// nameless, and what `*big.Int` writes is mostly that.
    pub(super) fn of_bytes(kind: &Type, bytes: &[u8]) -> Option<Self> {
        match (kind, bytes) {
            (Type::Opaque { name, .. }, _) if !name.is_empty() => Self::of(kind),
            (Type::Opaque { kind: OpaqueKind::GobEncoder, .. }, [1, ..] | [2, 0, ..]) => {
                Some(Self::Time)
            }
            (Type::Opaque { kind: OpaqueKind::GobEncoder, .. }, [2 | 3, ..]) => Some(Self::BigInt),
            (Type::Opaque { kind: OpaqueKind::BinaryMarshaler, .. }, _) => {
                let looks = bytes.iter().all(u8::is_ascii_graphic);
                (looks && str::from_utf8(bytes).is_ok_and(is_url)).then_some(Self::Url)
            }
            _ => None,
        }
    }

    /// The same of the text that shows one, and the bytes of what it shows: `None` if it shows nothing of the
    /// type.
    pub(super) fn of_text(kind: &Type, text: &str) -> Option<(Self, Option<Vec<u8>>)> {
        let known = match kind {
            Type::Opaque { name, .. } if !name.is_empty() => Self::of(kind)?,
            Type::Opaque { kind: OpaqueKind::GobEncoder, .. } => {
                return [Self::Time, Self::BigInt]
                    .into_iter()
                    .find_map(|known| Some((known, Some(known.read(text)?))));
            }
            Type::Opaque { kind: OpaqueKind::BinaryMarshaler, .. } if is_url(text) => Self::Url,
            _ => return None,
        };
        Some((known, known.read(text)))
    }

    /// The bytes of what Go leaves out of structs.
    pub(super) fn zero(self) -> Vec<u8> {
        match self {
            Self::Time => Time::default().to_wire(),
            Self::BigInt => BigInt::default().to_wire(),
            Self::Addr | Self::Url => Vec::new(),
            Self::AddrPort => vec![0; 2],
            Self::Prefix => vec![255],
            Self::Uuid => vec![0; 16],
        }
    }

    /// Whether these are bytes of the type, though there may be no text for it.
    pub(super) fn understands(self, bytes: &[u8]) -> bool {
        match self {
            Self::Time => Time::from_wire(bytes).is_some(),
            Self::BigInt => BigInt::from_wire(bytes).is_some(),
            _ => self.show(bytes).is_some(),
        }
    }

    /// As text; for [`BigInt`](Self::BigInt) a number. `None` if the bytes are those of another type.
    pub(super) fn show(self, bytes: &[u8]) -> Option<String> {
        match self {
            Self::Time => Time::from_wire(bytes)?.to_rfc3339(),
            Self::BigInt => BigInt::from_wire(bytes)?.to_decimal(),
            Self::Addr => address(bytes),
            Self::AddrPort => {
                let (bytes, port) = bytes.split_last_chunk()?;
                let port = u16::from_le_bytes(*port);
                Some(match (&*address(bytes)?, bytes.len()) {
                    ("", _) => String::new(),
                    (address, 4) => format!("{address}:{port}"),
                    (address, _) => format!("[{address}]:{port}"),
                })
            }
            Self::Prefix => {
                let (bits, bytes) = bytes.split_last()?;
                match &*address(bytes)? {
                    "" => Some(String::new()),
                    address => Some(format!("{address}/{bits}")),
                }
            }
            Self::Url => str::from_utf8(bytes).ok().map(str::to_owned),
            Self::Uuid => {
                let bytes: &[u8; 16] = bytes.try_into().ok()?;
                let mut text = String::with_capacity(36);
                for (at, byte) in bytes.iter().enumerate() {
                    if matches!(at, 4 | 6 | 8 | 10) {
                        text.push('-');
                    }
                    text.push_str(&format!("{byte:02x}"));
                }
                Some(text)
            }
        }
    }

    /// The bytes of what a text shows; `None` if it shows nothing of the type.
    fn read(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Time => Time::parse(text).map(Time::to_wire),
            Self::BigInt => BigInt::parse(text).map(|big| big.to_wire()),
            Self::Addr => address_bytes(text),
            Self::AddrPort => {
                if text.is_empty() {
                    return Some(self.zero());
                }
                let (address, port) = text.rsplit_once(':')?;
                let address = match address.strip_prefix('[') {
                    Some(address) => address.strip_suffix(']').filter(|it| it.contains(':'))?,
                    None => Some(address).filter(|it| !it.contains(':'))?,
                };
                let mut bytes = address_bytes(address).filter(|bytes| !bytes.is_empty())?;
                bytes.extend_from_slice(&port.parse::<u16>().ok()?.to_le_bytes());
                Some(bytes)
            }
            Self::Prefix => {
                if text.is_empty() {
                    return Some(self.zero());
                }
                let (address, bits) = text.split_once('/')?;
                let mut bytes = address_bytes(address).filter(|it| matches!(it.len(), 4 | 16))?;
                let bits: u8 = bits.parse().ok()?;
                (usize::from(bits) <= bytes.len() * 8).then(|| bytes.push(bits))?;
                Some(bytes)
            }
            Self::Url => Some(text.as_bytes().to_vec()),
            Self::Uuid => {
                let dashed = text.len() == 36
                    && [8, 13, 18, 23].iter().all(|at| text.as_bytes()[*at] == b'-');
                let digits = text.replace('-', "");
                if !dashed || digits.len() != 32 {
                    return None;
                }
                let value =
                    u128::from_str_radix(&digits, 16).ok().filter(|_| !digits.starts_with('+'))?;
                Some(value.to_be_bytes().to_vec())
            }
        }
    }
}

fn is_url(text: &str) -> bool {
    text.contains("://")
}

/// `netip.Addr`: four bytes, or sixteen and a zone.
fn address(bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() {
        return Some(String::new());
    }
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).to_string());
    }
    let (bytes, zone) = bytes.split_first_chunk::<16>()?;
    let address = Ipv6Addr::from(*bytes);
    match str::from_utf8(zone).ok()? {
        "" => Some(address.to_string()),
        zone => Some(format!("{address}%{zone}")),
    }
}

fn address_bytes(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let (address, zone) =
        text.split_once('%').map_or((text, ""), |(address, zone)| (address, zone));
    match address.parse().ok()? {
        IpAddr::V4(address) if !text.contains('%') => Some(address.octets().to_vec()),
        IpAddr::V6(address) if zone.is_empty() != text.contains('%') => {
            Some([&address.octets(), zone.as_bytes()].concat())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_types_are_text_both_ways() {
        let cases: [(Known, &[u8], &str); 12] = [
            (Known::BigInt, b"\x03\x01\0", "-256"),
            (Known::Addr, b"", ""),
            (Known::Addr, &[10, 0, 0, 1], "10.0.0.1"),
            (Known::Addr, b"\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x01eth0", "fe80::1%eth0"),
            (Known::AddrPort, &[0, 0], ""),
            (Known::AddrPort, &[10, 0, 0, 1, 0x90, 0x1f], "10.0.0.1:8080"),
            (
                Known::AddrPort,
                b"\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x01e\x90\x1f",
                "[fe80::1%e]:8080",
            ),
            (Known::Prefix, &[10, 0, 0, 0, 8], "10.0.0.0/8"),
            (Known::Prefix, &[255], ""),
            (Known::Url, b"http://a/b?c", "http://a/b?c"),
            (Known::Uuid, &[0xab; 16], "abababab-abab-abab-abab-abababababab"),
            (Known::Time, b"\x01\0\0\0\x0e\x77\x91\xf7\0\0\0\0\0\xff\xff", "1970-01-01T00:00:00Z"),
        ];
        for (known, bytes, text) in cases {
            assert_eq!(known.show(bytes).as_deref(), Some(text));
            assert_eq!(known.read(text).as_deref(), Some(bytes));
            assert!(known.show(&known.zero()).is_some());
        }
    }

    #[test]
    fn pointers_are_known_by_their_bytes() {
        let gob = Type::Opaque { name: "".into(), kind: OpaqueKind::GobEncoder };
        let binary = Type::Opaque { name: "".into(), kind: OpaqueKind::BinaryMarshaler };
        let odd = Time::from_unix(0, 0).and_then(|time| time.with_offset(59)).unwrap();
        for (kind, bytes, known) in [
            (&gob, Time::default().to_wire(), Some(Known::Time)),
            (&gob, odd.to_wire(), Some(Known::Time)),
            (&gob, BigInt::from(-256).to_wire(), Some(Known::BigInt)),
            (&gob, vec![4, 5], None),
            (&binary, b"https://a/".to_vec(), Some(Known::Url)),
            (&binary, vec![10, 0, 0, 1], None),
        ] {
            assert_eq!(Known::of_bytes(kind, &bytes), known);
            if let Some(text) = known.and_then(|known| known.show(&bytes)) {
                let read = Known::of_text(kind, &text).map(|(known, _)| known);
                assert_eq!(read, known, "{text}");
            }
        }
        assert_eq!(Known::of_text(&gob, "AgE="), None);
    }

    #[test]
    fn other_text_and_other_bytes_are_refused() {
        for (known, bytes) in [
            (Known::Addr, &[1, 2, 3][..]),
            (Known::AddrPort, &[1]),
            (Known::Prefix, &[]),
            (Known::Uuid, &[1]),
            (Known::Time, &[]),
            (Known::BigInt, &[9]),
        ] {
            assert_eq!(known.show(bytes), None);
        }
        for (known, text) in [
            (Known::Addr, "10.0.0.1%a"),
            (Known::Addr, "::1%"),
            (Known::AddrPort, "::1:80"),
            (Known::AddrPort, ":80"),
            (Known::Prefix, "10.0.0.0/33"),
            (Known::Prefix, "10.0.0.0"),
            (Known::Uuid, "+bababab-abab-abab-abab-abababababab"),
            (Known::Uuid, "abababababababababababababababababab"),
        ] {
            assert_eq!(known.read(text), None, "{text}");
        }
    }
}
