//! The parts of a policy: each decides synchronously and purely, on what it is told.
//!
//! A gate is a plain struct. `admit` answers with a [`Verdict`]; what it handed out is settled
//! exactly once. A gate knows no clock, no future and no protocol.

use std::time::Duration;

use crate::Rejection;

pub mod breaker;
pub mod concurrency;
pub mod deadline;
pub mod fallback;
pub mod fault;
pub mod hedge;
pub mod rate_limit;
pub mod retry;
pub mod throttle;

/// What a gate says to a call.
#[derive(Debug)]
pub enum Verdict<P> {
    /// Go on; the permit is settled when the call, or the attempt, is over.
    Pass(P),
    /// Go on after this long.
    Wait(P, Duration),
    /// Refused.
    Reject(Rejection),
}

/// One kind of gate: everything that must know all of them walks [`ALL`].
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// What rejections and events call it.
    pub kind: Kind,
    /// Its key in a configuration.
    pub name: &'static str,
    /// Its page, in Markdown.
    pub docs: &'static str,
}

/// Registers the gates: a line here, a module above, a page in `docs/`.
macro_rules! gates {
    ($($(#[$doc:meta])* $module:ident: $kind:ident,)*) => {
        /// The part of a policy that decides, refuses or delays.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// The part's key in a configuration, its label in metrics, its name in logs.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($module),)*
                }
            }
        }

        /// Every gate, outermost first.
        pub const ALL: &[Gate] = &[$(Gate {
            kind: Kind::$kind,
            name: stringify!($module),
            docs: include_str!(concat!("../docs/", stringify!($module), ".md")),
        },)*];
    };
}

gates! {
    /// The answer in place of a failure.
    fallback: Fallback,
    /// A rate limit.
    rate_limit: RateLimit,
    /// The cap on calls in flight, or its queue.
    concurrency: Concurrency,
    /// The time the call has left.
    deadline: Deadline,
    /// Further attempts.
    retry: Retry,
    /// A second attempt beside a slow one.
    hedge: Hedge,
    /// The share of attempts that is kept from a target which refuses many.
    throttle: Throttle,
    /// The circuit breaker.
    breaker: Breaker,
    /// Trouble made on purpose.
    fault: Fault,
}
