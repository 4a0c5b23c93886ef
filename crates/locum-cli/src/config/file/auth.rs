//! `[auth.NAME]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One way for callers to show who they are. Which of the keys it takes depends on `kind`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Auth {
    /// What they show.
    pub(crate) kind: AuthKind,
    /// Of `api-key`: the field of the request, or of a native call's metadata, that holds the key. Default
    /// `x-api-key`. The upstream is sent it too, unless a route removes it by `request_headers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) header: Option<String>,
    /// Of `api-key` and `basic`: a file of keys, or of names and passwords, one a line: `name:hash`, in which
    /// the hash is the secret's SHA-256 in hex or a PHC string of argon2. It is read again when it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    /// Of `basic`: what a person who is asked for a password is told that it is for; default the name of this
    /// table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) realm: Option<String>,
    /// A field that tells the upstream who calls. A client's own field of that name is removed on every route,
    /// whatever this admits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity_header: Option<String>,
    /// Of `mtls`: the names of certificates that are let in; default whoever has one that the listener's
    /// `client_ca` signed. A certificate has one name here: its first URI, else its first DNS name, else its
    /// common name. Of `ip`: the networks that are let in; default all that are not kept out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) allow: Vec<String>,
    /// Of `ip`: the networks that are kept out, `allow` or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) deny: Vec<String>,
}

/// What callers show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AuthKind {
    /// A secret.
    ApiKey,
    /// A name and a password.
    Basic,
    /// A certificate.
    Mtls,
    /// Their address.
    Ip,
}

impl AuthKind {
    /// As it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "api-key",
            Self::Basic => "basic",
            Self::Mtls => "mtls",
            Self::Ip => "ip",
        }
    }
}
