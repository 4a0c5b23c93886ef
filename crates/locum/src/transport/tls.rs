//! TLS around connections, by rustls.
//!
//! Settings are checked when they are made, so a wrong file is told of before anybody connects.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::Io;

/// How a server proves who it is, and whether its clients have to.
///
/// ```no_run
/// use locum::transport::tls::{Identity, ServerSettings};
/// let settings = ServerSettings::new(Identity::from_files("server.pem", "server.key")?)?
///     .requiring_clients_of(&std::fs::read("clients-ca.pem")?)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ServerSettings {
    identity: Arc<Identity>,
    config: Arc<ServerConfig>,
    takes_plain: bool,
}

impl ServerSettings {
    /// A server with that certificate. Clients need none.
    ///
    /// # Errors
    ///
    /// The key is not the certificate's, or of a kind that is not known.
    pub fn new(identity: Identity) -> Result<Self, Error> {
        let builder = server_config()?.with_no_client_auth();
        let config = builder.with_single_cert(identity.chain.clone(), identity.key.clone_key())?;
        Ok(Self { identity: Arc::new(identity), config: Arc::new(config), takes_plain: false })
    }

    /// Takes only clients with a certificate that one of the authorities in `pem` signed (mTLS). Who they
    /// are is what [`identity`] reads from it.
    ///
    /// # Errors
    ///
    /// There is no certificate in `pem`.
    pub fn requiring_clients_of(self, pem: &[u8]) -> Result<Self, Error> {
        let verifier = WebPkiClientVerifier::builder_with_provider(roots(pem)?, provider());
        let verifier = verifier.build().map_err(|error| Error::Authority(error.to_string()))?;
        let builder = server_config()?.with_client_cert_verifier(verifier);
        let (chain, key) = (self.identity.chain.clone(), self.identity.key.clone_key());
        Ok(Self { config: Arc::new(builder.with_single_cert(chain, key)?), ..self })
    }

    /// Takes connections without TLS as well, on the same port. Nobody has proved anything on those: not
    /// together with certificates of clients, if they are to keep others out.
    #[must_use]
    pub fn taking_plain_too(self) -> Self {
        Self { takes_plain: true, ..self }
    }

    /// Whether connections without TLS are taken as well.
    pub const fn takes_plain(&self) -> bool {
        self.takes_plain
    }

    /// Takes the server's part of a handshake over `io`.
    ///
    /// # Errors
    ///
    /// The handshake failed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection.
    pub async fn accept(&self, io: Io) -> io::Result<Io> {
        let stream = TlsAcceptor::from(Arc::clone(&self.config)).accept(io).await?;
        Ok(Io::Tls(Box::new(stream.into())))
    }
}

/// Whom a client believes, and who it is.
///
/// ```no_run
/// use locum::transport::tls::{ClientSettings, Identity};
/// let settings = ClientSettings::trusting(&std::fs::read("ca.pem")?)?
///     .presenting(Identity::from_files("client.pem", "client.key")?)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ClientSettings {
    roots: Arc<RootCertStore>,
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
}

