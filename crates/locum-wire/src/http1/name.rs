//! The field names that matter to a proxy.

/// Declares the names once; everything else is derived from the list.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident $text:literal)*) => {
        /// A field name that matters to a proxy, or [`Other`](Self::Other).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum Name {
            $($(#[$doc])* #[doc = concat!("`", $text, "`")] $name,)*
            /// Any other name.
            Other,
        }

        const NAMES: &[(Name, &[u8])] = &[$((Name::$name, $text.as_bytes()),)*];
    };
}

names! {
    Accept "accept"
    AcceptEncoding "accept-encoding"
    Authorization "authorization"
    CacheControl "cache-control"
    Connection "connection"
    ContentEncoding "content-encoding"
    ContentLength "content-length"
    ContentRange "content-range"
    ContentType "content-type"
    Cookie "cookie"
    Date "date"
    Expect "expect"
    Forwarded "forwarded"
    Host "host"
    Http2Settings "http2-settings"
    KeepAlive "keep-alive"
    Location "location"
    MaxForwards "max-forwards"
    Origin "origin"
    Proxy "proxy"
    ProxyAuthenticate "proxy-authenticate"
    ProxyAuthorization "proxy-authorization"
    ProxyConnection "proxy-connection"
    Range "range"
    RetryAfter "retry-after"
    Server "server"
    SetCookie "set-cookie"
    Te "te"
    Traceparent "traceparent"
    Tracestate "tracestate"
    Trailer "trailer"
    TransferEncoding "transfer-encoding"
    Upgrade "upgrade"
    UserAgent "user-agent"
    Via "via"
    WwwAuthenticate "www-authenticate"
    XForwardedFor "x-forwarded-for"
    XForwardedHost "x-forwarded-host"
    XForwardedProto "x-forwarded-proto"
    XOriginalUrl "x-original-url"
    XRealIp "x-real-ip"
    XRequestId "x-request-id"
    XRewriteUrl "x-rewrite-url"
}

impl Name {
    /// How many there are, [`Other`](Self::Other) included.
    pub(super) const COUNT: usize = NAMES.len() + 1;

    /// Recognises a name in any case.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let [first, .., last] = name else { return Self::Other };
        match TABLE[slot(SEED, name.len(), *first, *last)] {
            0 => Self::Other,
            at => {
                let (candidate, text) = NAMES[usize::from(at) - 1];
                if is_same(name, text) { candidate } else { Self::Other }
            }
        }
    }

    /// The name as it is usually written, or nothing for [`Other`](Self::Other).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        NAMES
            .get(self as usize)
            .map_or("", |(_, text)| str::from_utf8(text).expect("the names are ASCII"))
    }

    /// The name in lower case, or nothing for [`Other`](Self::Other).
    pub(crate) fn in_lower_case(self) -> Option<&'static [u8]> {
        NAMES.get(self as usize).map(|it| it.1)
    }

    /// Whether the field is meant for the next hop only (RFC 9110 §7.6.1), or steers servers
    /// behind a proxy past its rules, as `Proxy` (CVE-2016-5385) and `X-Original-URL` do.
    pub(super) fn stops_here(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::Http2Settings
                | Self::KeepAlive
                | Self::Proxy
                | Self::ProxyAuthenticate
                | Self::ProxyAuthorization
                | Self::ProxyConnection
                | Self::Te
                | Self::Trailer
                | Self::TransferEncoding
                | Self::Upgrade
                | Self::XOriginalUrl
                | Self::XRewriteUrl
        )
    }
}

/// Whether `name` is `text`, which is lower case, in any case: a word at a time, because this is
/// asked for every field line.
fn is_same(name: &[u8], text: &[u8]) -> bool {
    if name.len() != text.len() {
        return false;
    }
    // The last words overlap the ones before.
    if let (Some(name_end), Some(text_end)) = (name.last_chunk(), text.last_chunk()) {
        let mut words = name.as_chunks().0.iter().zip(text.as_chunks().0);
        return words.all(|(name, text)| is_same_word(name, text))
            && is_same_word(name_end, text_end);
    }
    match (both_ends(name), both_ends(text)) {
        (Some(name), Some(text)) => is_same_word(&name, &text),
        _ => name.eq_ignore_ascii_case(text),
    }
}

/// The first four bytes and the last four of fewer than eight: all of them, some of them twice.
fn both_ends(bytes: &[u8]) -> Option<[u8; 8]> {
    let (first, last): (&[u8; 4], &[u8; 4]) = (bytes.first_chunk()?, bytes.last_chunk()?);
    let ends = u64::from(u32::from_le_bytes(*last)) << 32 | u64::from(u32::from_le_bytes(*first));
    Some(ends.to_le_bytes())
}

