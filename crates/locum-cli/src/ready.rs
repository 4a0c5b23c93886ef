//! Telling that everything listens, and where: the ready file and the banner.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::file::{File, ListenerProtocol};

/// Where everything listens, by name; the admin API is `admin`.
pub(crate) type Addresses = BTreeMap<String, String>;

/// Removes what an earlier process may have left: it would be believed.
pub(crate) fn forget(path: &Path) {
    // If it stays, writing it will tell why.
    drop(std::fs::remove_file(path));
}

/// Writes the ready file, whole or not at all.
///
/// # Errors
///
/// Its folder is not there or not ours to write.
pub(crate) fn write(path: &Path, addresses: &Addresses) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let json = serde_json::to_vec(addresses).map_err(io::Error::other)?;
    std::fs::write(&beside, json)?;
    std::fs::rename(&beside, path)
}

/// Names the addresses on standard error, for a person.
pub(crate) fn banner(addresses: &Addresses, file: &File) {
    eprintln!("locum {} is ready", env!("CARGO_PKG_VERSION"));
    let width = addresses.keys().map(String::len).max().unwrap_or(0);
    for (name, address) in addresses {
        let scheme = if address.starts_with("unix:") { "" } else { scheme(name, file) };
        eprintln!("  {name:width$}  {scheme}{address}");
    }
}

/// How a browser or curl would write it. Remote calls come in many protocols, which have none in common.
fn scheme(name: &str, file: &File) -> &'static str {
    match file.listeners.get(name) {
        Some(listener) if listener.protocol == ListenerProtocol::Rpc => "",
        Some(listener) if listener.tls.is_some() => "https://",
        _ => "http://",
    }
}

/// What to try of the embedded default, for the same person.
pub(crate) fn invitation(addresses: &Addresses) {
    if let (Some(http), Some(rpc)) = (addresses.get("http"), addresses.get("rpc")) {
        eprint!("{}", INVITATION.replace("{http}", http).replace("{rpc}", rpc));
    }
}

const INVITATION: &str = r#"try, from another terminal:
  curl http://{http}/
  curl -d '{"A":7,"B":8}' http://{http}/rpc/Arith.Multiply
  locum call {rpc} Arith.Multiply '{"A":7,"B":8}'
or, from Go:
  client, err := rpc.Dial("tcp", "{rpc}")
  var product int
  err = client.Call("Arith.Multiply", struct{ A, B int }{7, 8}, &product)
"#;

/// The same as an event of the log, for programs.
pub(crate) fn event(addresses: &Addresses) {
    let addresses = serde_json::to_string(addresses).unwrap_or_default();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), addresses, "ready");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_file_is_written_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ready.json");
        let addresses = Addresses::from([("web".to_owned(), "127.0.0.1:1".to_owned())]);
        write(&path, &addresses).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), r#"{"web":"127.0.0.1:1"}"#);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
