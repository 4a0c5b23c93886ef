//! What `kind = "forward"` has to hold.

use std::time::Duration;

use locum_proxy::auth::forward::Settings;

use super::{Contents, check_forwarded, check_header, check_url};
use crate::config::file::Auth;
use crate::config::findings::Findings;

pub(super) fn check(path: &str, auth: &Auth, findings: &mut Findings<'_>) {
    let key = |key: &str| format!("{path}.{key}");
    match &auth.url {
        None => findings.error_in_key(
            &key("url"),
            "it is missing",
            "add `url = \"https://…\"`, of the server that says who may call",
        ),
        Some(url) => check_url(&key("url"), url, findings),
    }
    for (index, header) in auth.headers.iter().flatten().enumerate() {
        check_header(&key(&format!("headers.{index}")), header, true, findings);
    }
    for (index, header) in auth.copy.iter().enumerate() {
        check_forwarded(&key(&format!("copy.{index}")), header, findings);
    }
    if let Some(header) = &auth.identity {
        check_header(&key("identity"), header, false, findings);
    }
    findings.positive(&key("timeout"), auth.timeout);
    if auth.cache.is_some_and(|cache| cache.0.is_zero() || cache.0 > LONGEST) {
        let reason = "an answer cannot hold for that long";
        findings.error(&key("cache"), reason, "write a time up to 1h, or leave it out");
    }
    if auth.connections == Some(0) {
        findings.error(&key("connections"), "0 would refuse everything", "write 1 or more");
    }
}

/// What a plan is told of it.
pub(super) fn resolve(auth: &Auth, contents: &Contents<'_>) -> Settings {
    let lower = |headers: &[String]| headers.iter().map(|it| it.to_ascii_lowercase()).collect();
    let shown = ["authorization", "cookie"].map(str::to_owned);
    Settings {
        url: auth.url.as_ref().and_then(|url| url.url().ok()).expect("the check has read it"),
        ca: auth.ca.as_ref().map(|_| contents.of("ca").unwrap_or_default().to_vec()),
        timeout: auth.timeout.map_or(TIMEOUT, |timeout| timeout.0),
        headers: lower(auth.headers.as_deref().unwrap_or(&shown)),
        copy: auth.copy.clone(),
        identity: auth.identity.clone(),
        cache: auth.cache.map(|cache| cache.0),
        connections: auth.connections.unwrap_or(CONNECTIONS),
    }
}

/// Whoever waits for this waits before the call has begun.
const TIMEOUT: Duration = Duration::from_secs(2);
const CONNECTIONS: u32 = 64;
const LONGEST: Duration = Duration::from_secs(3600);
