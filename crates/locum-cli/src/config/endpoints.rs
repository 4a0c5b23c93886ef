//! Addresses side by side, in a file or in one beside it.

use super::findings::Findings;
use super::value::Endpoint;

/// A list of endpoints; each stands `at` some place.
pub(super) fn check(
    endpoints: &[Endpoint],
    findings: &mut Findings<'_>,
    at: impl Fn(usize) -> String,
) {
    for (index, endpoint) in endpoints.iter().enumerate() {
        let path = at(index);
        let before = &endpoints[..index];
        if before.iter().any(|other| other.address.name() == endpoint.address.name()) {
            let reason = format!("`{}` is already in the list", endpoint.address.name());
            findings.error(&path, reason, "name it once, with a `weight` if it is to get more");
        }
        if !(1..=1000).contains(&endpoint.weight) {
            let reason = format!("the weight {} is out of range", endpoint.weight);
            findings.error(&format!("{path}.weight"), reason, "write a weight from 1 to 1000");
        }
    }
}
