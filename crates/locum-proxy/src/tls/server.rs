//! What a listener needs to speak TLS.

use std::sync::Arc;

use locum_wire::certificate::dns_names;
use rustc_hash::FxHashMap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;

use super::{Alpn, ServerSettings, Version, authorities, identity, provider};
use crate::plan::Error;

impl ServerSettings {
    /// Everything checked; `path` is where these settings stand.
    pub(crate) fn build(&self, alpn: Alpn, path: &str) -> Result<Arc<ServerConfig>, Error> {
        let versions = match self.min {
            Version::Tls12 => rustls::ALL_VERSIONS,
            Version::Tls13 => &[&rustls::version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .expect("invariant: the provider has suites of every version");
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let path = format!("{path}.client_ca");
                let roots = Arc::new(authorities(pem, &path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier = verifier.build().map_err(|error| {
                    Error::new(path, format!("cannot be believed: {error}"), REMEDY_CA)
                })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(Certificates::build(self, path)?));
        config.alpn_protocols = alpn.protocols();
        // A client that comes back is spared a handshake, whichever worker it comes to. The keys of the
        // tickets are made here and renewed every few hours, so they end with these settings: a client
        // whose authority was taken away does not come back by a ticket.
        config.ticketer = Ticketer::new().map_err(|error| {
            Error::new(path, format!("no keys for tickets can be made: {error}"), "try again")
        })?;
        Ok(Arc::new(config))
    }
}

const REMEDY_CA: &str = "give certificates of authorities, in PEM";

/// Which certificate a client gets.
#[derive(Debug)]
struct Certificates {
    /// By the names they are for, `*.example.com` among these.
    by_name: FxHashMap<String, Arc<CertifiedKey>>,
    first: Arc<CertifiedKey>,
}

impl Certificates {
    fn build(settings: &ServerSettings, path: &str) -> Result<Self, Error> {
        let mut by_name = FxHashMap::default();
        let mut first = None;
        for (index, certificate) in settings.certificates.iter().enumerate() {
            let path = format!("{path}.certificates.{index}");
            let key = Arc::new(identity(certificate, &path)?);
            for name in key.cert.first().map(|leaf| dns_names(leaf)).unwrap_or_default() {
                by_name.entry(name.to_ascii_lowercase()).or_insert_with(|| Arc::clone(&key));
            }
            first.get_or_insert(key);
        }
        let first = first.ok_or_else(|| {
            Error::new(
                format!("{path}.certificates"),
                "the list is empty, so there is nothing to show to a client",
                "give one `{ cert = \"…\", key = \"…\" }`",
            )
        })?;
        Ok(Self { by_name, first })
    }

    /// The first that is for the name, or for all names beside it, or the first of all.
    fn find(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let named = name.and_then(|name| {
            let name = name.to_ascii_lowercase();
            let beside = || self.by_name.get(&format!("*.{}", name.split_once('.')?.1));
            self.by_name.get(&name).or_else(beside)
        });
        named.unwrap_or(&self.first)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.find(hello.server_name())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::tests::identity_for;

    fn certificates(names: &[&[&str]]) -> Result<Certificates, Error> {
        let settings = ServerSettings {
            certificates: names.iter().map(|names| identity_for(names)).collect(),
            client_ca: None,
            min: Version::Tls12,
        };
        Certificates::build(&settings, "tls")
    }

    #[test]
    fn a_client_gets_the_certificate_for_the_name_it_asks_for_or_the_first() {
        let all = certificates(&[
            &["first.test"],
            &["*.wild.test", "Exact.test"],
            &["one.wild.test", "exact.test"],
        ])
        .unwrap();
        let found = |name: Option<&str>| dns_names(&all.find(name).cert[0]);
        assert_eq!(found(Some("exact.test")), ["*.wild.test", "Exact.test"], "the first of two");
        assert_eq!(found(Some("EXACT.test"))[0], "*.wild.test");
        assert_eq!(found(Some("one.wild.test"))[0], "one.wild.test", "exact before wildcard");
        assert_eq!(found(Some("two.wild.test"))[0], "*.wild.test");
        for other in [None, Some("a.b.wild.test"), Some("wild.test"), Some("unknown")] {
            assert_eq!(found(other), ["first.test"], "{other:?}");
        }
    }

    #[test]
    fn a_listener_without_a_certificate_cannot_be() {
        let error = certificates(&[]).unwrap_err();
        assert_eq!(error.path, "tls.certificates");
    }
}
