//! Addresses, listeners, TLS.

use locum::transport::tls::{self, ClientSettings, Identity, ServerSettings};
use locum::transport::{Address, Io, Listener, Peer, memory};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[test]
fn addresses_are_read_and_shown() {
    let tcp = |host: &str, port| Address::Tcp { host: host.to_owned(), port };
    for (text, address, shown) in [
        ("tcp://0.0.0.0:1234", tcp("0.0.0.0", 1234), "tcp://0.0.0.0:1234"),
        ("tcp://localhost:0/", tcp("localhost", 0), "tcp://localhost:0"),
        ("[::1]:7", tcp("::1", 7), "tcp://[::1]:7"),
        ("unix:/run/a.sock", Address::Unix("/run/a.sock".into()), "unix:/run/a.sock"),
        ("unix:///run/a.sock", Address::Unix("/run/a.sock".into()), "unix:/run/a.sock"),
    ] {
        let read: Address = text.parse().unwrap();
        assert_eq!(read, address);
        assert_eq!(read.to_string(), shown);
    }
    for (text, reason) in [
        ("tcp://host", "names no port"),
        ("tcp://:80", "names no host"),
        ("tcp://host:65536", "no number up to 65535"),
        ("::1:80", "no name and no address"),
        ("[host]:80", "no name and no address"),
        ("http://host:80", "neither tcp nor unix"),
        ("unix:", "names no path"),
    ] {
        let error = text.parse::<Address>().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_socket_left_by_a_dead_server_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.sock");
    let address = Address::Unix(path.clone());
    // Dropped by itself, a socket of the standard library leaves its file.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut listener = Listener::bind(&address).await.unwrap();
    assert_eq!(listener.address().unwrap(), Some(address.clone()));
    let second = Listener::bind(&address).await.unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::AddrInUse, "somebody listens");
    let _near = address.connect().await.unwrap();
    assert_eq!(listener.accept().await.unwrap().1, Peer::Unix);
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test]
async fn nobody_connects_to_a_listener_that_went() {
    let (dialer, listener) = memory();
    drop(listener);
    let refused = dialer.dial().await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

/// An authority, and what it signs.
struct Authority(CertificateParams, KeyPair);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        Self(params, KeyPair::generate().unwrap())
    }

    fn pem(&self) -> String {
        self.0.self_signed(&self.1).unwrap().pem()
    }

    fn sign(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let issuer = Issuer::from_params(&self.0, &self.1);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }
}

fn named(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

fn commonly(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

async fn handshake(
    server: &ServerSettings,
    client: &ClientSettings,
    host: &str,
) -> (std::io::Result<Io>, std::io::Result<Io>) {
    let (near, far) = tokio::io::duplex(1 << 16);
    tokio::join!(server.accept(Io::Memory(far)), client.connect(host, Io::Memory(near)))
}

#[tokio::test]
async fn tls_carries_bytes_to_the_server_that_was_meant() {
    let authority = Authority::new();
    let server = ServerSettings::new(authority.sign(&named("arith.test"))).unwrap();
    let client = ClientSettings::trusting(authority.pem().as_bytes()).unwrap();
    let (far, near) = handshake(&server, &client, "arith.test").await;
    let (mut far, mut near) = (far.unwrap(), near.unwrap());
    near.write_all(b"hello").await.unwrap();
    near.flush().await.unwrap();
    let mut heard = [0; 5];
    far.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello");
    assert_eq!(tls::identity(&far), None);
    assert_eq!(tls::identity(&near).as_deref(), Some("arith.test"));

    assert!(handshake(&server, &client, "other.test").await.1.is_err());
    let told = client.server_name("arith.test").unwrap();
    assert!(handshake(&server, &told, "other.test").await.1.is_ok());
    let stranger = ClientSettings::trusting(Authority::new().pem().as_bytes()).unwrap();
    assert!(handshake(&server, &stranger, "arith.test").await.1.is_err());
}

#[tokio::test]
async fn a_server_knows_its_clients_by_their_certificates() {
    let authority = Authority::new();
    let server = ServerSettings::new(authority.sign(&named("arith.test"))).unwrap();
    let server = server.requiring_clients_of(authority.pem().as_bytes()).unwrap();
    let client = ClientSettings::trusting(authority.pem().as_bytes()).unwrap();
    assert!(handshake(&server, &client, "arith.test").await.0.is_err(), "it shows nothing");

    let mut spiffe = named("billing.test");
    spiffe.subject_alt_names.push(SanType::URI("spiffe://test/billing".try_into().unwrap()));
    for (params, name) in [
        (&spiffe, "spiffe://test/billing"),
        (&named("billing.test"), "billing.test"),
        (&commonly("alice"), "alice"),
    ] {
        let client = client.clone().presenting(authority.sign(params)).unwrap();
        let (far, _) = handshake(&server, &client, "arith.test").await;
        assert_eq!(tls::identity(&far.unwrap()).as_deref(), Some(name));
    }
}

#[test]
fn wrong_settings_are_told_of_at_once() {
    let missing = Identity::from_files("/nowhere/a.pem", "/nowhere/a.key").unwrap_err();
    assert_eq!(missing.to_string(), "cannot read `/nowhere/a.pem`");
    assert!(matches!(ClientSettings::trusting(b""), Err(tls::Error::Certificate(_))));
    let authority = Authority::new();
    let (one, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let issuer = Issuer::from_params(&authority.0, &authority.1);
    let certificate = named("x.test").signed_by(&one, &issuer).unwrap();
    let pem = certificate.pem();
    let wrong = Identity::from_pem(pem.as_bytes(), other.serialize_pem().as_bytes()).unwrap();
    assert!(matches!(ServerSettings::new(wrong), Err(tls::Error::Mismatch(_))));
}
