//! A call's place in its trace.

use locum_wire::rpc::TraceParent;

/// A call's place in its trace, and those of its attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    trace: [u8; 16],
    /// Whose child the call is; `None`: the trace begins with it.
    parent: Option<[u8; 8]>,
    call: u64,
    flags: u8,
}

/// The trace is told of (W3C Trace Context §2.2.5).
pub(super) const SAMPLED: u8 = 1;
/// Its number was drawn at random (level 2 of the same).
const RANDOM: u8 = 2;

impl Context {
    /// In the trace of its caller; `random` tells it from others there.
    pub(super) fn child(parent: TraceParent, random: u64) -> Self {
        let TraceParent { trace_id, parent_id, flags } = parent;
        // Flags that nobody knows yet are not passed on.
        let flags = flags & (SAMPLED | RANDOM);
        Self { trace: trace_id, parent: Some(parent_id), call: not_zero(random), flags }
    }

    /// In a trace that begins with it.
    pub(super) fn root(trace: u128, random: u64, sampled: bool) -> Self {
        let flags = if sampled { SAMPLED } else { 0 } | RANDOM;
        let trace = trace.max(1).to_be_bytes();
        Self { trace, parent: None, call: not_zero(random), flags }
    }

    /// Whether its spans are told.
    pub(crate) fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Whether the trace begins with the call.
    pub(crate) fn is_root(&self) -> bool {
        self.parent.is_none()
    }

    /// Whose child the call is.
    pub(super) fn parent(&self) -> Option<[u8; 8]> {
        self.parent
    }

    /// The call itself.
    pub(crate) fn call(&self) -> TraceParent {
        self.named(self.call)
    }

    /// The attempt of that number, from 1: what its endpoint is told.
    pub(crate) fn attempt(&self, number: u32) -> TraceParent {
        // A span is known by its number alone, so it need not be kept: an odd factor keeps them apart.
        self.named(self.call ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn named(&self, span: u64) -> TraceParent {
        let parent_id = not_zero(span).to_be_bytes();
        TraceParent { trace_id: self.trace, parent_id, flags: self.flags }
    }
}

fn not_zero(number: u64) -> u64 {
    number.max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_call_and_its_attempts_are_told_apart_in_one_trace() {
        let context = Context::root(7, 0, true);
        let all = (1..=100).map(|number| context.attempt(number)).chain([context.call()]);
        let all: Vec<_> = all.collect();
        let spans: BTreeSet<_> = all.iter().map(|span| span.parent_id).collect();
        assert_eq!(spans.len(), 101);
        assert!(!spans.contains(&[0; 8]));
        assert!(all.iter().all(|span| span.trace_id[15] == 7 && span.flags == SAMPLED | RANDOM));
        assert!(all.iter().all(|span| span.to_string().parse() == Ok(*span)));
    }

    #[test]
    fn a_child_stays_in_its_trace_and_passes_on_flags_that_it_knows() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-f1";
        let parent: TraceParent = text.parse().unwrap();
        let child = Context::child(parent, 9);
        assert_eq!((child.call().trace_id, child.call().flags), (parent.trace_id, SAMPLED));
        assert_ne!(child.call().parent_id, parent.parent_id);
    }
}
