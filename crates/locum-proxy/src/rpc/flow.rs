//! One remote call, from its argument to its result. Begin here.

use locum_policy::{Cause, Held};

use super::call::{Call, Caller};
use super::methods::Methods;
use super::reply::{Refused, Reply};
use crate::record::Record;
use crate::route::{Choice, Route};
use crate::worker::Worker;

/// How a call ended, and what there is to tell its policy of that.
pub(crate) struct Done {
    pub(crate) reply: Reply,
    pub(crate) cause: Cause,
    /// What the call holds, to be settled once its client has been answered; a call that never ran holds
    /// nothing.
    pub(crate) held: Option<Held>,
}

/// Tries a call at an upstream, as often as its policy says. `methods` are types that come before those
/// that the upstream knows.
///
/// # Cancel safety
///
/// Dropping the future gives the call up, at the upstream too; its permits count as ignored.
pub(crate) async fn perform(
    _call: &Call,
    _caller: &Caller<'_>,
    _route: &Route,
    choice: &Choice,
    _methods: Option<&Methods>,
    _worker: &Worker,
    _record: &Record,
) -> Done {
    let upstream = choice.upstream.settings.name.as_str().into();
    let reply = Reply::Refused(Refused::Unavailable { upstream });
    Done { reply, cause: Cause::Unavailable, held: None }
}
