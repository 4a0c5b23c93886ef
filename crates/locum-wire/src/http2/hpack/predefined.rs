//! The fields that every peer knows from the start (RFC 7541 appendix A).

/// How many there are; the newest field of the table has the number behind them.
pub(super) const COUNT: usize = FIELDS.len();

/// The field with this number, which begins at one.
pub(super) fn get(number: usize) -> Option<(&'static [u8], &'static [u8])> {
    FIELDS.get(number.checked_sub(1)?).copied()
}

/// The number of the first field called `name`, which is lower case.
pub(super) fn find(name: &[u8]) -> Option<usize> {
    let [first, .., last] = name else { return None };
    let at = usize::from(TABLE[slot(SEED, name.len(), *first, *last)]);
    (at > 0 && FIELDS[at - 1].0 == name).then_some(at)
}

/// The number of the field with this value, among those called as the one with number `first`.
pub(super) fn find_value(first: usize, value: &[u8]) -> Option<usize> {
    let run = usize::from(RUNS[first - 1]);
    (first..first + run).find(|number| FIELDS[number - 1].1 == value)
}

static FIELDS: [(&[u8], &[u8]); 61] = [
    (b":authority", b""),
    (b":method", b"GET"),
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":path", b"/index.html"),
    (b":scheme", b"http"),
    (b":scheme", b"https"),
    (b":status", b"200"),
    (b":status", b"204"),
    (b":status", b"206"),
    (b":status", b"304"),
    (b":status", b"400"),
    (b":status", b"404"),
    (b":status", b"500"),
    (b"accept-charset", b""),
    (b"accept-encoding", b"gzip, deflate"),
    (b"accept-language", b""),
    (b"accept-ranges", b""),
    (b"accept", b""),
    (b"access-control-allow-origin", b""),
    (b"age", b""),
    (b"allow", b""),
    (b"authorization", b""),
    (b"cache-control", b""),
    (b"content-disposition", b""),
    (b"content-encoding", b""),
    (b"content-language", b""),
    (b"content-length", b""),
    (b"content-location", b""),
    (b"content-range", b""),
    (b"content-type", b""),
    (b"cookie", b""),
    (b"date", b""),
    (b"etag", b""),
    (b"expect", b""),
    (b"expires", b""),
    (b"from", b""),
    (b"host", b""),
    (b"if-match", b""),
    (b"if-modified-since", b""),
    (b"if-none-match", b""),
    (b"if-range", b""),
    (b"if-unmodified-since", b""),
    (b"last-modified", b""),
    (b"link", b""),
    (b"location", b""),
    (b"max-forwards", b""),
    (b"proxy-authenticate", b""),
    (b"proxy-authorization", b""),
    (b"range", b""),
    (b"referer", b""),
    (b"refresh", b""),
    (b"retry-after", b""),
    (b"server", b""),
    (b"set-cookie", b""),
    (b"strict-transport-security", b""),
    (b"transfer-encoding", b""),
    (b"user-agent", b""),
    (b"vary", b""),
    (b"via", b""),
    (b"www-authenticate", b""),
];

/// The number of the first field of each name, by [`slot`].
static TABLE: [u8; 256] = match table(SEED) {
    Some(table) => table,
    None => panic!("the seed was chosen to have no collision"),
};

/// How many fields from this one on have its name.
static RUNS: [u8; COUNT] = {
    let mut runs = [1; COUNT];
    let mut at = COUNT - 1;
    while at > 0 {
        at -= 1;
        if is_same(FIELDS[at].0, FIELDS[at + 1].0) {
            runs[at] += runs[at + 1];
        }
    }
    runs
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
    let key = (len as u32) << 16 | (first as u32) << 8 | last as u32;
    (key.wrapping_mul(0x9e37_79b1).wrapping_mul(seed) >> 24) as usize
}

const fn table(seed: u32) -> Option<[u8; 256]> {
    let mut table = [0; 256];
    let mut at = 0;
    while at < COUNT {
        let name = FIELDS[at].0;
        at += 1;
        if at > 1 && is_same(name, FIELDS[at - 2].0) {
            continue;
        }
        let slot = slot(seed, name.len(), name[0], name[name.len() - 1]);
        if table[slot] != 0 {
            return None;
        }
        table[slot] = at as u8;
    }
    Some(table)
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_found() {
        for (at, (name, value)) in FIELDS.iter().enumerate() {
            let first = find(name).unwrap();
            assert_eq!(FIELDS[first - 1].0, *name);
            assert_eq!(find_value(first, value), Some(at + 1));
            assert_eq!(get(at + 1), Some((*name, *value)));
        }
        assert_eq!((get(0), get(62)), (None, None));
        assert_eq!(find(b""), None);
        assert_eq!(find(b"x-age"), None);
        assert_eq!(find_value(8, b"201"), None);
        assert_eq!(get(2), Some((&b":method"[..], &b"GET"[..])));
        assert_eq!(get(8), Some((&b":status"[..], &b"200"[..])));
    }
}
