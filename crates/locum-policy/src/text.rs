//! How durations, rates and sizes are written: `250ms`, `100/s`, `64KiB`.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

/// Reads a duration such as `250ms`, `1.5s`, `2h`; a plain `0` needs no unit.
///
/// # Errors
///
/// Says what was expected: a number, or a unit among those known.
pub fn parse_duration(text: &str) -> Result<Duration, Malformed> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (number, unit) = split_unit(text);
    // What most people write for a minute; nothing here is as long as a month.
    let unit = if unit == "m" { "min" } else { unit };
    let Some((_, nanos)) = DURATION_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(Malformed::new(
            text,
            "a duration such as \"250ms\", \"10s\", \"5min\" or \"1h\"",
        ));
    };
    decimal(number, *nanos)
        .map(Duration::from_nanos)
        .ok_or_else(|| Malformed::new(text, "a duration of at most 584 years"))
}

/// Writes a duration in the coarsest unit that is exact, as it is read.
pub fn duration(value: Duration) -> impl fmt::Display {
    let (number, unit) = in_units(value);
    fmt::from_fn(move |f| write!(f, "{number}{unit}"))
}

/// Writes a duration for a sentence: `10 s`.
pub(crate) fn spoken(value: Duration) -> impl fmt::Display {
    let (number, unit) = in_units(value);
    fmt::from_fn(move |f| write!(f, "{number} {unit}"))
}

fn in_units(value: Duration) -> (u128, &'static str) {
    let nanos = value.as_nanos();
    if nanos == 0 {
        return (0, "s");
    }
    let fits = |(_, size): &&(&str, u64)| nanos.is_multiple_of(u128::from(*size));
    let (unit, size) = DURATION_UNITS.iter().rev().find(fits).expect("1 ns divides everything");
    (nanos / u128::from(*size), unit)
}

/// Reads a size in bytes such as `64KiB`, `10MB`, `512B`, `512`.
///
/// # Errors
///
/// Says what was expected.
pub fn parse_size(text: &str) -> Result<u64, Malformed> {
    let (number, unit) = split_unit(text);
    SIZE_UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .and_then(|(_, bytes)| decimal(number, *bytes))
        .ok_or_else(|| Malformed::new(text, "a size such as \"64KiB\", \"10MB\" or \"512B\""))
}

/// Writes a size in the coarsest binary unit that is exact.
pub fn size(bytes: u64) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let binary = SIZE_UNITS.iter().rev().filter(|(name, _)| name.ends_with("iB"));
        for (unit, size) in binary {
            if bytes != 0 && bytes.is_multiple_of(*size) {
                return write!(f, "{}{unit}", bytes / size);
            }
        }
        write!(f, "{bytes}B")
    })
}

/// So many units in so much time, as written: `100/s`, `10/min`, `1/250ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// Units.
    pub count: NonZeroU64,
    /// The time they are for, in nanoseconds.
    pub period: NonZeroU64,
}

impl Rate {
    /// `count` units in `period`; `None` if either is zero or the period exceeds 584 years.
    pub fn new(count: u64, period: Duration) -> Option<Self> {
        let period = u64::try_from(period.as_nanos()).ok()?;
        Some(Self { count: NonZeroU64::new(count)?, period: NonZeroU64::new(period)? })
    }

    /// `count` units a second; `None` if zero.
    pub fn per_second(count: u64) -> Option<Self> {
        Self::new(count, Duration::from_secs(1))
    }

    /// The time the units are for.
    pub const fn period(self) -> Duration {
        Duration::from_nanos(self.period.get())
    }
}

impl FromStr for Rate {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let expected =
            || Malformed::new(text, "a rate such as \"100/s\", \"10/min\" or \"1/250ms\"");
        let (count, period) = text.split_once('/').ok_or_else(expected)?;
        let count = count.parse().map_err(|_| expected())?;
        let period = if period.starts_with(|c: char| c.is_ascii_digit()) {
            parse_duration(period)
        } else {
            parse_duration(&format!("1{period}"))
        };
        Self::new(count, period.map_err(|_| expected())?).ok_or_else(expected)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = duration(self.period()).to_string();
        // A period of one unit is written as the unit: `100/s`, not `100/1s`.
        let one =
            period.strip_prefix('1').filter(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()));
        write!(f, "{}/{}", self.count, one.unwrap_or(&period))
    }
}

/// A text that does not say what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What was written.
    pub text: String,
    /// What is understood in its place.
    pub expected: String,
}

impl Malformed {
    pub(crate) fn new(text: &str, expected: impl Into<String>) -> Self {
        Self { text: text.into(), expected: expected.into() }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not {}", self.text, self.expected)
    }
}

impl std::error::Error for Malformed {}

/// An enum whose values are written as words, with a good message for a word that is none of them.
macro_rules! words {
    (
        $(#[$doc:meta])*
        pub enum $name:ident { $($(#[$variant_doc:meta])* $word:literal => $variant:ident,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// How it is written.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::text::Malformed;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)*
                    _ => Err($crate::text::not_a_word(word, &[$($word),*])),
                }
            }
        }

        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::serial::text(deserializer, concat!("one of", $(" `", $word, "`"),*), str::parse)
            }
        }

        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        #[cfg(feature = "serde")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "enum": [$($word),*] })
            }
        }
    };
}

pub(crate) use words;

/// Names what is known.
pub(crate) fn not_a_word(word: &str, known: &[&str]) -> Malformed {
    let known: Vec<_> = known.iter().map(|word| format!("`{word}`")).collect();
    Malformed::new(word, format!("one of {}", known.join(", ")))
}

fn split_unit(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    text.split_at(digits)
}

/// `number` (digits with an optional fraction) times `unit`, if that is a whole number that fits.
fn decimal(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') || fraction.len() > 18 {
        return None;
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? };
    let digits = u128::from(whole.parse::<u64>().ok()?).checked_mul(scale)? + u128::from(fraction);
    let scaled = digits.checked_mul(u128::from(unit))?;
    (scaled % scale == 0).then(|| u64::try_from(scaled / scale).ok()).flatten()
}

/// From fine to coarse; the first name of a size is the one written.
const DURATION_UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

const SIZE_UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_themselves() {
        for text in ["1ns", "10us", "250ms", "10s", "90s", "5min", "36h", "2d", "0s"] {
            let value = parse_duration(text).unwrap();
            let written = duration(value).to_string();
            assert_eq!(parse_duration(&written).unwrap(), value, "{text} became {written}");
        }
        assert_eq!(duration(Duration::from_millis(1500)).to_string(), "1500ms");
        assert_eq!(parse_duration("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(parse_duration("10m"), parse_duration("10min"));
    }

    #[test]
    fn malformed_durations_say_what_was_expected() {
        for text in
            ["", "s", "10", "-1s", "1 s", "1.s", ".5s", "1M", "1e3s", "0.1ns", "999999999999h"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_read_and_write_themselves() {
        for text in ["100/s", "10/min", "3/h", "1/250ms", "7/10s"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        for text in ["0/s", "1/0s", "1", "x/s", "1/fortnight", "-1/s", "1.5/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_read_and_write_themselves() {
        assert_eq!(parse_size("64KiB").unwrap(), 65_536);
        assert_eq!(parse_size("1.5MB").unwrap(), 1_500_000);
        assert_eq!(size(65_536).to_string(), "64KiB");
        assert_eq!(size(1_000).to_string(), "1000B");
        assert!(parse_size("64 KiB").is_err());
    }
}
