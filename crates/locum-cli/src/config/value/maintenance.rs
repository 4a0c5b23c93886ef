//! What is said while nothing is served.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duration;
use super::switch::{Said, Switch};

/// Whether nothing is served for a while, written as `true` or as a table of what is said instead.
pub(crate) type Maintenance = Switch<Words>;

/// What is said instead.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Words {
    /// When to come back: the field `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<Duration>,
    /// A text, or HTML if it begins with `<`; default a problem in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<String>,
}

impl Said for Words {
    const NAME: &'static str = "Maintenance";
    const EXPECTED: &'static str = "true, false or { retry_after = \"5min\" }";
}
