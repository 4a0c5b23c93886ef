//! Go's `time.Time`.

use std::time::{Duration, SystemTime};

/// A moment, and where on Earth the clock stood that told it: Go's `time.Time`.
///
/// ```
/// use locum_wire::gob::Time;
/// let time = Time::parse("2024-02-29T12:30:00.25+01:00").unwrap();
/// assert_eq!(time.unix(), (1_709_206_200, 250_000_000));
/// assert_eq!(time.to_rfc3339().unwrap(), "2024-02-29T12:30:00.25+01:00");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Time {
    /// Since the beginning of the year 1, UTC: what Go calls the zero time.
    seconds: i64,
    // Invariant: less than a second.
    nanos: u32,
    /// East of UTC, in seconds; `None` is UTC itself. Whole minutes fit an i16, and are not -1, which is how
    /// UTC is written.
    offset: Option<i32>,
}

impl Time {
    /// A moment in UTC, by seconds and nanoseconds since 1970; `None` if those are a second or more.
    pub fn from_unix(seconds: i64, nanos: u32) -> Option<Self> {
        let seconds = seconds.checked_add(UNIX)?;
        (nanos < SECOND).then_some(Self { seconds, nanos, offset: None })
    }

    /// Seconds since 1970, and nanoseconds on top of them.
    pub fn unix(self) -> (i64, u32) {
        (self.seconds.saturating_sub(UNIX), self.nanos)
    }

    /// How far east of UTC the clock stood, in seconds; `None` for UTC itself.
    pub fn offset(self) -> Option<i32> {
        self.offset
    }

    /// The same moment by a clock so many seconds east of UTC; `None` if Go could not write that.
    pub fn with_offset(self, seconds: i32) -> Option<Self> {
        let minutes = i16::try_from(seconds / 60).ok()?;
        (minutes != UTC).then_some(Self { offset: Some(seconds), ..self })
    }

    /// The bytes that Go makes of it (time/time.go MarshalBinary).
    pub fn to_wire(self) -> Vec<u8> {
        let offset = self.offset.unwrap_or(UTC_SECONDS);
        let mut bytes = Vec::with_capacity(16);
        bytes.push(if offset % 60 == 0 { 1 } else { 2 });
        bytes.extend_from_slice(&self.seconds.to_be_bytes());
        bytes.extend_from_slice(&self.nanos.to_be_bytes());
        bytes.extend_from_slice(&((offset / 60) as i16).to_be_bytes());
        if offset % 60 != 0 {
            bytes.push((offset % 60) as u8);
        }
        bytes
    }

