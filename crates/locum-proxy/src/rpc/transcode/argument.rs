//! The body of a request, as the argument of a call.

use locum_wire::rpc::{Body, Form};

use crate::caller::Caller;
use crate::refusal::Refusal;
use crate::route::Route;

/// Bytes of a body, where the route does not say how many.
const MOST: u64 = 16 * 1024 * 1024;

/// Reads the body to its end: one JSON value, or nothing, which is no arguments. `Err(None)`: nobody is left
/// to be told why not.
///
/// # Cancel safety
///
/// What was read so far is lost when the future is dropped.
pub(super) async fn read(caller: &Caller<'_>, route: &Route) -> Result<Vec<u8>, Option<Refusal>> {
    let most = route.settings.max_body.unwrap_or(MOST);
    if !caller.upload.borrow_mut().limit(Some(most)) {
        return Err(Some(Refusal::too_large()));
    }
    let body = caller.body().await.map_err(|error| Refusal::body(&error))?;
    if body.trim_ascii().is_empty() {
        return Ok(b"{}".to_vec());
    }
    match (Body { bytes: &body, form: Form::Json }).to_json() {
        Ok(json) => Ok(json.into_bytes()),
        Err(error) => Err(Some(Refusal::argument(error.to_string()))),
    }
}
