//! HTTP with JSON in it, made as remote calls.

use crate::caller::Caller;
use crate::flow::refuse;
use crate::record::{Ended, Record};
use crate::refusal::Refusal;
use crate::route::{Route, Transcoded};
use crate::worker::Worker;

/// Makes the request as the remote call that the end of its `path` names, and answers it.
pub(crate) async fn transcode(
    caller: &Caller<'_>,
    _route: &Route,
    _path: &[u8],
    _transcoded: &Transcoded,
    worker: &Worker,
    _record: &Record,
) -> Ended {
    refuse(caller, &Refusal::no_route(), worker).await
}
