//! What the tests share: a proxy with one listener and one upstream, authorities, and TLS that is spoken by
//! other code than the proxy's.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use locum_proxy::listener::{self, Bind};
use locum_proxy::metrics::{Exposition, Format};
use locum_proxy::plan::Settings;
use locum_proxy::tls::{Identity, Secret};
use locum_proxy::upstream::EndpointSettings;
use locum_proxy::{Options, Proxy, route, upstream};
use locum_testkit::{Broken, Reader, Response, clock, eventually};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The listener `web`, and a route from there to the upstream `up` at this address.
pub(crate) fn settings(upstream: SocketAddr) -> Settings {
    let anywhere = Bind::Tcp((Ipv4Addr::LOCALHOST, 0).into());
    let endpoint = EndpointSettings::new(&upstream.to_string(), upstream);
    let forward = route::Action::Forward(vec![("up".to_owned(), 1)]);
    Settings {
        listeners: vec![listener::Settings::new("web", anywhere)],
        upstreams: vec![upstream::Settings::new("up", vec![endpoint])],
        routes: vec![route::Settings::new("all", forward)],
        drain: Duration::from_secs(1),
        ..Settings::default()
    }
}

/// A running proxy. Dropping it drains it.
pub(crate) struct Running(Proxy);

impl Running {
    pub(crate) fn start(settings: Settings) -> Self {
        Self::start_with(settings, Options { workers: 1, ..Options::default() })
    }

    pub(crate) fn start_with(settings: Settings, options: Options) -> Self {
        Self(Proxy::start(settings, options).unwrap())
    }

    pub(crate) fn reload(&self, settings: Settings) {
        self.0.reload(settings).unwrap();
    }

    /// Where the listener `web` listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let Bind::Tcp(address) = self.0.bound()["web"] else { panic!("a TCP listener") };
        address
    }

    /// Waits until a sample, such as `locum_refused_total{listener="web",reason="tls"}`, has this value.
    pub(crate) fn counts(&self, series: &str, value: u64) {
        let line = format!("{series} {value}");
        eventually(&line, || self.metrics().lines().any(|found| found == line));
    }

    pub(crate) fn metrics(&self) -> String {
        let mut text = Exposition::new(Format::Prometheus);
        self.0.render(&mut text);
        text.finish()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.drain();
    }
}

/// Signs certificates.
pub(crate) struct Authority {
    pub(crate) pem: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Known by their names, two of one name could be taken for each other at first.
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        params.distinguished_name.push(DnType::CommonName, format!("authority {number}"));
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem().into_bytes();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for these DNS names or addresses.
    pub(crate) fn sign(&self, names: &[&str]) -> Identity {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        self.sign_params(&CertificateParams::new(names).unwrap())
    }

    pub(crate) fn sign_params(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        Identity {
            chain: params.signed_by(&key, &self.issuer).unwrap().pem().into_bytes(),
            key: Secret(key.serialize_pem().into_bytes()),
        }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.pem).unwrap()).unwrap();
        roots
    }

    /// A client that believes this authority, and is `identity` if that is asked for.
    pub(crate) fn client(&self, identity: Option<&Identity>) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder().with_root_certificates(self.roots());
        Arc::new(match identity.map(parse) {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        })
    }

    /// A client that believes this authority and speaks nothing newer than TLS 1.2.
    pub(crate) fn old_client(&self) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS12]);
        Arc::new(builder.with_root_certificates(self.roots()).with_no_client_auth())
    }

    /// A server of this authority's with that name; with `clients`, only for clients of theirs.
    pub(crate) fn server(&self, name: &str, clients: Option<&Self>) -> Arc<ServerConfig> {
        let (chain, key) = parse(&self.sign(&[name]));
        let builder = ServerConfig::builder();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let verifier = WebPkiClientVerifier::builder(Arc::new(clients.roots()));
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }
}

fn parse(identity: &Identity) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(&identity.chain).collect::<Result<_, _>>().unwrap();
    (chain, PrivateKeyDer::from_pem_slice(&identity.key.0).unwrap())
}

/// An address where TLS is spoken for the plain peer at `to`.
pub(crate) fn in_front_of(to: SocketAddr, config: Arc<ServerConfig>) -> SocketAddr {
    relay(move |near| {
        let acceptor = TlsAcceptor::from(Arc::clone(&config));
        async move {
            let mut near = acceptor.accept(near).await?;
            let mut far = TcpStream::connect(to).await?;
            copy_bidirectional(&mut near, &mut far).await
        }
    })
}

/// An address from where plain clients come to `to` under TLS, which has to be `name`.
pub(crate) fn towards(to: SocketAddr, name: &str, config: Arc<ClientConfig>) -> SocketAddr {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    relay(move |mut near| {
        let connector = TlsConnector::from(Arc::clone(&config));
        let name = name.clone();
        async move {
            let far = TcpStream::connect(to).await?;
            let mut far = connector.connect(name, far).await?;
            copy_bidirectional(&mut near, &mut far).await
        }
    })
}

/// Does `join` with each connection to the address that it gives, until the process ends.
fn relay<F>(join: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = io::Result<(u64, u64)>> + 'static,
{
    let (bound, address) = channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            bound.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let (near, _) = listener.accept().await.unwrap();
                // How it ends is seen by whoever is at its ends.
                tokio::task::spawn_local(join(near));
            }
        });
    });
    address.recv().unwrap()
}

/// A client under TLS that the test holds by both ends: what is sent, and what the handshake was like.
pub(crate) struct Secure(pub(crate) StreamOwned<ClientConnection, std::net::TcpStream>);

impl Secure {
    /// Connects and takes its part of the handshake with a server that has to be `name`.
    pub(crate) fn connect(
        address: SocketAddr,
        name: &str,
        config: &Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut session = ClientConnection::new(Arc::clone(config), name).unwrap();
        let mut socket = std::net::TcpStream::connect(address)?;
        socket.set_read_timeout(Some(clock::PATIENCE))?;
        while session.is_handshaking() {
            session.complete_io(&mut socket)?;
        }
        Ok(Self(StreamOwned::new(session, socket)))
    }

    pub(crate) fn get(&mut self, target: &str) -> Result<Response, Broken> {
        // Where the peer has gone the answer tells.
        let _ = write!(self.0, "GET {target} HTTP/1.1\r\nHost: a.test\r\n\r\n");
        Reader::new(&mut self.0).response("GET")
    }

    /// The names of the certificate that the server has shown.
    pub(crate) fn names(&self) -> Vec<String> {
        let chain = self.0.conn.peer_certificates().unwrap();
        locum_wire::certificate::dns_names(&chain[0])
    }
}
