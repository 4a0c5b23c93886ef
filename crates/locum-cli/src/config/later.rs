//! What the configuration will hold and this version does not serve yet.
//!
//! Such a key is an error that says so: ignored, it would promise what nobody keeps.

use super::tree::Step;

/// Whether `steps` lead to, or into, a key of a later version.
pub(super) fn knows_key(steps: &[Step]) -> bool {
    KEYS.iter().any(|pattern| is_like(steps, pattern))
}

/// Whether `value` of the key at `steps` is one of a later version.
pub(super) fn knows_value(steps: &[Step], value: &str) -> bool {
    VALUES.iter().any(|(pattern, values)| {
        is_like(steps, pattern)
            && values.iter().any(|later| match later.strip_suffix('*') {
                Some(head) => value.starts_with(head),
                None => value == *later,
            })
    })
}

/// Whether `steps` are those of `pattern`, in which `*` stands for any one step.
fn is_like(steps: &[Step], pattern: &str) -> bool {
    let mut parts = pattern.split('.');
    let alike = steps.iter().all(|step| match (parts.next(), step) {
        (Some("*"), _) => true,
        (Some(part), Step::Key(name)) => part == name,
        _ => false,
    });
    alike && parts.next().is_none()
}

const KEYS: &[&str] = &[
    "engine",
    "capture",
    "listeners.*.transparent",
    "upstreams.*.discover.etcd",
    "policies.*.rate_limit.shared",
    "policies.*.rate_limit.*.shared",
];

const VALUES: &[(&str, &[&str])] = &[("listeners.*.protocol", &["forward"])];