    /// What Go made those bytes of (time/time.go UnmarshalBinary); `None` if it did not make them.
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (seconds, rest) = rest.split_first_chunk()?;
        let (nanos, rest) = rest.split_first_chunk()?;
        let (minutes, rest) = rest.split_first_chunk()?;
        let minutes = i16::from_be_bytes(*minutes);
        let over = match (version, rest) {
            (1, []) => 0,
            (2, [over]) => i32::from(over.cast_signed()),
            _ => return None,
        };
        let time = Self {
            seconds: i64::from_be_bytes(*seconds),
            nanos: u32::from_be_bytes(*nanos),
            offset: None,
        };
        if time.nanos >= SECOND {
            return None;
        }
        match i32::from(minutes) * 60 + over {
            UTC_SECONDS => Some(time),
            offset => time.with_offset(offset),
        }
    }

    /// As RFC 3339 writes it, and Go's JSON, with as many digits of the second as it needs; `None` where the
    /// year has not four digits, or the clock stands a day or more from UTC.
    pub fn to_rfc3339(self) -> Option<String> {
        let offset = self.offset.unwrap_or(0);
        let local = self.seconds.checked_add(i64::from(offset))?;
        let (year, month, day) = civil(local.div_euclid(DAY))?;
        let second = local.rem_euclid(DAY);
        if !(0..=9999).contains(&year) || offset.abs() >= DAY as i32 {
            return None;
        }
        let mut text = format!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
            second / 3600,
            second / 60 % 60,
            second % 60
        );
        if self.nanos > 0 {
            text.push_str(format!(".{:09}", self.nanos).trim_end_matches('0'));
        }
        if offset == 0 {
            text.push('Z');
        } else {
            let minutes = offset.abs() / 60;
            let sign = if offset < 0 { '-' } else { '+' };
            text.push_str(&format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60));
        }
        Some(text)
    }

    /// Reads what RFC 3339 writes. What is finer than a nanosecond is cut off, as Go does.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.as_bytes().split_first_chunk::<11>()?;
        let (clock, rest) = rest.split_first_chunk::<8>()?;
        let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T'] = *date else {
            return None;
        };
        let [h0, h1, b':', n0, n1, b':', s0, s1] = *clock else {
            return None;
        };
        let (year, month, day) =
            (digits(&[y0, y1, y2, y3])?, digits(&[m0, m1])?, digits(&[d0, d1])?);
        let (hour, minute, second) = (digits(&[h0, h1])?, digits(&[n0, n1])?, digits(&[s0, s1])?);
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let days = days(year, month, day)?;
        let (nanos, rest) = fraction(rest)?;
        let local =
            Self { seconds: days * DAY + hour * 3600 + minute * 60 + second, nanos, offset: None };
        let (sign, zone) = match rest {
            b"Z" => return Some(local),
            [b'+', zone @ ..] => (1, zone),
            [b'-', zone @ ..] => (-1, zone),
            _ => return None,
        };
        let [h0, h1, b':', m0, m1] = *zone else {
            return None;
        };
        let (hour, minute) = (digits(&[h0, h1])?, digits(&[m0, m1])?);
        if hour > 23 || minute > 59 {
            return None;
        }
        let offset = sign * (hour * 60 + minute) * 60;
        Self { seconds: local.seconds - offset, ..local }.with_offset(i32::try_from(offset).ok()?)
    }
}

impl From<SystemTime> for Time {
    /// In UTC; a moment that Go could not name becomes the nearest that it can.
    fn from(time: SystemTime) -> Self {
        let (seconds, nanos) = match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => (i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
            Err(before) => {
                let before = before.duration();
                let seconds = i64::try_from(before.as_secs()).map_or(i64::MIN, |seconds| -seconds);
                match before.subsec_nanos() {
                    0 => (seconds, 0),
                    nanos => (seconds.saturating_sub(1), SECOND - nanos),
                }
            }
        };
        Self { seconds: seconds.saturating_add(UNIX), nanos, offset: None }
    }
}

impl TryFrom<Time> for SystemTime {
    type Error = Time;

    /// Fails with the time itself where the system's clock cannot show it.
    fn try_from(time: Time) -> Result<Self, Time> {
        let (seconds, nanos) = time.unix();
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let whole = if seconds < 0 {
            Self::UNIX_EPOCH.checked_sub(whole)
        } else {
            Self::UNIX_EPOCH.checked_add(whole)
        };
        whole.and_then(|whole| whole.checked_add(Duration::from_nanos(nanos.into()))).ok_or(time)
    }
}

/// Two or four digits.
fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'))
    })
}

/// A point and digits, as nanoseconds, and what follows; nothing is none. Go takes a comma too.
fn fraction(text: &[u8]) -> Option<(u32, &[u8])> {
    let [b'.' | b',', after @ ..] = text else {
        return Some((0, text));
    };
    let count = after.iter().take_while(|it| it.is_ascii_digit()).count();
    let (fraction, rest) = after.split_at(count);
    if fraction.is_empty() {
        return None;
    }
    let padded = fraction.iter().chain(&[b'0'; 9]).take(9);
    Some((padded.fold(0, |value, digit| value * 10 + u32::from(digit - b'0')), rest))
}

/// The day of the Gregorian calendar so many days after the first of the year 1.
///
/// Years are counted from March, so that the leap day is the last; 400 of them have 146,097 days.
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    let days = days.checked_add(BEFORE_YEAR_1)?;
    let (era, day_of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    Some((year, month, day))
}

