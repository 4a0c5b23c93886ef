//! TLS as a plan has it: with the files that the configuration names.

use locum_proxy::tls::{ClientSettings, Identity, Secret, ServerSettings, Version};

use super::attached::Attachments;
use super::file::{ListenerTls, TlsVersion, UpstreamTls};

/// Of the listener `name`.
pub(super) fn of_listener(
    name: &str,
    wanted: &ListenerTls,
    attached: &Attachments,
) -> ServerSettings {
    let path = format!("listeners.{name}.tls");
    let certificate = |index: usize| {
        let path = format!("{path}.certificates.{index}");
        identity(&format!("{path}.cert"), &format!("{path}.key"), attached)
    };
    ServerSettings {
        certificates: (0..wanted.certificates.len()).map(certificate).collect(),
        client_ca: wanted.client_ca.as_ref().map(|_| bytes(&format!("{path}.client_ca"), attached)),
        min: match wanted.min {
            None | Some(TlsVersion::Tls12) => Version::Tls12,
            Some(TlsVersion::Tls13) => Version::Tls13,
        },
    }
}

/// Of the upstream `name`; with nothing said, only its endpoints' schemes ask for it.
pub(super) fn of_upstream(
    name: &str,
    wanted: Option<&UpstreamTls>,
    attached: &Attachments,
) -> ClientSettings {
    let Some(wanted) = wanted else { return ClientSettings::default() };
    let path = |key: &str| format!("upstreams.{name}.tls.{key}");
    ClientSettings {
        server_name: wanted.server_name.clone(),
        ca: wanted.ca.as_ref().map(|_| bytes(&path("ca"), attached)),
        identity: wanted.cert.as_ref().map(|_| identity(&path("cert"), &path("key"), attached)),
    }
}

fn identity(chain: &str, key: &str, attached: &Attachments) -> Identity {
    Identity { chain: bytes(chain, attached), key: Secret(bytes(key, attached)) }
}

/// What is in the file that `key` names; the check has found that it can be read.
fn bytes(key: &str, attached: &Attachments) -> Vec<u8> {
    let contents = attached.get(key).and_then(|file| file.contents().ok());
    contents.unwrap_or_default().to_vec()
}
