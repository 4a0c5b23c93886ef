//! What is remembered of a call for its spans, beside its record.

use std::cell::RefCell;
use std::time::Duration;

use locum_policy::{Event, Time};

use super::Context;

/// What is remembered of a call that is told of.
pub(crate) struct Traced {
    pub(crate) context: Context,
    pub(super) steps: RefCell<Steps>,
    /// The target that attempts ask for.
    pub(super) target: RefCell<Vec<u8>>,
}

/// What policies did, in order.
#[derive(Default)]
pub(super) struct Steps {
    pub(super) first: Vec<Step>,
    /// So many more came after these.
    pub(super) more: u32,
}

/// Something that a part of a policy did.
pub(super) struct Step {
    pub(super) at: Time,
    /// `locum.policy.reject` and the like.
    pub(super) name: &'static str,
    pub(super) policy: Box<str>,
    pub(super) kind: &'static str,
    pub(super) reason: &'static str,
    /// What a breaker guards, or the endpoint that was passed over.
    pub(super) target: Option<Box<str>>,
    /// For how long the call waits, or when to come back.
    pub(super) wait: Option<Duration>,
    /// From which state of a breaker to which.
    pub(super) states: Option<(&'static str, &'static str)>,
}

/// So many steps are told of one call.
const STEPS: usize = 64;

impl Traced {
    pub(crate) fn new(context: Context) -> Self {
        Self { context, steps: RefCell::default(), target: RefCell::default() }
    }

    /// Attempts ask for this, a path and perhaps a query.
    pub(crate) fn asks_for(&self, target: &[u8]) {
        if !self.context.is_sampled() {
            return;
        }
        *self.target.borrow_mut() = target.to_vec();
    }

    /// Takes note of what a policy did.
    pub(crate) fn note(&self, now: Time, event: &Event<'_>) {
        if !self.context.is_sampled() {
            return;
        }
        let step = |name, policy: &str, kind, reason| Step {
            at: now,
            name,
            policy: policy.into(),
            kind,
            reason,
            target: None,
            wait: None,
            states: None,
        };
        let step = match event {
            Event::Admitted { policy, kind, .. } => step(ADMIT, policy, kind.name(), ""),
            Event::Delayed { policy, kind, wait } => {
                Step { wait: Some(*wait), ..step(DELAY, policy, kind.name(), "") }
            }
            Event::Rejected(rejection) => Step {
                wait: rejection.retry_after,
                ..step(REJECT, &rejection.policy, rejection.kind.name(), rejection.reason)
            },
            Event::Skipped { endpoint, rejection } => Step {
                target: Some((*endpoint).into()),
                wait: rejection.retry_after,
                ..step(REJECT, &rejection.policy, rejection.kind.name(), rejection.reason)
            },
            Event::WouldReject(rejection) => {
                step(WOULD_REJECT, &rejection.policy, rejection.kind.name(), rejection.reason)
            }
            Event::NotRetried { policy, reason, .. } => step(REJECT, policy, "retry", reason),
            Event::NotHedged { policy, reason } => step(REJECT, policy, "hedge", reason),
            Event::FellBack { policy, shadow } => step(applied(*shadow), policy, "fallback", ""),
            Event::Injected { policy, injection, shadow, .. } => {
                let reason = if injection.abort.is_some() { "abort" } else { "delay" };
                step(applied(*shadow), policy, "fault", reason)
            }
            Event::State { policy, target, transition, .. } => Step {
                target: Some((*target).into()),
                states: Some((transition.from.name(), transition.to.name())),
                ..step(TRANSITION, policy, "breaker", transition.trigger.name())
            },
            Event::Attempt(_) | Event::Settled { .. } | Event::Done { .. } => return,
        };
        let mut steps = self.steps.borrow_mut();
        match steps.first.len() < STEPS {
            true => steps.first.push(step),
            false => steps.more += 1,
        }
    }
}

fn applied(shadow: bool) -> &'static str {
    if shadow { "locum.policy.would_apply" } else { "locum.policy.apply" }
}

const ADMIT: &str = "locum.policy.admit";
const DELAY: &str = "locum.policy.delay";
const REJECT: &str = "locum.policy.reject";
const WOULD_REJECT: &str = "locum.policy.would_reject";
const TRANSITION: &str = "locum.breaker.transition";
