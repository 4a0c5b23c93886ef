//! How a call fails on the wire.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// What a peer says in place of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure<'a> {
    /// Whose fault it is.
    pub class: Class,
    /// A sentence; on net/rpc it is all there is.
    pub text: Cow<'a, str>,
    /// The application's own number, where the protocol has room for one.
    pub code: Option<i64>,
    /// The application's error as a value, where the protocol has room for one: postcard on the native
    /// protocol, JSON on JSON-RPC.
    pub detail: Option<Cow<'a, [u8]>>,
    /// What there is to know of a refusal, if it is one.
    pub refusal: Option<Refusal>,
    /// The text as it came, where it is no UTF-8: Go's strings are bytes. Of such, `text` is the readable
    /// likeness; who passes a failure on over net/rpc passes these.
    pub verbatim: Option<Cow<'a, [u8]>>,
}

/// Whose fault a failure is. Classes are never collapsed: a policy's refusal is not the service's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The service's own error.
    App,
    /// There is no such service or method.
    UnknownMethod,
    /// The arguments could not be read.
    BadArguments,
    /// A policy refused the call.
    Rejected,
    /// Its time was over; the service may have begun it.
    Deadline,
    /// Its caller gave it up.
    Cancelled,
    /// The server does not take calls (it drains, or is full); this one was not begun.
    Unavailable,
    /// The server is at fault: a handler panicked.
    Internal,
}

/// A policy's refusal: what stands in `locum: rejected by KIND "POLICY": REASON; retry after D`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `rate_limit`, `concurrency`, `breaker`, `deadline`, …
    pub kind: String,
    /// The policy's name; empty for a deadline that no policy set.
    pub policy: String,
    /// One stable word: `limited`, `open`, …
    pub reason: String,
    /// When to come back.
    pub retry_after: Option<Duration>,
}

impl<'a> Failure<'a> {
    /// A failure that is only text.
    pub fn new(class: Class, text: impl Into<Cow<'a, str>>) -> Self {
        Self { class, text: text.into(), code: None, detail: None, refusal: None, verbatim: None }
    }

    /// The service's own error.
    pub fn app(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Class::App, text)
    }

    /// No service is called what stands before the last dot of `method`; in Go's words.
    pub fn unknown_service(method: &str) -> Self {
        Self::new(Class::UnknownMethod, format!("{UNKNOWN_SERVICE}{method}"))
    }

    /// The service has no such method; in Go's words.
    pub fn unknown_method(method: &str) -> Self {
        Self::new(Class::UnknownMethod, format!("{UNKNOWN_METHOD}{method}"))
    }

    /// `method` has no dot; in Go's words.
    pub fn ill_formed(method: &str) -> Self {
        Self::new(Class::UnknownMethod, format!("{ILL_FORMED}{method}"))
    }

    /// The argument could not be read; `text` is the decoder's.
    pub fn bad_arguments(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Class::BadArguments, text)
    }

    /// A policy refused the call. What a deadline refuses may have been begun, and is a
    /// [`Class::Deadline`].
    pub fn refused(refusal: Refusal) -> Self {
        let class = if refusal.kind == DEADLINE { Class::Deadline } else { Class::Rejected };
        Self { refusal: Some(refusal.clone()), ..Self::new(class, refusal.to_string()) }
    }

    /// The call's time was over, by a deadline that no policy set.
    pub fn deadline() -> Self {
        Self::refused(Refusal {
            kind: DEADLINE.to_owned(),
            policy: String::new(),
            reason: DEADLINE.to_owned(),
            retry_after: None,
        })
    }

    /// The caller gave the call up; in Go's words.
    pub fn cancelled() -> Self {
        Self::new(Class::Cancelled, "context canceled")
    }

    /// The server does not take the call, and did not begin it.
    pub fn unavailable(reason: &str) -> Self {
        Self::new(Class::Unavailable, format!("{UNAVAILABLE}{reason}"))
    }

    /// The server is at fault.
    pub fn internal(reason: &str) -> Self {
        Self::new(Class::Internal, format!("{INTERNAL}{reason}"))
    }

    /// What a text says that is all there is to a failure, as on net/rpc.
    ///
    /// What Go's server says of methods and arguments and what Locum says of refusals is recognised, all
    /// else is the service's own. `context canceled` is too: a handler says so that was cancelled, and so
    /// may one that was not.
    pub fn of_text(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        let begins = |beginnings: &[&str]| beginnings.iter().any(|it| text.starts_with(it));
        if let Some(refusal) = Refusal::parse(&text) {
            return Self { text, ..Self::refused(refusal) };
        }
        let class = if begins(&[UNKNOWN_SERVICE, UNKNOWN_METHOD, ILL_FORMED]) {
            Class::UnknownMethod
        } else if begins(&["gob: ", "json: cannot unmarshal ", "jsonrpc: "]) {
            Class::BadArguments
        } else if begins(&[UNAVAILABLE]) {
            Class::Unavailable
        } else if begins(&["locum: "]) {
            Class::Internal
        } else {
            Class::App
        };
        Self::new(class, text)
    }

    /// The same, of no buffer.
    pub fn into_owned(self) -> Failure<'static> {
        Failure {
            class: self.class,
            text: Cow::Owned(self.text.into_owned()),
            code: self.code,
            detail: self.detail.map(|detail| Cow::Owned(detail.into_owned())),
            refusal: self.refusal,
            verbatim: self.verbatim.map(|text| Cow::Owned(text.into_owned())),
        }
    }
}

