//! Who calls, by a token.

use std::fmt;
use std::sync::Arc;

use locum_wire::rpc::Refusal;

/// Tells who has a token, if anybody.
#[derive(Clone)]
pub(super) struct Bearer(Arc<dyn Fn(&str) -> Option<String> + Send + Sync>);

impl Bearer {
    pub(super) fn new(identify: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(identify))
    }

    /// Who has `token`.
    ///
    /// # Errors
    ///
    /// Nobody, or there is none: what the caller is told.
    pub(super) fn identify(&self, token: Option<&str>) -> Result<String, Refusal> {
        token.and_then(|token| (self.0)(token)).ok_or_else(|| Refusal {
            kind: "auth".to_owned(),
            policy: "bearer".to_owned(),
            reason: "unauthorized".to_owned(),
            retry_after: None,
        })
    }
}

/// The token in `Bearer TOKEN` (RFC 6750 §2.1); the scheme's case is free (RFC 9110 §11.1).
pub(super) fn token(credentials: &str) -> Option<&str> {
    let (scheme, token) = credentials.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim_start())
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer")
    }
}
