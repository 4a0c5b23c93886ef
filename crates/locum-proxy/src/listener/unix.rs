//! Unix sockets that are listened on, and the files that they are found by.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

/// Who may connect by the file of a unix socket: on Linux, who may write to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketFile {
    /// Its mode, such as `0o660`; `None`: what the process's umask leaves.
    pub mode: Option<u32>,
    /// Its owner; `None`: the user of the process.
    pub user: Option<u32>,
    /// Its group; `None`: that of the process.
    pub group: Option<u32>,
}

impl SocketFile {
    /// Makes the file at `path` so.
    ///
    /// # Errors
    ///
    /// It is not there, or not ours to give away.
    pub(crate) fn apply(self, path: &Path) -> io::Result<()> {
        let Self { mode, user, group } = self;
        let told = |what: &'static str| {
            move |error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"))
        };
        if user.is_some() || group.is_some() {
            chown(path, user, group).map_err(told("the owner of its file cannot be set"))?;
        }
        // After that: who changes owners may take rights away.
        if let Some(mode) = mode {
            let permissions = Permissions::from_mode(mode);
            fs::set_permissions(path, permissions)
                .map_err(told("the mode of its file cannot be set"))?;
        }
        Ok(())
    }
}

/// Listens at `path`, in place of a socket there that nobody listens on any more.
///
/// # Errors
///
/// Somebody listens there, or it is something else, or not ours to make or to give away.
pub fn listen_unix(path: &Path, file: SocketFile, backlog: i32) -> io::Result<Socket> {
    remove_stale(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Before it listens nobody can connect, so nobody but who may ever can.
    file.apply(path)?;
    socket.listen(backlog)?;
    Ok(socket)
}

/// A socket file that nobody listens on is left from a process that has ended.
fn remove_stale(path: &Path) -> io::Result<()> {
    // What is no socket refuses connections as well.
    if !fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        return Ok(());
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn what_nobody_listens_on_is_replaced_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        let live = listen_unix(&path, SocketFile::default(), 1).expect("it was stale");
        let taken = listen_unix(&path, SocketFile::default(), 1).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(&path).expect("the first still listens");
        drop(live);

        let text = directory.path().join("text");
        fs::write(&text, "keep").unwrap();
        let taken = listen_unix(&text, SocketFile::default(), 1).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read_to_string(&text).unwrap(), "keep");
    }

    #[test]
    fn the_file_has_the_mode_and_the_owner_that_it_is_to_have() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let own = fs::metadata(directory.path()).unwrap();
        let (user, group) = (Some(own.uid()), Some(own.gid()));
        let file = SocketFile { mode: Some(0o612), user, group };
        let _socket = listen_unix(&path, file, 1).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o612);
        assert_eq!((metadata.uid(), metadata.gid()), (own.uid(), own.gid()));
    }
}
