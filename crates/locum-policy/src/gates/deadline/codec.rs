//! How a deadline travels: `grpc-timeout` and milliseconds.

use std::fmt;
use std::time::Duration;

/// Reads the value of `grpc-timeout`: at most 8 digits and one of `H M S m u n`.
/// A malformed value is `None`: it is ignored and counted.
pub fn parse_grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = number(digits)?;
    // The largest value is 99,999,999 hours, which a `Duration` holds.
    let (_, nanos) = UNITS.iter().find(|(name, _)| name == unit)?;
    let seconds = number * (nanos / NANOS_PER_SECOND);
    Some(Duration::from_secs(seconds) + Duration::from_nanos(number * (nanos % NANOS_PER_SECOND)))
}

/// Writes a value of `grpc-timeout` in the finest unit that fits, rounded down.
pub fn grpc_timeout(value: Duration) -> impl fmt::Display {
    let nanos = value.as_nanos();
    let fits = UNITS
        .iter()
        .map(|(unit, size)| (nanos / u128::from(*size), *unit))
        .find(|(number, _)| *number <= MOST);
    let (number, unit) = fits.unwrap_or((MOST, b'H'));
    fmt::from_fn(move |f| write!(f, "{number}{}", char::from(unit)))
}

/// Reads a number of milliseconds, the value of `x-request-timeout-ms` and
/// `x-envoy-expected-rq-timeout-ms`. A malformed value is `None`.
pub fn parse_millis(value: &[u8]) -> Option<Duration> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    number(value).map(Duration::from_millis)
}

/// Writes a number of milliseconds, rounded down.
pub fn millis(value: Duration) -> impl fmt::Display {
    value.as_millis()
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

// gRPC over HTTP/2, "Requests": TimeoutValue has at most 8 digits.
const MOST: u128 = 99_999_999;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// From fine to coarse.
const UNITS: [(u8, u64); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', NANOS_PER_SECOND),
    (b'M', 60 * NANOS_PER_SECOND),
    (b'H', 3_600 * NANOS_PER_SECOND),
];