/// `locum: rejected by KIND "POLICY": REASON[; retry after D]`; a quote in the name has a backslash before it.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = self.policy.replace('\\', r"\\").replace('"', r#"\""#);
        write!(f, "{REJECTED}{} \"{policy}\": {}", self.kind, self.reason)?;
        write_retry_after(f, self.retry_after)
    }
}

/// Says when to come back, if that is known: `; retry after 4.2s`. The time is rounded up to a tenth of a
/// second, since whoever comes back too early is refused again.
///
/// # Errors
///
/// Those of `f`.
pub fn write_retry_after(f: &mut fmt::Formatter<'_>, after: Option<Duration>) -> fmt::Result {
    let Some(after) = after else { return Ok(()) };
    let tenths = after.as_nanos().div_ceil(100_000_000);
    write!(f, "{RETRY_AFTER}{}.{}s", tenths / 10, tenths % 10)
}

impl Refusal {
    /// Reads what [`Display`](fmt::Display) writes, with any Go duration; `None`: `text` is no refusal.
    /// What may stand between the reason and the time, `: DETAIL`, is passed over.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(REJECTED)?;
        let (kind, rest) = rest.split_once(" \"")?;
        let (policy, rest) = unquote(rest)?;
        let rest = rest.strip_prefix(": ")?;
        let timed = rest.rsplit_once(RETRY_AFTER);
        let timed = timed.and_then(|(reason, after)| Some((reason, Some(duration(after)?))));
        let (reason, retry_after) = timed.unwrap_or((rest, None));
        let reason = reason.split(": ").next()?;
        Some(Self { kind: kind.to_owned(), policy, reason: reason.to_owned(), retry_after })
    }
}

/// The text up to the quote that ends it, and what stands behind that.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut unquoted = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((unquoted, chars.as_str())),
            '\\' => unquoted.push(chars.next()?),
            other => unquoted.push(other),
        }
    }
}

/// A Go duration, such as `1m30.5s` (time.ParseDuration), that is not negative.
fn duration(text: &str) -> Option<Duration> {
    let mut nanos = 0u128;
    let mut rest = text;
    loop {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(unit_at);
        let number_at = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(number_at);
        let unit: u128 = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let fraction = fraction.get(..15).unwrap_or(fraction);
        let scale = 10u128.pow(fraction.len() as u32);
        let whole = u128::from(whole.parse::<u64>().ok()?) * unit;
        let fraction = u128::from(fraction.parse::<u64>().ok()?) * unit / scale;
        nanos = nanos.checked_add(whole + fraction)?;
        rest = behind;
        if rest.is_empty() {
            let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
            return Some(Duration::new(seconds, (nanos % 1_000_000_000) as u32));
        }
    }
}

const REJECTED: &str = "locum: rejected by ";
const RETRY_AFTER: &str = "; retry after ";
const UNAVAILABLE: &str = "locum: unavailable: ";
const INTERNAL: &str = "locum: internal: ";
const DEADLINE: &str = "deadline";
// net/rpc/server.go, readRequestHeader.
const ILL_FORMED: &str = "rpc: service/method request ill-formed: ";
const UNKNOWN_SERVICE: &str = "rpc: can't find service ";
const UNKNOWN_METHOD: &str = "rpc: can't find method ";
