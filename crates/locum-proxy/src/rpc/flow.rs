//! One remote call, from its argument to its result. Begin here.

use std::cell::Cell;

use locum_policy::{Answer, Cause, End, Held, run};

use super::call::{Call, CallKeys, Caller};
use super::exchange::{Exchange, Tried};
use super::link::{Answered, Lost};
use super::methods::Methods;
use super::reply::{Refused, Reply};
use crate::record::Record;
use crate::route::{Choice, Route};
use crate::worker::Worker;

/// How a call ended, and what there is to tell its policy of that.
pub(crate) struct Done {
    pub(crate) reply: Reply,
    /// Whether the client is told what the policy has in store, in place of `reply`.
    pub(crate) falls_back: bool,
    pub(crate) cause: Cause,
    /// What the call holds, to be settled once its client has been answered; a call that never ran holds
    /// nothing.
    pub(crate) held: Option<Held>,
}

/// Tries a call at an upstream, as often as its policy says. What the client says of its own time is a
/// deadline to the policy where the client is trusted with that; else the client only stops waiting, which
/// [`session`](super::session) sees to. `methods` are types that come before those
/// that the upstream knows.
///
/// # Cancel safety
///
/// Dropping the future gives the call up, at the upstream too; its permits count as ignored.
pub(crate) async fn perform(
    call: &Call,
    caller: &Caller<'_>,
    route: &Route,
    choice: &Choice,
    methods: Option<&Methods>,
    worker: &Worker,
    record: &Record,
) -> Done {
    let Choice { upstream, policy, watches, label, .. } = choice;
    record.under(policy, *label, worker.number_call());
    let keys = CallKeys::new(call, caller, &route.settings.name);
    let seed = worker.call_seed(record.number());
    let attempt_above = if caller.trusted { call.attempt } else { 1 };
    let exchange = Exchange {
        call,
        keys: &keys,
        worker,
        upstream,
        watches,
        methods,
        record,
        taker: caller.taker,
        attempt_above,
        seed,
        picks: Cell::new(0),
        under_way: Cell::new(0),
    };
    let arrived = record.started();
    let wanted = locum_policy::Call {
        method: &call.method,
        arrived,
        deadline: call.timeout.filter(|_| caller.trusted).map(|timeout| arrived + timeout),
        idempotent: call.idempotent,
        cost: 1,
        priority: route.settings.priority,
        attempt_above,
        keys: &keys,
        seed,
    };

    let Answer { end, held, fallback, .. } =
        run(policy, &wanted, &worker.clock, &exchange, record).await;

    let timed_out =
        || Refused::TimedOut { after: worker.now().since(arrived), policy: policy.name().into() };
    let (cause, reply) = match end {
        End::Ended(cause, tried) => (cause, reply_of(tried, &upstream.settings.name)),
        End::TimedOut => (Cause::Timeout, Reply::Refused(timed_out())),
        End::Rejected(rejection) => {
            (Cause::Unavailable, Reply::Refused(Refused::Rejected(rejection)))
        }
        End::Unavailable => {
            let upstream = upstream.settings.name.as_str().into();
            (Cause::Unavailable, Reply::Refused(Refused::Unavailable { upstream }))
        }
    };
    Done { reply, falls_back: fallback, cause, held: Some(held) }
}

/// What is told of the last attempt.
fn reply_of(tried: Tried, upstream: &str) -> Reply {
    let answered = match tried {
        Tried::Answered(answered) => answered,
        Tried::Unsayable(text) => return Reply::Refused(Refused::Argument(text)),
        Tried::Injected(status) => return Reply::Refused(Refused::Injected(status)),
    };
    let lost = match answered {
        Answered::Reply(body) => return Reply::Ok(body),
        Answered::Failure(failure) => return Reply::Failed(*failure),
        Answered::Lost(Lost::Connect { text, timed_out }) => {
            return Reply::Refused(Refused::Connect { text: text.to_string(), timed_out });
        }
        Answered::Lost(Lost::NotSent(why) | Lost::Broken(why)) => {
            format!("upstream \"{upstream}\": {why}")
        }
        Answered::Lost(Lost::Refused) => format!("upstream \"{upstream}\" goes away"),
        Answered::Unreadable(why) => {
            format!("the answer of upstream \"{upstream}\" cannot be read: {why}")
        }
    };
    Reply::Refused(Refused::Lost(lost))
}
