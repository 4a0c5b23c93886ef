//! Names and values that travel with a call.

/// Names and values, in the order they were given. Only the native protocol carries them.
///
/// In bytes: for each, the length of the name (a LEB128 number), the name, the length of the value, the
/// value. Both are UTF-8.
///
/// ```
/// use locum_wire::rpc::Metadata;
/// let mut bytes = Vec::new();
/// Metadata::encode(&[("tenant", "blue")], &mut bytes);
/// let metadata = Metadata::parse(&bytes).unwrap();
/// assert_eq!(metadata.get("tenant"), Some("blue"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata<'a> {
    // Invariant: well-formed.
    bytes: &'a [u8],
}

impl<'a> Metadata<'a> {
    /// Those that stand in `bytes`; `None`: they are malformed.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        while !rest.is_empty() {
            text(&mut rest)?;
            text(&mut rest)?;
        }
        Some(Self { bytes })
    }

    /// Appends names and values to `out`.
    pub fn encode<N: AsRef<str>, V: AsRef<str>>(pairs: &[(N, V)], out: &mut Vec<u8>) {
        for (name, value) in pairs {
            for text in [name.as_ref(), value.as_ref()] {
                let mut length = text.len();
                while length >= 0x80 {
                    out.push(length as u8 | 0x80);
                    length >>= 7;
                }
                out.push(length as u8);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// As they travel.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || Some((text(&mut rest)?, text(&mut rest)?)))
    }

    /// The first value of that very name.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|(it, _)| *it == name).map(|(_, value)| value)
    }
}

/// A length and as much text.
fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let mut length = 0u32;
    for shift in [0, 7, 14, 21] {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        length |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            let (text, behind) = rest.split_at_checked(length as usize)?;
            *rest = behind;
            return str::from_utf8(text).ok();
        }
    }
    None
}
