//! The body of a request, as the argument of a call.

use locum_wire::rpc::{Body, Form};

use super::room::{Room, Share};
use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::route::Route;

/// Bytes of a body, where the route does not say how many.
const MOST: u64 = 1024 * 1024;

/// What a method is called with.
pub(super) struct Argument<'a> {
    pub(super) json: Vec<u8>,
    /// To be kept for as long as the argument is.
    pub(super) share: Share<'a>,
}

/// Reads the body to its end: one JSON value, or nothing, which is no arguments. `Err(None)`: nobody is left
/// to be told why not.
///
/// # Cancel safety
///
/// What was read so far is lost when the future is dropped.
pub(super) async fn read<'a>(
    caller: &Caller<'_>,
    route: &Route,
    room: &'a Room,
) -> Result<Argument<'a>, Option<Refusal>> {
    let most = route.settings.max_body.unwrap_or(MOST);
    if !caller.upload.borrow_mut().limit(Some(most)) {
        return Err(Some(Refusal::too_large()));
    }
    let mut share = room.share();
    let body = caller.body(|bytes| share.grow_to(bytes)).await;
    let body = body.map_err(|error| Refusal::body(&error))?;
    if body.trim_ascii().is_empty() {
        return Ok(Argument { json: b"{}".to_vec(), share });
    }
    match (Body { bytes: &body, form: Form::Json }).to_json() {
        Ok(json) => Ok(Argument { json: json.into_bytes(), share }),
        Err(error) => Err(Some(Refusal::argument(error.to_string()))),
    }
}
