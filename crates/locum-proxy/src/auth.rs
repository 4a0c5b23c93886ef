//! Who calls, and whether they may.

use ipnet::IpNet;

/// One way to show who one is.
#[derive(Clone, Debug, PartialEq)]
pub enum Settings {
    /// A secret in a field of the request, or in the metadata of a native call.
    ApiKey {
        /// The field, in lower case.
        header: String,
        /// Whose keys are taken.
        keys: Vec<ApiKey>,
    },
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

/// Somebody's key, of which only a hash is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Whose it is: the identity of who brings it.
    pub name: String,
    /// Of the key.
    pub hash: Hash,
}

/// How a key is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hash {
    /// Its SHA-256: enough for keys that were drawn at random.
    Sha256([u8; 32]),
    /// A PHC string of argon2, for what a person made up.
    Argon2(String),
}
