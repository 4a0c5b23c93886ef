//! `[auth.NAME]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::value::{Duration, Link, Secret, Texts};

/// One way for callers to show who they are. Which of the keys it takes depends on `kind`.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Auth {
    /// What they show.
    pub(crate) kind: AuthKind,
    /// Of `api-key`: the field of the request, or of a native call's metadata, that holds the key. Default
    /// `x-api-key`. Of `jwt`: the one that holds the token. Default `authorization`, where it stands after
    /// `Bearer`. The upstream is sent it too, unless a route removes it by `request_headers`.
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
    /// Of `jwt`: the `iss` of tokens, letter by letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    /// Of `jwt`: the `aud` of tokens, or several of which a token has to have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) audience: Option<Texts>,
    /// Of `jwt`: how tokens may be signed: `RS256`, `RS384`, `RS512`, `PS256`, `ES256`, `EdDSA` by keys of
    /// `jwks`, `HS256` by `secret`. A key with an `alg` takes that one of them only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) algorithms: Vec<String>,
    /// Of `jwt`: the issuer's JSON Web Key Set: a file, read again when it changes, or a URL of `https` (of
    /// `http` on this machine only). A URL is fetched at the start, every `refresh`, and when a token names a
    /// key that is not known, though at most once in 30 s; redirects are not followed. Keys that cannot be
    /// fetched again are believed for 24 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jwks: Option<Link>,
    /// Of `jwt`: the secret of `HS256`, of at least 32 bytes. `${NAME}` reads an environment variable,
    /// `file:/path` a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<Secret>,
    /// Of `jwt`: how often a URL of `jwks` is fetched; default 10 min.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refresh: Option<Duration>,
    /// Of `jwt`: a cookie that holds the token where the field does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cookie: Option<String>,
    /// Of `jwt`: how far the clocks of issuers may differ from ours; default and at most 60 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) leeway: Option<Duration>,
    /// Of `jwt`: claims that a token has to have, each with what it has to hold: as its value, in its list,
    /// or, of `scope` and `scp`, among its words. Of several all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) claims: BTreeMap<String, Texts>,
    /// Of `jwt`: the claim that says who calls; default `sub`. A token without it is refused. Of `forward`: the
    /// field of the answer that does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<String>,
    /// Of `jwt`: fields that tell the upstream of claims: `{ "x-user" = "sub" }`. As `identity_header`, they
    /// are nobody else's to write.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) forward: BTreeMap<String, String>,
    /// Of `forward`: whom to ask, by `GET`, with `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` and `-For`.
    /// An answer of 2xx lets in; any other below 500 is what the client gets; without one, nobody gets in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<Link>,
    /// Of `jwt` and `forward`: the authorities that are believed over TLS, in PEM; default those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<String>,
    /// Of `forward`: how long it may take; default 2 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timeout: Option<Duration>,
    /// Of `forward`: fields of the request that are shown; default `authorization` and `cookie`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) headers: Option<Vec<String>>,
    /// Of `forward`: fields of an answer that lets in, which the upstream is told. As `identity_header`, they
    /// are nobody else's to write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) copy: Vec<String>,
    /// Of `forward`: for how long a question that was answered by letting in is not asked again; default never.
    /// Only the very same question is: the same request line, host, client and fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cache: Option<Duration>,
    /// Of `forward`: questions under way at once; who comes then is told to come back. Default 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) connections: Option<u32>,
}

/// What callers show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AuthKind {
    /// A secret.
    ApiKey,
    /// A name and a password.
    Basic,
    /// A token that somebody else has signed.
    Jwt,
    /// Whatever another server wants to see.
    Forward,
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
            Self::Jwt => "jwt",
            Self::Forward => "forward",
            Self::Mtls => "mtls",
            Self::Ip => "ip",
        }
    }
}
