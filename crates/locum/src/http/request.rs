//! What a request tells its policy.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use locum_policy::gates::deadline::codec;
use locum_policy::{Key, Keys, Policy};

use super::Identity;

/// Which keys the limits of `policy` go by.
pub(super) fn keys_of(policy: &Policy) -> Vec<Key> {
    let limits = policy.settings().rate_limit.iter();
    let mut keys: Vec<Key> = limits.flat_map(|limit| limit.key.iter().cloned()).collect();
    keys.dedup();
    keys
}

/// The values of the keys of one call.
pub(super) struct Values(Vec<(Key, Option<Vec<u8>>)>);

impl Values {
    /// Looks up `keys`; `client` and `method` are what stands for `client-ip`, and for `method` and
    /// `route`.
    pub(super) fn look_up(
        keys: &[Key],
        parts: &Parts,
        client: Option<IpAddr>,
        method: &str,
    ) -> Self {
        let value = |key: &Key| match key {
            Key::ClientIp => client.map(|client| client.to_string().into_bytes()),
            Key::Header(name) => parts.headers.get(&**name).map(|value| value.as_bytes().to_vec()),
            Key::Method | Key::Route => Some(method.as_bytes().to_vec()),
            Key::Identity => {
                let identity = parts.extensions.get::<Identity>();
                identity.map(|Identity(name)| name.clone().into_bytes())
            }
        };
        Self(keys.iter().map(|key| (key.clone(), value(key))).collect())
    }
}

impl Keys for Values {
    fn key(&self, part: &Key) -> Option<&[u8]> {
        let (_, value) = self.0.iter().find(|(key, _)| key == part)?;
        value.as_deref()
    }
}

/// The client's address, where an extension of the request tells it.
pub(super) fn client_of(parts: &Parts) -> Option<IpAddr> {
    let address = parts.extensions.get::<SocketAddr>().map(SocketAddr::ip);
    address.or_else(|| parts.extensions.get::<IpAddr>().copied())
}

/// Whether sending it twice does no harm.
pub(super) fn is_idempotent(parts: &Parts) -> bool {
    // RFC 9110 §9.2.2.
    matches!(
        parts.method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    ) || parts.headers.contains_key(IDEMPOTENCY_KEY)
}

/// The time that the sender of `headers` waits, as far as it tells; of several fields the smallest.
pub(super) fn time_told(headers: &HeaderMap) -> Option<Duration> {
    let grpc = headers.get_all(GRPC_TIMEOUT).into_iter().map(HeaderValue::as_bytes);
    let grpc = grpc.filter_map(codec::parse_grpc_timeout);
    let millis = [TIMEOUT_MS, ENVOY_TIMEOUT_MS].into_iter().flat_map(|name| headers.get_all(name));
    grpc.chain(millis.map(HeaderValue::as_bytes).filter_map(codec::parse_millis)).min()
}

/// Tells the time that an attempt has, rounded down, in place of what was told before.
pub(super) fn tell_time(headers: &mut HeaderMap, left: Duration) {
    for name in [GRPC_TIMEOUT, TIMEOUT_MS, ENVOY_TIMEOUT_MS] {
        headers.remove(name);
    }
    let (name, value) = match is_grpc(headers) {
        true => (GRPC_TIMEOUT, codec::grpc_timeout(left).to_string()),
        false => (TIMEOUT_MS, codec::millis(left).to_string()),
    };
    headers.insert(name, HeaderValue::try_from(value).expect("digits and a letter"));
}

/// The number of the attempt of the layer above, from 1.
pub(super) fn attempt_above(headers: &HeaderMap) -> u32 {
    let told = headers.get(ATTEMPT).and_then(|value| value.to_str().ok()?.parse().ok());
    told.unwrap_or(1).max(1)
}

/// Tells the layer below the number of the attempt.
pub(super) fn tell_attempt(headers: &mut HeaderMap, number: u32) {
    if number > 1 {
        headers.insert(ATTEMPT, HeaderValue::from(number));
    }
}

/// Whether a message is gRPC's.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    // gRPC over HTTP/2, "Requests": application/grpc, and with a suffix such as `+proto`.
    kind.get(..GRPC.len()).is_some_and(|head| head.eq_ignore_ascii_case(GRPC))
        && matches!(kind.get(GRPC.len()), None | Some(b'+' | b';' | b'-'))
}

const GRPC: &[u8] = b"application/grpc";
const ATTEMPT: HeaderName = HeaderName::from_static("x-locum-attempt");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const TIMEOUT_MS: HeaderName = HeaderName::from_static("x-request-timeout-ms");
const ENVOY_TIMEOUT_MS: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");
