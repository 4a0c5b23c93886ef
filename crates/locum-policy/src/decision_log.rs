//! The decision log: one JSON object a line for every decision, the same words wherever the engine
//! runs.
//!
//! ```text
//! {"t":6899,"id":20,"event":"rejected","policy":"breaker","reason":"open","retry_after":1}
//! ```
//!
//! Times are milliseconds, rounded to the microsecond and written as short as they can be. `id`
//! is whatever its owner counts calls by; a change of a breaker's state belongs to no call and has
//! none. Events that are no decision (an endpoint passed over, a retry or a hedge that was not
//! granted, a fault injected, an answer fallen back to) have no line: what follows from them has.

use std::cell::RefCell;
use std::io::Write as _;
use std::time::Duration;

use crate::gates::breaker::{Per, State, Transition, Trigger};
use crate::{AttemptKind, Class, Event, Observer, Rejection, Time};

/// Appends the lines of one call's events to a buffer that its owner empties.
#[derive(Debug)]
pub struct Recorder<'a> {
    /// The call's number.
    pub id: u64,
    /// Where the lines go.
    pub lines: &'a RefCell<Vec<u8>>,
}

impl Observer for Recorder<'_> {
    fn event(&self, now: Time, event: &Event<'_>) {
        write(&mut self.lines.borrow_mut(), now, self.id, event);
    }
}

/// Appends the line of `event`, with its newline, to `lines`; nothing if it is no decision.
pub fn write(lines: &mut Vec<u8>, now: Time, id: u64, event: &Event<'_>) {
    let line = match event {
        Event::Admitted { kind, limit, .. } => {
            let line = Line::of_call(lines, now, id, "admitted").text("policy", kind.name());
            match limit.as_ref().map(|limit| limit.state()) {
                Some(state) => line.count("remaining", state.remaining).time("reset", state.reset),
                None => line,
            }
        }
        Event::Delayed { kind, wait, .. } => {
            Line::of_call(lines, now, id, "delayed").text("policy", kind.name()).time("wait", *wait)
        }
        Event::Rejected(rejection) => {
            Line::of_call(lines, now, id, "rejected").rejection(rejection)
        }
        Event::WouldReject(rejection) => {
            Line::of_call(lines, now, id, "would_reject").rejection(rejection)
        }
        Event::Attempt(attempt) => Line::of_call(lines, now, id, "attempt")
            .count("n", u64::from(attempt.number))
            .text("kind", kind_name(attempt.kind))
            .text_unless_empty("endpoint", attempt.endpoint.name),
        Event::Settled { kind, class, stale, .. } => {
            let line = Line::of_call(lines, now, id, "settled")
                .text("policy", kind.name())
                .text("outcome", class_name(*class));
            if *stale { line.raw("stale", b"true") } else { line }
        }
        Event::State { per, target, transition, .. } => {
            let target = if *per == Per::Upstream { "" } else { target };
            Line::of_state(lines, now).transition(target, transition)
        }
        Event::Done { outcome, attempts, took } => {
            return done(lines, now, id, outcome.name(), *attempts, *took);
        }
        Event::Skipped { .. }
        | Event::NotRetried { .. }
        | Event::NotHedged { .. }
        | Event::Injected { .. }
        | Event::FellBack { .. } => return,
    };
    line.end();
}

/// Appends the line that ends a call, with an outcome that the engine may not know: a simulator's
/// calls can be `unfinished`.
pub fn done(lines: &mut Vec<u8>, now: Time, id: u64, outcome: &str, attempts: u32, took: Duration) {
    Line::of_call(lines, now, id, "done")
        .text("outcome", outcome)
        .count("attempts", u64::from(attempts))
        .time("took", took)
        .end();
}

const fn kind_name(kind: AttemptKind) -> &'static str {
    match kind {
        AttemptKind::First => "first",
        AttemptKind::Retry => "retry",
        AttemptKind::Hedge => "hedge",
    }
}

const fn class_name(class: Class) -> &'static str {
    match class {
        Class::Success => "success",
        Class::Failure => "failure",
        Class::Ignored => "ignored",
        Class::Overload => "overload",
    }
}

/// An object that is being written.
struct Line<'a>(&'a mut Vec<u8>);

impl<'a> Line<'a> {
    fn of_call(lines: &'a mut Vec<u8>, now: Time, id: u64, event: &str) -> Self {
        Self::begin(lines, now).count("id", id).text("event", event)
    }

    fn of_state(lines: &'a mut Vec<u8>, now: Time) -> Self {
        Self::begin(lines, now).text("event", "state")
    }

    fn begin(lines: &'a mut Vec<u8>, now: Time) -> Self {
        lines.extend_from_slice(b"{\"t\":");
        let line = Self(lines);
        line.millis(now.as_nanos())
    }

