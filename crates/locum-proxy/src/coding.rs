//! Codings of content, and which of them a client takes (RFC 9110 §8.4.1, §12.5.3).

use locum_wire::http1::{Name, Request};

/// A coding of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// As fields have it, and the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// What the names of files in this coding end with.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zst",
            Self::Gzip => "gz",
        }
    }

    fn is(self, name: &[u8]) -> bool {
        let older = self == Self::Gzip && name.eq_ignore_ascii_case(b"x-gzip");
        older || name.eq_ignore_ascii_case(self.name().as_bytes())
    }
}

/// Of `offered`, best first, what the client takes rather than the content as it is: what it likes most first, and
/// what it likes as much as another in the order of the offer.
pub(crate) fn acceptable(request: &Request<'_>, offered: &[Coding]) -> Vec<Coding> {
    let lines = request.fields().filter(|field| field.kind == Name::AcceptEncoding);
    let items = lines.flat_map(|field| field.value.split(|byte| *byte == b','));
    let (mut any, mut identity) = (0, 0);
    let mut named = vec![None; offered.len()];
    for (name, weight) in items.map(item) {
        match name {
            b"*" => any = weight,
            name if name.eq_ignore_ascii_case(b"identity") => identity = weight,
            name => {
                let of_name = offered.iter().position(|coding| coding.is(name));
                of_name.into_iter().for_each(|at| named[at] = Some(weight));
            }
        }
    }
    let weighed = offered.iter().zip(named);
    let weighed = weighed.map(|(coding, weight)| (*coding, weight.unwrap_or(any)));
    let mut taken: Vec<_> =
        weighed.filter(|(_, weight)| *weight > 0 && *weight >= identity).collect();
    taken.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    taken.into_iter().map(|(coding, _)| coding).collect()
}

/// A name and its weight in thousandths.
fn item(text: &[u8]) -> (&[u8], u16) {
    let mut parts = text.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().unwrap_or_default();
    let weight =
        parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
    (name, weight.map_or(WHOLE, thousandths))
}

const WHOLE: u16 = 1000;

/// RFC 9110 §12.4.2. What is no weight is none at all.
fn thousandths(text: &[u8]) -> u16 {
    let (whole, fraction) = match text {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', fraction @ ..] => (whole, fraction),
        _ => return 0,
    };
    if fraction.len() > 3 || !fraction.iter().all(u8::is_ascii_digit) {
        return 0;
    }
    let digits = fraction.iter().chain(b"000").take(3);
    let fraction = digits.fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    (u16::from(whole - b'0') * WHOLE + fraction).min(WHOLE)
}

#[cfg(test)]
mod tests {
    use locum_wire::http1::{Head, Limits};

    use super::*;

    fn accepted(lines: &[&str], offered: &[Coding]) -> Vec<&'static str> {
        let lines: String = lines.iter().map(|it| format!("Accept-Encoding: {it}\r\n")).collect();
        let text = format!("GET / HTTP/1.1\r\nHost: a.test\r\n{lines}\r\n");
        let mut head = Head::new();
        assert!(head.parse_request(text.as_bytes(), &Limits::default()).unwrap());
        let request = head.request(text.as_bytes());
        acceptable(&request, offered).into_iter().map(Coding::name).collect()
    }

    #[test]
    fn what_a_client_likes_most_comes_first() {
        const ALL: &[Coding] = &[Coding::Zstd, Coding::Brotli, Coding::Gzip];
        for (line, taken) in [
            ("", &[][..]),
            ("gzip", &["gzip"]),
            ("GZIP", &["gzip"]),
            ("x-gzip", &["gzip"]),
            ("gzip, deflate, br, zstd", &["zstd", "br", "gzip"]),
            ("gzip;q=1.0, br;q=0.8", &["gzip", "br"]),
            ("gzip; q=0.5 , br ; Q=0.501", &["br", "gzip"]),
            ("br;q=0, gzip", &["gzip"]),
            ("br;q=0.000, gzip;q=0.0", &[]),
            ("*", &["zstd", "br", "gzip"]),
            ("*;q=0.1, gzip", &["gzip", "zstd", "br"]),
            ("*, zstd;q=0", &["br", "gzip"]),
            ("*;q=0", &[]),
            ("identity", &[]),
            ("identity, gzip", &["gzip"]),
            ("identity, gzip;q=0.9", &[]),
            ("identity;q=0.5, gzip;q=0.9, br;q=0.4", &["gzip"]),
            ("identity;q=0", &[]),
            ("gzip;q=2, br;q=0.1234, zstd;q=x", &[]),
            ("gzip;q=1.5", &["gzip"]),
            (",, ,gzip,", &["gzip"]),
            ("gzip;level=1;q=0", &[]),
        ] {
            assert_eq!(accepted(&[line], ALL), taken, "{line:?}");
        }
        assert_eq!(accepted(&["gzip;q=0.5", "br"], ALL), ["br", "gzip"], "two lines");
        assert_eq!(accepted(&[], ALL), [""; 0]);
        assert_eq!(accepted(&["gzip, br"], &[Coding::Gzip]), ["gzip"], "nothing else is offered");
    }
}
