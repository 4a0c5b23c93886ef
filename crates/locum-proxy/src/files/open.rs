//! What there is by a name, as the disk has it. All of it waits for the disk.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::CHUNK;
use super::listing::Listing;
use crate::coding::Coding;

/// Without waiting for anybody at the other end, as a pipe would have it.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);

/// A file that was opened, and what it begins with.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) length: u64,
    pub(super) modified: SystemTime,
    pub(super) coding: Option<Coding>,
    pub(super) first: Vec<u8>,
}

/// What is looked for below a root.
pub(super) struct Wanted {
    pub(super) root: PathBuf,
    pub(super) name: Name,
    /// What a directory is shown as.
    pub(super) index: String,
    /// Forms of a file that will do as well, best first.
    pub(super) codings: Vec<Coding>,
    /// Whether a directory without an index is listed.
    pub(super) lists: bool,
}

/// What there is by a name.
pub(super) enum Found {
    File(PathBuf, Opened),
    /// It is a directory, and has to be asked for as one.
    Directory,
    Listing(Listing),
    Nothing,
}

/// A name below a root.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Of a file.
    File(PathBuf),
    /// Of a directory; empty: the root itself.
    Directory(PathBuf),
}

impl Name {
    /// From what of a path in normal form is left; `None`: there is nothing by such a name. Names that begin with a
    /// dot are nobody's to see, but for `.well-known` (RFC 8615).
    pub(super) fn of(rest: &[u8]) -> Option<Self> {
        let mut decoded = Vec::with_capacity(rest.len());
        let mut bytes = rest.iter().copied();
        while let Some(byte) = bytes.next() {
            decoded.push(match byte {
                b'%' => {
                    let digits = [bytes.next()?, bytes.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                byte => byte,
            });
        }
        let text = String::from_utf8(decoded).ok()?;
        let hidden = |part: &str| part.starts_with('.') && part != ".well-known";
        let inner = text.trim_start_matches('/');
        if inner.contains(['\0', '\\']) || inner.split('/').any(hidden) {
            return None;
        }
        Some(match inner.is_empty() || inner.ends_with('/') {
            true => Self::Directory(inner.into()),
            false => Self::File(inner.into()),
        })
    }
}

/// Opens what is wanted, or the first of its coded forms that is there.
pub(super) fn open(wanted: Wanted) -> io::Result<Found> {
    let Wanted { root, name, index, codings, lists } = wanted;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat(CWD, &root, flags, Mode::empty())?;
    let (file_name, directory) = match name {
        Name::File(name) => (name, None),
        Name::Directory(name) => (name.join(index), Some(name)),
    };
    match open_file(&root, &file_name, &codings)? {
        Found::Nothing if lists && let Some(directory) = directory => list(&root, &directory),
        found => Ok(found),
    }
}

fn open_file(root: &OwnedFd, name: &Path, codings: &[Coding]) -> io::Result<Found> {
    let Some((file, metadata)) = beneath(root, name, READ)? else {
        return Ok(Found::Nothing);
    };
    if metadata.is_dir() {
        return Ok(Found::Directory);
    }
    if !metadata.is_file() {
        return Ok(Found::Nothing);
    }
    for coding in codings {
        let mut coded = name.as_os_str().to_owned();
        coded.push(".");
        coded.push(coding.extension());
        if let Some((file, metadata)) = beneath(root, coded.as_ref(), READ)?
            && metadata.is_file()
        {
            return Ok(Found::File(name.into(), opened(file, &metadata, Some(*coding))?));
        }
    }
    Ok(Found::File(name.into(), opened(file, &metadata, None)?))
}

fn list(root: &OwnedFd, directory: &Path) -> io::Result<Found> {
    let name = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let opened = beneath(root, name, READ | OFlags::DIRECTORY)?;
    let Some((file, _)) = opened else { return Ok(Found::Nothing) };
    Listing::read(&file, |name| {
        Ok(beneath(root, &directory.join(name), OFlags::PATH)?.map(|it| it.1))
    })
    .map(Found::Listing)
}

/// Opens what `name` leads to, by whatever links, as long as that is below `root`.
fn beneath(root: &OwnedFd, name: &Path, flags: OFlags) -> io::Result<Option<(File, Metadata)>> {
    let flags = flags | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, name, flags, Mode::empty(), resolve) {
        Ok(file) => {
            let file = File::from(file);
            let metadata = file.metadata()?;
            Ok(Some((file, metadata)))
        }
        Err(error)
            if matches!(
                error,
                Errno::MFILE | Errno::NFILE | Errno::NOSYS | Errno::NOMEM | Errno::IO
            ) =>
        {
            Err(error.into())
        }
        // Not there, not to be read, or outside.
        Err(_) => Ok(None),
    }
}

fn opened(file: File, metadata: &Metadata, coding: Option<Coding>) -> io::Result<Opened> {
    let length = metadata.len();
    let mut first = vec![0; usize::try_from(length).unwrap_or(CHUNK).min(CHUNK)];
    let read = file.read_at(&mut first, 0)?;
    first.truncate(read);
    // Fields have whole seconds, and none before 1970.
    let modified = metadata.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let modified = SystemTime::UNIX_EPOCH + modified;
    Ok(Opened { file, length, modified, coding, first })
}

impl Opened {
    /// What tells this content of the file from any other.
    pub(super) fn tag(&self) -> String {
        let since = self.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let coding = self.coding.map(Coding::name).unwrap_or_default();
        format!("\"{:x}-{:x}{coding}\"", since.as_nanos(), self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_is_left_of_the_path_and_leads_nowhere_else() {
        let file = |name: &str| Some(Name::File(name.into()));
        let directory = |name: &str| Some(Name::Directory(name.into()));
        let cases = [
            ("/a/b.html", file("a/b.html")),
            ("", directory("")),
            ("/", directory("")),
            ("/a/", directory("a/")),
            ("/a%20b", file("a b")),
            ("/.well-known/x", file(".well-known/x")),
            ("/.git/config", None),
            ("/a/.htpasswd", None),
            ("/a/%2e%2e/b", None),
            ("/a%5cb", None),
            ("/a%00b", None),
            ("/%ff", None),
            ("/%2", None),
            ("/%zz", None),
        ];
        for (rest, expected) in cases {
            assert_eq!(Name::of(rest.as_bytes()), expected, "{rest}");
        }
    }
}