    fn transition(self, target: &str, transition: &Transition) -> Self {
        let Transition { from, to, trigger, calls, failures, slow, until, .. } = *transition;
        let mut line = self
            .text("policy", "breaker")
            .text_unless_empty("target", target)
            .text("from", from.name())
            .text("to", to.name())
            .text("cause", trigger.name());
        if is_trip(trigger) {
            line = line.count("n", calls).count("failures", failures);
            if slow > 0 {
                line = line.count("slow", slow);
            }
        }
        match until {
            Some(until) if to == State::Open => line.time("until", Time::ZERO.until(until)),
            _ => line,
        }
    }

    fn rejection(self, rejection: &Rejection) -> Self {
        let line = self.text("policy", rejection.kind.name()).text("reason", rejection.reason);
        match rejection.retry_after {
            Some(after) => line.time("retry_after", after),
            None => line,
        }
    }

    fn count(self, key: &str, value: u64) -> Self {
        let line = self.key(key);
        write!(line.0, "{value}").expect("memory takes every write");
        line
    }

    fn time(self, key: &str, value: Duration) -> Self {
        self.key(key).millis(u64::try_from(value.as_nanos()).unwrap_or(u64::MAX))
    }

    fn text_unless_empty(self, key: &str, value: &str) -> Self {
        if value.is_empty() { self } else { self.text(key, value) }
    }

    fn text(self, key: &str, value: &str) -> Self {
        let line = self.key(key);
        line.0.push(b'"');
        for byte in value.bytes() {
            match byte {
                b'"' | b'\\' => line.0.extend_from_slice(&[b'\\', byte]),
                0..0x20 => write!(line.0, "\\u{byte:04x}").expect("memory takes every write"),
                _ => line.0.push(byte),
            }
        }
        line.0.push(b'"');
        line
    }

    fn raw(self, key: &str, value: &[u8]) -> Self {
        let line = self.key(key);
        line.0.extend_from_slice(value);
        line
    }

    fn key(self, key: &str) -> Self {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(key.as_bytes());
        self.0.extend_from_slice(b"\":");
        self
    }

    /// Nanoseconds as milliseconds: `1900`, `33.333`, `0.5`.
    fn millis(self, nanos: u64) -> Self {
        let micros = nanos / 1_000 + u64::from(nanos % 1_000 >= 500);
        let (whole, fraction) = (micros / 1_000, micros % 1_000);
        let written = if fraction == 0 {
            write!(self.0, "{whole}")
        } else if fraction.is_multiple_of(100) {
            write!(self.0, "{whole}.{}", fraction / 100)
        } else if fraction.is_multiple_of(10) {
            write!(self.0, "{whole}.{:02}", fraction / 10)
        } else {
            write!(self.0, "{whole}.{fraction:03}")
        };
        written.expect("memory takes every write");
        self
    }

    fn end(self) {
        self.0.extend_from_slice(b"}\n");
    }
}

/// Whether the breaker was closed before, and judged by its counts.
const fn is_trip(trigger: Trigger) -> bool {
    matches!(trigger, Trigger::Consecutive | Trigger::FailureRate | Trigger::SlowRate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Outcome;

    fn line(now: Time, event: &Event<'_>) -> String {
        let mut lines = Vec::new();
        write(&mut lines, now, 19, event);
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn a_trip_says_what_was_counted_and_until_when() {
        let transition = Transition {
            at: Time::from_millis(1_900),
            from: State::Closed,
            to: State::Open,
            trigger: Trigger::FailureRate,
            calls: 20,
            failures: 10,
            slow: 0,
            until: Some(Time::from_millis(6_900)),
        };
        let event = |per, target| {
            let event = Event::State { policy: "p", per, target, transition: &transition };
            line(transition.at, &event)
        };
        assert_eq!(
            event(Per::Upstream, "up"),
            "{\"t\":1900,\"event\":\"state\",\"policy\":\"breaker\",\"from\":\"closed\",\"to\":\"open\",\
             \"cause\":\"failure_rate\",\"n\":20,\"failures\":10,\"until\":6900}\n"
        );
        assert!(
            event(Per::Endpoint, "a\"b").contains("\"policy\":\"breaker\",\"target\":\"a\\\"b\",")
        );
    }

    #[test]
    fn times_are_short_and_nearest_to_the_microsecond() {
        for (nanos, written) in [
            (0, "0"),
            (499, "0"),
            (500, "0.001"),
            (1_000_000, "1"),
            (500_000, "0.5"),
            (250_000, "0.25"),
            (333_333_333, "333.333"),
            (666_666_667, "666.667"),
            (999_999_999, "1000"),
        ] {
            let done = Event::Done { outcome: Outcome::Success, attempts: 1, took: Duration::ZERO };
            let line = line(Time::from_nanos(nanos), &done);
            assert!(line.starts_with(&format!("{{\"t\":{written},\"id\":19,")), "{line}");
        }
    }
}
