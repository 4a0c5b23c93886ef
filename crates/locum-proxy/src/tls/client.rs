//! What it takes to speak TLS to the endpoints of an upstream.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};

use super::{Alpn, ClientSettings, authorities, identity, provider};
use crate::plan::Error;

/// How to speak TLS to one endpoint.
#[derive(Clone)]
pub(crate) struct Connector {
    pub(crate) config: Arc<ClientConfig>,
    /// Who it has to be.
    pub(crate) name: ServerName<'static>,
}

impl ClientSettings {
    /// Everything checked but names; `path` is where these settings stand.
    pub(crate) fn build(&self, alpn: Alpn, path: &str) -> Result<Arc<ClientConfig>, Error> {
        let roots = match &self.ca {
            Some(pem) => authorities(pem, &format!("{path}.ca"))?,
            None => authorities_of_the_system(path)?,
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("invariant: the provider has suites of every version")
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(settings) => {
                let key = Arc::new(identity(settings, path)?);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
            }
        };
        config.alpn_protocols = alpn.protocols();
        Ok(Arc::new(config))
    }

    /// How to speak to the endpoint called `endpoint`, `host:port`.
    pub(crate) fn connector(
        &self,
        config: &Arc<ClientConfig>,
        endpoint: &str,
        path: &str,
    ) -> Result<Connector, Error> {
        let name = self.server_name.as_deref().unwrap_or_else(|| host(endpoint));
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            Error::new(
                format!("{path}.server_name"),
                format!("`{name}` is neither a DNS name nor an address"),
                "give the name that the certificate of the endpoint is for",
            )
        })?;
        Ok(Connector { config: Arc::clone(config), name })
    }
}

fn authorities_of_the_system(path: &str) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(Error::new(
            format!("{path}.ca"),
            "absent, and this system believes no authority of its own",
            "name the authorities to believe, or install those of the system (`ca-certificates`)",
        ));
    }
    Ok(roots)
}

/// `host:port` without the port, and a v6 literal without its brackets.
fn host(endpoint: &str) -> &str {
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_who_its_address_says_unless_settings_say_otherwise() {
        let connector = |settings: ClientSettings, endpoint: &str| {
            let config = settings.build(Alpn::None, "tls").unwrap();
            settings.connector(&config, endpoint, "tls")
        };
        let ca = Some(crate::tls::tests::authority().0);
        let by_address = ClientSettings { ca, ..ClientSettings::default() };
        for (endpoint, name) in [
            ("users.internal:7001", "users.internal"),
            ("10.0.0.1:7001", "10.0.0.1"),
            ("[::1]:7001", "::1"),
        ] {
            let connector = connector(by_address.clone(), endpoint).unwrap();
            assert_eq!(connector.name.to_str(), name);
        }
        let named = ClientSettings { server_name: Some("users".to_owned()), ..by_address };
        assert_eq!(connector(named.clone(), "10.0.0.1:7001").unwrap().name.to_str(), "users");
        let wrong = ClientSettings { server_name: Some("no name".to_owned()), ..named };
        let error = connector(wrong, "10.0.0.1:7001").err().unwrap();
        assert_eq!(error.path, "tls.server_name");
    }
}
