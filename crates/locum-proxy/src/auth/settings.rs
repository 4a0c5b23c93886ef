//! What checks are built from.

use ipnet::IpNet;

use super::{forward, jwt};

/// One way to show who one is.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What is shown.
    pub kind: Kind,
    /// The field of the request, or name of a native call's metadata, that tells the upstream who calls. What
    /// a client sends by that name never reaches an upstream, by whatever route.
    pub identity_header: Option<String>,
}

/// What is shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A secret in a field of the request, or in the metadata of a native call. The field goes on to the
    /// upstream, as it does with other proxies; a route's `request_headers` can remove it.
    ApiKey {
        /// The field, in lower case.
        header: String,
        /// Whose keys are taken.
        keys: Vec<Credential>,
    },
    /// A name and a password (RFC 7617). They go on to the upstream likewise.
    Basic {
        /// What a person is told that they are for.
        realm: String,
        /// Whose passwords are taken.
        people: Vec<Credential>,
    },
    /// A token that an issuer has signed. It goes on to the upstream likewise.
    Jwt(jwt::Settings),
    /// Whatever another server makes of the request.
    Forward(forward::Settings),
    /// A certificate that the listener has verified.
    Mtls {
        /// The names that are let in, as the certificate gives them; empty: whoever has one.
        allow: Vec<String>,
    },
    /// The client's address.
    Ip {
        /// Who is let in; empty: everybody who is not kept out.
        allow: Vec<IpNet>,
        /// Who is kept out, before that.
        deny: Vec<IpNet>,
    },
}

impl From<Kind> for Settings {
    fn from(kind: Kind) -> Self {
        Self { kind, identity_header: None }
    }
}

impl Settings {
    /// The names of fields that only this proxy may write to an upstream.
    pub(crate) fn owned(&self) -> impl Iterator<Item = &str> {
        let told: Vec<&str> = match &self.kind {
            Kind::Jwt(jwt) => jwt.rules.forward.iter().map(|(name, _)| name.as_str()).collect(),
            Kind::Forward(forward) => forward.copy.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        self.identity_header.as_deref().into_iter().chain(told)
    }
}

/// Somebody's secret, of which only a hash is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Whose it is: the identity of who brings it.
    pub name: String,
    /// Of the secret.
    pub hash: Hash,
}

/// How a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hash {
    /// Its SHA-256: enough for what was drawn at random.
    Sha256([u8; 32]),
    /// A PHC string of argon2, for what a person made up.
    Argon2(String),
}
