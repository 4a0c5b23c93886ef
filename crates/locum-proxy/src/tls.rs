//! TLS on both sides: what a listener shows of itself, and whom an upstream is believed to be.
//!
//! Everything is given as the bytes of PEM files; whoever reads those builds new settings when they change.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::plan::Error;

pub(crate) use client::Connector;

mod client;
mod server;

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

/// What is offered to be spoken under TLS (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpn {
    /// HTTP/2, rather than HTTP/1.1. Whoever offers only something else is turned down by the handshake.
    Http,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone.
    Http2,
    /// Nothing is said of it.
    None,
}

impl Alpn {
    fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http => vec![HTTP2.to_vec(), HTTP1.to_vec()],
            Self::Http1 => vec![HTTP1.to_vec()],
            Self::Http2 => vec![HTTP2.to_vec()],
            Self::None => Vec::new(),
        }
    }
}

/// HTTP/2 over TLS, as handshakes name it (RFC 9113 §3.2).
pub(crate) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A certificate that can be shown; `path` is where it stands.
fn identity(settings: &Identity, path: &str) -> Result<CertifiedKey, Error> {
    let chain = certificates(&settings.chain, &format!("{path}.cert"))?;
    let of_key = |reason: String| {
        Error::new(
            format!("{path}.key"),
            reason,
            "give the private key of that certificate, in PEM",
        )
    };
    let key = PrivateKeyDer::from_pem_slice(&settings.key.0)
        .map_err(|error| of_key(format!("holds no private key: {error}")))?;
    CertifiedKey::from_der(chain, key, &provider())
        .map_err(|error| of_key(format!("is of no use with `cert`: {error}")))
}

/// The authorities in `pem`; `path` is where it stands.
fn authorities(pem: &[u8], path: &str) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, path)? {
        roots.add(certificate).map_err(|error| {
            let reason = format!("holds a certificate that is of no use: {error}");
            Error::new(path, reason, "give certificates of authorities")
        })?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8], path: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = |reason: String| {
        let remedy = "give it in PEM: `-----BEGIN CERTIFICATE-----` and what follows";
        Error::new(path, reason, remedy)
    };
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(wrong("holds no certificate".to_owned())),
        Ok(all) => Ok(all),
        Err(error) => Err(wrong(format!("holds no certificate that can be read: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    /// An authority, in PEM, and what it signs with.
    pub(super) fn authority() -> (Vec<u8>, Issuer<'static, KeyPair>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem().into_bytes(), Issuer::new(params, key))
    }

    /// A certificate for these names.
    pub(super) fn identity_for(names: &[&str]) -> Identity {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        let certificate = params.signed_by(&key, &authority().1).unwrap();
        Identity {
            chain: certificate.pem().into_bytes(),
            key: Secret(key.serialize_pem().into_bytes()),
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_a_remedy() {
        let (good, other) = (identity_for(&["a.test"]), identity_for(&["b.test"]));
        let key = Identity { key: other.key, ..good.clone() };
        let error = identity(&key, "tls.certificates.0").unwrap_err();
        assert_eq!(error.path, "tls.certificates.0.key");
        assert!(error.reason.starts_with("is of no use with `cert`"), "{error}");

        let chain = Identity { chain: b"nothing".to_vec(), ..good.clone() };
        let error = identity(&chain, "tls").unwrap_err();
        assert_eq!((&*error.path, &*error.reason), ("tls.cert", "holds no certificate"));

        let swapped = Identity { key: Secret(good.chain.clone()), ..good };
        let error = identity(&swapped, "tls").unwrap_err();
        assert!(error.reason.starts_with("holds no private key"), "{error}");
        assert!(authorities(&swapped.chain, "tls.ca").is_ok());
        assert_eq!(authorities(b"", "tls.ca").unwrap_err().path, "tls.ca");
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", identity_for(&["a.test"]));
        assert!(shown.contains("(secret)"), "{shown}");
    }
}