impl ClientSettings {
    /// Believes the authorities that this system believes.
    ///
    /// # Errors
    ///
    /// None was found.
    pub fn new() -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(Error::Authority("this system has none".to_owned()));
        }
        Self::with_roots(Arc::new(roots))
    }

    /// Believes the authorities in `pem`, and no other.
    ///
    /// # Errors
    ///
    /// There is no certificate in `pem`.
    pub fn trusting(pem: &[u8]) -> Result<Self, Error> {
        Self::with_roots(roots(pem)?)
    }

    fn with_roots(roots: Arc<RootCertStore>) -> Result<Self, Error> {
        let builder = client_config()?.with_root_certificates(Arc::clone(&roots));
        let config = Arc::new(builder.with_no_client_auth());
        Ok(Self { roots, config, server_name: None })
    }

    /// Shows this certificate to a server that asks for one (mTLS).
    ///
    /// # Errors
    ///
    /// The key is not the certificate's, or of a kind that is not known.
    pub fn presenting(self, identity: Identity) -> Result<Self, Error> {
        let builder = client_config()?.with_root_certificates(Arc::clone(&self.roots));
        let config = builder.with_client_auth_cert(identity.chain, identity.key)?;
        Ok(Self { config: Arc::new(config), ..self })
    }

    /// Expects the server to be `name` (a DNS name or an address), wherever it was found.
    ///
    /// # Errors
    ///
    /// It is neither.
    pub fn server_name(self, name: &str) -> Result<Self, Error> {
        Ok(Self { server_name: Some(parse_name(name)?), ..self })
    }

    /// Takes the client's part of a handshake over `io` with a server that was found as `host`.
    ///
    /// # Errors
    ///
    /// The handshake failed, or the server is not who it was to be.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection.
    pub async fn connect(&self, host: &str, io: Io) -> io::Result<Io> {
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => parse_name(host)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
        };
        let stream = TlsConnector::from(Arc::clone(&self.config)).connect(name, io).await?;
        Ok(Io::Tls(Box::new(stream.into())))
    }
}

/// Who the peer of a TLS connection has proved to be: the first URI of its certificate (SPIFFE puts its
/// identities there), else the first DNS name, else the common name.
pub fn identity(io: &Io) -> Option<String> {
    let Io::Tls(stream) = io else { return None };
    let (_, session) = stream.get_ref();
    locum_wire::certificate::identity(session.peer_certificates()?.first()?)
}

/// A certificate, those that lead to its authority, and its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// From PEM: the certificate first, then what leads from it to an authority.
    ///
    /// # Errors
    ///
    /// There is no certificate in `chain`, or no key in `key`.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        let chain = certificates(chain)?;
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|error| Error::Key(error.to_string()))?;
        Ok(Self { chain, key })
    }

    /// The same from files, which are read now.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or has not what it should.
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, Error> {
        Self::from_pem(&read(chain.as_ref())?, &read(key.as_ref())?)
    }
}

/// Settings of TLS are wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    File(String, io::Error),
    /// There is no certificate where one should be.
    Certificate(String),
    /// There is no key where one should be.
    Key(String),
    /// There is no authority to believe.
    Authority(String),
    /// A text is no name of a server.
    Name(String),
    /// Certificate and key do not go together, or are of a kind that is not known.
    Mismatch(rustls::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, _) => write!(f, "cannot read `{path}`"),
            Self::Certificate(reason) => write!(f, "no certificate: {reason}"),
            Self::Key(reason) => write!(f, "no private key: {reason}"),
            Self::Authority(reason) => write!(f, "no authority to believe: {reason}"),
            Self::Name(name) => write!(f, "`{name}` is neither a DNS name nor an address"),
            Self::Mismatch(_) => f.write_str("certificate and key are of no use together"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(_, error) => Some(error),
            Self::Mismatch(error) => Some(error),
            _ => None,
        }
    }
}

impl From<rustls::Error> for Error {
    fn from(error: rustls::Error) -> Self {
        Self::Mismatch(error)
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn server_config() -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, Error> {
    Ok(ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?)
}

fn client_config() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Error> {
    Ok(ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?)
}

fn roots(pem: &[u8]) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|error| Error::Authority(error.to_string()))?;
    }
    Ok(Arc::new(roots))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err(Error::Certificate("there is none in it".to_owned())),
        Ok(all) => Ok(all),
        Err(error) => Err(Error::Certificate(error.to_string())),
    }
}

fn parse_name(name: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(name.to_owned()).map_err(|_| Error::Name(name.to_owned()))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| Error::File(path.display().to_string(), error))
}

/// What is secret is not shown.
impl fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSettings")
            .field("takes_plain", &self.takes_plain)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSettings")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}