fn is_same_word(name: &[u8; 8], text: &[u8; 8]) -> bool {
    let (name, text) = (u64::from_le_bytes(*name), u64::from_le_bytes(*text));
    // Of the bytes in the list only letters have the bit 0x40; in them 0x20 is the case.
    let case = (text & u64::from_le_bytes([0x40; 8])) >> 1;
    name | case == text
}

/// Whether a Connection line can have the field `name` removed. What decides framing, routing and
/// identity must arrive as it was checked (the class of CVE-2022-31813).
pub(super) fn may_be_nominated(name: &[u8]) -> bool {
    let protected = matches!(
        Name::of(name),
        Name::Authorization
            | Name::ContentLength
            | Name::ContentRange
            | Name::ContentType
            | Name::ContentEncoding
            | Name::Cookie
            | Name::Expect
            | Name::Forwarded
            | Name::Host
            | Name::MaxForwards
            | Name::SetCookie
            | Name::Via
            | Name::WwwAuthenticate
            | Name::XRealIp
    );
    !protected && !is_forwarded_family(name)
}

/// Whether a server that reads `_` as `-`, as CGI does, would take `name` for a name that matters.
pub(super) fn is_underscore_twin(name: &[u8]) -> bool {
    let mut twin = [0; 32];
    let Some(twin) = twin.get_mut(..name.len()) else {
        return is_forwarded_family_twin(&name[..FORWARDED.len()]);
    };
    for (to, from) in twin.iter_mut().zip(name) {
        *to = if *from == b'_' { b'-' } else { *from };
    }
    Name::of(twin) != Name::Other || is_forwarded_family(twin)
}

const FORWARDED: &[u8] = b"x-forwarded-";

fn is_forwarded_family(name: &[u8]) -> bool {
    name.get(..FORWARDED.len()).is_some_and(|start| start.eq_ignore_ascii_case(FORWARDED))
}

fn is_forwarded_family_twin(start: &[u8]) -> bool {
    start
        .iter()
        .zip(FORWARDED)
        .all(|(is, wanted)| is.eq_ignore_ascii_case(wanted) || (*is == b'_' && *wanted == b'-'))
}

/// The position of each name in `NAMES`, plus one, by [`slot`].
static TABLE: [u8; 256] = match table(SEED) {
    Some(table) => table,
    None => panic!("the seed was chosen to have no collision"),
};

/// The first multiplier under which no two names collide; found by the compiler.
const SEED: u32 = {
    let mut seed = 1;
    while table(seed).is_none() {
        seed += 2;
    }
    seed
};

const fn slot(seed: u32, len: usize, first: u8, last: u8) -> usize {
    let key = (len as u32) << 16 | ((first | 0x20) as u32) << 8 | (last | 0x20) as u32;
    (key.wrapping_mul(0x9e37_79b1).wrapping_mul(seed) >> 24) as usize
}

const fn table(seed: u32) -> Option<[u8; 256]> {
    let mut table = [0; 256];
    let mut at = 0;
    while at < NAMES.len() {
        let name = NAMES[at].1;
        let slot = slot(seed, name.len(), name[0], name[name.len() - 1]);
        if table[slot] != 0 {
            return None;
        }
        at += 1;
        table[slot] = at as u8;
    }
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_recognised_in_any_case() {
        for (name, text) in NAMES {
            assert_eq!(Name::of(text), *name);
            assert_eq!(Name::of(&text.to_ascii_uppercase()), *name);
            assert_eq!(name.as_str().as_bytes(), *text);
        }
        for (_, text) in NAMES {
            for at in 0..text.len() {
                let mut other = text.to_vec();
                other[at] ^= 0x20;
                let is_letter = text[at].is_ascii_alphabetic();
                assert_eq!(Name::of(&other) != Name::Other, is_letter, "{}", other.escape_ascii());
                other[at] = b'!';
                assert_eq!(Name::of(&other), Name::Other, "{}", other.escape_ascii());
            }
        }
        for other in [&b""[..], b"x", b"hos", b"hoss", b"x-forwarded-port", b"content_length"] {
            assert_eq!(Name::of(other), Name::Other);
        }
    }

    #[test]
    fn underscores_do_not_hide_a_name_that_matters() {
        let long = b"X_Forwarded_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        for twin in [&b"Content_Length"[..], b"transfer_Encoding", b"X-Forwarded_For", long] {
            assert!(is_underscore_twin(twin), "{}", twin.escape_ascii());
        }
        let long = b"X_Something_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        for name in [&b"user_id"[..], b"_", b"access_token", long] {
            assert!(!is_underscore_twin(name), "{}", name.escape_ascii());
        }
    }

    #[test]
    fn a_sender_cannot_nominate_what_others_decided_by() {
        for name in [&b"Host"[..], b"cookie", b"X-Forwarded-Port", b"content-length", b"via"] {
            assert!(!may_be_nominated(name), "{}", name.escape_ascii());
        }
        assert!(may_be_nominated(b"x-secret"));
        assert!(may_be_nominated(b"te"));
    }
}
