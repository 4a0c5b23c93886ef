//! What a request says of what it has already, and of which part it wants (RFC 9110 §13, §14).

use std::time::{Duration, SystemTime};

use locum_wire::http1::Request;

/// The fields of a request that this hangs on.
#[derive(Default)]
pub(super) struct Conditions<'a> {
    pub(super) if_match: Option<&'a [u8]>,
    pub(super) if_none_match: Option<&'a [u8]>,
    pub(super) if_modified_since: Option<&'a [u8]>,
    pub(super) if_unmodified_since: Option<&'a [u8]>,
    pub(super) if_range: Option<&'a [u8]>,
    pub(super) range: Option<&'a [u8]>,
}

/// What is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Whole,
    /// From here to before there.
    Part(u64, u64),
    /// It has that already.
    Same,
    /// It wanted another.
    Other,
    /// The part is beyond the end.
    Beyond,
}

impl<'a> Conditions<'a> {
    pub(super) fn of(request: &Request<'a>) -> Self {
        Self {
            if_match: request.get_other(b"if-match"),
            if_none_match: request.get_other(b"if-none-match"),
            if_modified_since: request.get_other(b"if-modified-since"),
            if_unmodified_since: request.get_other(b"if-unmodified-since"),
            if_range: request.get_other(b"if-range"),
            range: request.get_other(b"range"),
        }
    }

    /// In the order of RFC 9110 §13.2.2.
    pub(super) fn judge(&self, tag: &str, modified: SystemTime, length: u64) -> Verdict {
        let modified = seconds(modified);
        let since = |field: Option<&[u8]>| date(field?).map(|date| modified <= date);
        let unchanged = match self.if_match {
            Some(list) => names(list, tag),
            None => since(self.if_unmodified_since).unwrap_or(true),
        };
        if !unchanged {
            return Verdict::Other;
        }
        let same = match self.if_none_match {
            Some(list) => names(list, tag),
            None => since(self.if_modified_since).unwrap_or(false),
        };
        if same {
            return Verdict::Same;
        }
        let still = match self.if_range {
            None => true,
            Some(field) => field == tag.as_bytes() || date(field) == Some(modified),
        };
        match self.range.filter(|_| still) {
            None => Verdict::Whole,
            Some(range) => part(range, length),
        }
    }
}

/// One range of bytes; of others nothing is understood, which is allowed.
fn part(range: &[u8], length: u64) -> Verdict {
    let parsed = || {
        let (start, end) =
            std::str::from_utf8(range).ok()?.strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true if text.is_empty() => Some(None),
            true => text.parse::<u64>().ok().map(Some),
            false => None,
        };
        Some((number(start)?, number(end)?))
    };
    match parsed() {
        None | Some((None, None)) => Verdict::Whole,
        Some((None, Some(0))) => Verdict::Beyond,
        Some((None, Some(last))) if length > 0 => {
            Verdict::Part(length.saturating_sub(last), length)
        }
        Some((None, Some(_))) => Verdict::Beyond,
        Some((Some(start), Some(end))) if end < start => Verdict::Whole,
        Some((Some(start), _)) if start >= length => Verdict::Beyond,
        Some((Some(start), end)) => {
            Verdict::Part(start, end.map_or(length, |end| end.saturating_add(1).min(length)))
        }
    }
}

/// Whether a list of tags names `tag`, weakly compared.
fn names(list: &[u8], tag: &str) -> bool {
    list.trim_ascii() == b"*"
        || list.split(|byte| *byte == b',').any(|item| {
            let item = item.trim_ascii();
            item.strip_prefix(b"W/").unwrap_or(item) == tag.as_bytes()
        })
}

fn date(field: &[u8]) -> Option<Duration> {
    let date = httpdate::parse_http_date(std::str::from_utf8(field).ok()?).ok()?;
    Some(seconds(date))
}

fn seconds(time: SystemTime) -> Duration {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_one_range_of_bytes() {
        let cases = [
            ("bytes=0-4", Verdict::Part(0, 5)),
            ("bytes=5-", Verdict::Part(5, 10)),
            ("bytes=-3", Verdict::Part(7, 10)),
            ("bytes=-30", Verdict::Part(0, 10)),
            ("bytes=8-99", Verdict::Part(8, 10)),
            ("bytes=0-18446744073709551615", Verdict::Part(0, 10)),
            ("bytes=10-", Verdict::Beyond),
            ("bytes=-0", Verdict::Beyond),
            ("bytes=4-3", Verdict::Whole),
            ("bytes=0-1,3-4", Verdict::Whole),
            ("bytes=-", Verdict::Whole),
            ("bytes=+1-2", Verdict::Whole),
            ("lines=0-4", Verdict::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(part(range.as_bytes(), 10), expected, "{range}");
        }
        assert_eq!(part(b"bytes=-1", 0), Verdict::Beyond);
    }

    #[test]
    fn conditions_are_judged_in_their_order() {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_500);
        let judge = |conditions: &Conditions<'_>| conditions.judge("\"a\"", modified, 10);
        let date = Some(&b"Sun, 06 Nov 1994 08:49:37 GMT"[..]);
        let before = Some(&b"Sun, 06 Nov 1994 08:49:36 GMT"[..]);
        let none = Conditions::default;
        let cases = [
            (none(), Verdict::Whole),
            (Conditions { if_none_match: Some(b"\"b\", W/\"a\""), ..none() }, Verdict::Same),
            (Conditions { if_none_match: Some(b"*"), ..none() }, Verdict::Same),
            (
                Conditions { if_none_match: Some(b"\"b\""), if_modified_since: date, ..none() },
                Verdict::Whole,
            ),
            (Conditions { if_modified_since: date, ..none() }, Verdict::Same),
            (Conditions { if_modified_since: before, ..none() }, Verdict::Whole),
            (Conditions { if_modified_since: Some(b"yesterday"), ..none() }, Verdict::Whole),
            (Conditions { if_match: Some(b"\"b\""), ..none() }, Verdict::Other),
            (Conditions { if_unmodified_since: before, ..none() }, Verdict::Other),
            (
                Conditions { range: Some(b"bytes=0-0"), if_range: Some(b"\"a\""), ..none() },
                Verdict::Part(0, 1),
            ),
            (
                Conditions { range: Some(b"bytes=0-0"), if_range: date, ..none() },
                Verdict::Part(0, 1),
            ),
            (
                Conditions { range: Some(b"bytes=0-0"), if_range: Some(b"\"b\""), ..none() },
                Verdict::Whole,
            ),
            (
                Conditions { range: Some(b"bytes=0-0"), if_none_match: Some(b"\"a\""), ..none() },
                Verdict::Same,
            ),
        ];
        for (index, (conditions, expected)) in cases.iter().enumerate() {
            assert_eq!(judge(conditions), *expected, "case {index}");
        }
    }
}
