//! The admin API's token in a file of its own, which is made where there is none.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::Config;
use super::file::File;
use super::problem::{Problem, Sources};
use super::tree::Node;
use super::value::Secret;

impl Config {
    /// The token that changes have to bring; `None`: there is none to bring.
    ///
    /// # Errors
    ///
    /// There is to be one, and it cannot be had.
    pub(crate) fn admin_token(&self) -> Result<Option<String>, String> {
        let Some(admin) = &self.file.admin else { return Ok(None) };
        if let Some(token) = &admin.token {
            let resolved =
                token.resolve().map_err(|(reason, remedy)| format!("{reason}; {remedy}"));
            return resolved.map(Some);
        }
        let Some(path) = self.token_file() else { return Ok(None) };
        read(&path).map(Some).map_err(|(reason, remedy)| format!("{reason}; {remedy}"))
    }

    /// Makes the file of the token, if one is named and not there. Gives its path if it was made.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub(crate) fn make_token_file(&self) -> io::Result<Option<PathBuf>> {
        let Some(path) = self.token_file() else { return Ok(None) };
        let mut bytes = [0; 32];
        fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        match made {
            Ok(mut file) => {
                writeln!(file, "{token}")?;
                file.sync_all()?;
                Ok(Some(path))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Its path, relative to the file that names it.
    fn token_file(&self) -> Option<PathBuf> {
        let name = self.file.admin.as_ref()?.token_file.as_ref()?;
        let source = self.tree.locate("admin.token_file").value.source;
        Some(beside(self.sources.files.get(source).map(|source| &*source.path), name))
    }
}

/// What is wrong with the file of the token, if it is there: the start makes one that is not.
pub(super) fn judge(file: &File, tree: &Node, sources: &Sources) -> Option<Problem> {
    let name = file.admin.as_ref()?.token_file.as_ref()?;
    let place = tree.locate("admin.token_file").value;
    let path = beside(sources.files.get(place.source).map(|source| &*source.path), name);
    let (reason, remedy) = path.exists().then(|| read(&path).err()).flatten()?;
    Some(Problem::error(place, "admin.token_file".to_owned(), reason, remedy))
}

/// `name`, relative to the file `by`.
fn beside(by: Option<&Path>, name: &str) -> PathBuf {
    by.and_then(Path::parent).unwrap_or_else(|| Path::new("")).join(name)
}

/// The token in the file, of which nobody else may read; or why it cannot be had, and what to do.
fn read(path: &Path) -> Result<String, (String, String)> {
    let shown = path.display();
    let unreadable = |error: io::Error| {
        (format!("cannot read `{shown}`: {error}"), "start once; the start makes it".to_owned())
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.mode() & 0o077 != 0 {
        let reason = format!("others can read `{shown}` (mode {:o})", metadata.mode() & 0o777);
        return Err((reason, format!("chmod 600 {shown}, or remove it and start anew")));
    }
    Secret(format!("file:{shown}")).resolve()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn config(folder: &Path) -> Config {
        let path = folder.join("locum.toml");
        fs::write(&path, "[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"admin.token\"")
            .unwrap();
        Config::load(&path).unwrap()
    }

    #[test]
    fn a_token_is_made_once_and_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        assert!(config.admin_token().is_err(), "there is none yet, and that opens nothing");
        let path = config.make_token_file().unwrap().unwrap();
        assert_eq!(path, folder.path().join("admin.token"));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let token = config.admin_token().unwrap().unwrap();
        assert_eq!(token.len(), 64);
        assert_eq!(config.make_token_file().unwrap(), None);
        assert_eq!(config.admin_token().unwrap().unwrap(), token);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(config.admin_token().unwrap_err().contains("others can read"));
        let judged = Config::load(&folder.path().join("locum.toml")).unwrap_err();
        assert!(judged.lines()[0].contains("locum.toml:3:14"), "{:?}", judged.lines());
    }
}