/// The other way round; `None` if there is no such day.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let (from_march_year, from_march) =
        if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (from_march_year.div_euclid(400), from_march_year.rem_euclid(400));
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let days = era * ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year
        - BEFORE_YEAR_1;
    (civil(days)? == (year, month, day)).then_some(days)
}

/// From the year 1 to 1970, in seconds.
const UNIX: i64 = 62_135_596_800;
/// From the first of March of the year 0 to the first of January of the year 1, in days.
const BEFORE_YEAR_1: i64 = 306;
/// 400 years, in days.
const ERA: i64 = 146_097;
/// In seconds.
const DAY: i64 = 86_400;
/// In nanoseconds.
const SECOND: u32 = 1_000_000_000;
/// How UTC is written, in minutes.
const UTC: i16 = -1;
const UTC_SECONDS: i32 = -60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_go_writes_them() {
        let cases: [(&str, &[u8]); 5] = [
            ("0001-01-01T00:00:00Z", b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff"),
            ("1970-01-01T00:00:00Z", b"\x01\0\0\0\x0e\x77\x91\xf7\0\0\0\0\0\xff\xff"),
            ("1970-01-01T01:00:00+01:00", b"\x01\0\0\0\x0e\x77\x91\xf7\0\0\0\0\0\0\x3c"),
            (
                "1969-12-31T23:59:59.999999999Z",
                b"\x01\0\0\0\x0e\x77\x91\xf6\xff\x3b\x9a\xc9\xff\xff\xff",
            ),
            ("1969-12-31T19:00:00.5-05:00", b"\x01\0\0\0\x0e\x77\x91\xf7\0\x1d\xcd\x65\0\xfe\xd4"),
        ];
        for (text, bytes) in cases {
            let time = Time::parse(text).unwrap();
            assert_eq!(time.to_wire(), bytes, "{text}");
            assert_eq!(Time::from_wire(bytes), Some(time), "{text}");
            assert_eq!(time.to_rfc3339().unwrap(), text);
        }
        let odd = Time::from_unix(0, 0).unwrap().with_offset(-59).unwrap();
        assert_eq!(odd.to_wire().len(), 16);
        assert_eq!(Time::from_wire(&odd.to_wire()), Some(odd));
    }

    #[test]
    fn every_day_has_its_name() {
        let mut text = String::new();
        for day in (-366..9998 * 365).step_by(97) {
            let time = Time { seconds: day * DAY + 1, nanos: 0, offset: None };
            let next = time.to_rfc3339().unwrap();
            assert!(next > text);
            assert_eq!(Time::parse(&next), Some(time));
            text = next;
        }
        let last = Time::parse("9999-12-31T23:59:59Z").unwrap();
        assert_eq!(last.unix(), (253_402_300_799, 0));
        assert_eq!(Time { seconds: last.seconds + 1, ..last }.to_rfc3339(), None);
        assert_eq!(Time { seconds: i64::MIN, ..last }.to_rfc3339(), None);
        assert_eq!(Time { seconds: i64::MAX, ..last }.to_rfc3339(), None);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2024-02-30T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:60Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00.Z",
            "2024-01-01 00:00:00Z",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00-00:01",
            "2024-01-01T00:00:00+1:00",
        ] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
        for bytes in [
            &b""[..],
            b"\x01",
            b"\x03\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff",
            b"\x01\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\0",
            b"\x02\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff",
            b"\x01\0\0\0\0\0\0\0\0\xff\0\0\0\xff\xff",
        ] {
            assert_eq!(Time::from_wire(bytes), None);
        }
    }

    #[test]
    fn times_are_system_times() {
        for (seconds, nanos) in [(0, 0), (1, 5), (-1, 5), (-1, 0), (1 << 40, 999_999_999)] {
            let time = Time::from_unix(seconds, nanos).unwrap();
            let system = SystemTime::try_from(time).unwrap();
            assert_eq!(Time::from(system), time);
        }
        let far = Time { seconds: i64::MIN, nanos: 0, offset: None };
        assert_eq!(far.unix().0, i64::MIN);
    }
}
