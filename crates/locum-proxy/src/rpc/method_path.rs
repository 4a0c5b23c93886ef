//! The one path of each method: what routes have looked at is what is called.

/// What follows the prefix of a route in the path of this method. Nothing in it looks like a template.
pub(crate) fn encode(method: &str) -> String {
    let mut path = String::with_capacity(method.len());
    for byte in method.bytes() {
        if stands_for_itself(byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

/// The text that the end of a path says, in whatever way; what is no UTF-8 becomes U+FFFD. In a path's normal
/// form each `%` has two digits.
pub(crate) fn decode(path: &[u8]) -> String {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, behind @ ..] = rest {
        rest = behind;
        let encoded = match (first, behind) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match encoded {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                rest = &behind[2..];
            }
            None => decoded.push(*first),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// RFC 3986 §3.3: `pchar`, and the slash between segments.
fn stands_for_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
}
