//! The new process's side of an upgrade.

use std::env;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use locum_proxy::listener::Sockets;
use rustix::process::getppid;
use rustix::stdio::dup2_stdin;

use super::{Message, STARTED_BY, receive_all, send};

/// The process whose place this one takes. If this one ends without a word, that one goes on.
pub(crate) struct Predecessor {
    channel: OwnedFd,
}

impl Predecessor {
    /// Tells it that this process serves, so that it drains.
    ///
    /// # Errors
    ///
    /// It is gone, or has lost patience.
    pub(crate) fn tell_ready(&self) -> io::Result<()> {
        send(self.channel.as_fd(), &Message::Ready, None)
    }
}

/// What the process that this one was started by hands over, if it is to be upgraded.
///
/// # Errors
///
/// It does not hand over what was agreed.
pub(crate) fn inherit() -> io::Result<Option<(Predecessor, Sockets)>> {
    let named = env::var(STARTED_BY).ok();
    let parent = getppid().map(|parent| parent.as_raw_nonzero().to_string());
    if named.is_none() || named != parent {
        return Ok(None);
    }
    let channel = io::stdin().as_fd().try_clone_to_owned()?;
    dup2_stdin(File::open("/dev/null")?)?;
    let sockets = receive_all(channel.as_fd())?;
    Ok(Some((Predecessor { channel }, sockets)))
}
