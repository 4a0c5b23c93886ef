//! TLS on both sides: what a listener shows of itself, and whom an upstream is believed to be.
//!
//! Everything is given as the bytes of PEM files; whoever reads those builds new settings when they change.

use std::fmt;

/// How a listener proves who it is, and whether its clients have to.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerSettings {
    /// Certificates, at least one. A client that names a server gets the first that is for that name, any
    /// other the first.
    pub certificates: Vec<Identity>,
    /// The authorities, in PEM, one of which has to have signed each client's certificate; `None`: clients
    /// need none.
    pub client_ca: Option<Vec<u8>>,
    /// The oldest version that is spoken.
    pub min: Version,
}

/// Whom the endpoints of an upstream are believed to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientSettings {
    /// The name that their certificates are for; `None`: that of the endpoint's address.
    pub server_name: Option<String>,
    /// The authorities that are believed, in PEM; `None`: those that the system believes.
    pub ca: Option<Vec<u8>>,
    /// What is shown to those that ask who we are.
    pub identity: Option<Identity>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The certificate, then those that lead to its authority, in PEM.
    pub chain: Vec<u8>,
    /// Its private key, in PEM.
    pub key: Secret,
}

/// Bytes that are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// RFC 5246.
    #[default]
    Tls12,
    /// RFC 8446.
    Tls13,
}
