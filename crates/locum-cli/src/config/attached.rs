//! Files that a configuration names: certificates, private keys, keys of callers, lists of endpoints. They are read once, with it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::File;
use super::problem::Sources;
use super::tree::Node;

/// What was read, by the key that names it: `auth.keys.file`.
pub(crate) type Attachments = BTreeMap<String, Attached>;

/// A file that a configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attached {
    pub(crate) path: PathBuf,
    /// Or why they cannot be had.
    contents: Result<Contents, String>,
}

/// Bytes that are never shown.
#[derive(Clone, PartialEq, Eq)]
struct Contents(Arc<[u8]>);

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

impl Attached {
    /// What is in it.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    pub(super) fn contents(&self) -> Result<&[u8], &str> {
        self.contents.as_ref().map(|contents| &*contents.0).map_err(String::as_str)
    }
}

/// Reads every file that `file` names, relative to the one of `sources` that names it.
pub(super) fn read(file: &File, tree: &Node, sources: &Sources) -> Attachments {
    let read = |(key, name): (String, &str)| {
        let by = sources.files.get(tree.locate(&key).value.source);
        let folder = by.and_then(|source| source.path.parent()).unwrap_or_else(|| Path::new(""));
        let path = folder.join(name);
        let contents = read_one(&path).map(|bytes| Contents(bytes.into()));
        (key, Attached { contents: contents.map_err(|error| error.to_string()), path })
    };
    named(file).into_iter().map(read).collect()
}

/// Every file that `file` names, with the key that does.
fn named(file: &File) -> Vec<(String, &str)> {
    let mut named: Vec<(String, &String)> = Vec::new();
    for (listener, settings) in &file.listeners {
        let Some(tls) = &settings.tls else { continue };
        let path = format!("listeners.{listener}.tls");
        for (index, certificate) in tls.certificates.iter().enumerate() {
            named.push((format!("{path}.certificates.{index}.cert"), &certificate.cert));
            named.push((format!("{path}.certificates.{index}.key"), &certificate.key));
        }
        named.extend(tls.client_ca.iter().map(|name| (format!("{path}.client_ca"), name)));
    }
    for (upstream, settings) in &file.upstreams {
        let found = settings.discover.iter().filter_map(|discover| discover.file.as_ref());
        named.extend(found.map(|name| (format!("upstreams.{upstream}.discover.file"), name)));
        let Some(tls) = &settings.tls else { continue };
        for (key, name) in [("ca", &tls.ca), ("cert", &tls.cert), ("key", &tls.key)] {
            named.extend(name.iter().map(|name| (format!("upstreams.{upstream}.tls.{key}"), name)));
        }
    }
    for (auth, settings) in &file.auth {
        let jwks = settings.jwks.as_ref().filter(|jwks| !jwks.is_url()).map(|jwks| &jwks.0);
        for (key, name) in
            [("file", settings.file.as_ref()), ("jwks", jwks), ("ca", settings.ca.as_ref())]
        {
            named.extend(name.map(|name| (format!("auth.{auth}.{key}"), name)));
        }
    }
    let telemetry = file.telemetry.iter().filter_map(|telemetry| telemetry.ca.as_ref());
    named.extend(telemetry.map(|name| ("telemetry.ca".to_owned(), name)));
    named.into_iter().map(|(key, name)| (key, name.as_str())).collect()
}

/// A configuration may be handed in by the admin API: what it names is not waited for, and not endless.
fn read_one(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::Error::other("it has more than 4 MiB"));
    }
    Ok(bytes)
}

const MOST: u64 = 4 << 20;
