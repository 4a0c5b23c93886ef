//! How a peer that is gone without a word is found out.

use std::time::Duration;

use tokio::time::Instant;

use super::Driver;
use crate::channel::connection::{Connection, State};

/// How a silent peer is found dead.
#[derive(Clone, Copy, Debug)]
pub(in crate::channel) struct KeepaliveSettings {
    /// Silence after which it is asked.
    pub(in crate::channel) interval: Duration,
    /// How long it has to say something.
    pub(in crate::channel) timeout: Duration,
}

/// What is known of a peer's silence.
pub(super) struct Keepalive {
    settings: KeepaliveSettings,
    /// When the peer last said something.
    heard: Instant,
    /// Whether it was asked since.
    asked: bool,
}

impl Keepalive {
    pub(super) const fn new(settings: KeepaliveSettings, now: Instant) -> Self {
        Self { settings, heard: now, asked: false }
    }

    /// The peer has said something.
    pub(super) const fn hears(&mut self, now: Instant) {
        (self.heard, self.asked) = (now, false);
    }

    /// When it is asked, or given up.
    pub(super) fn due(&self) -> Instant {
        let patience = match self.asked {
            false => self.settings.interval,
            true => self.settings.interval + self.settings.timeout,
        };
        self.heard + patience
    }
}

impl Driver {
    /// Asks a peer that is silent; says why one that stays so is given up.
    pub(super) fn keep_alive(&mut self, now: Instant) -> Option<String> {
        let keepalive = self.keepalive.as_mut().filter(|keepalive| keepalive.due() <= now)?;
        if std::mem::replace(&mut keepalive.asked, true) {
            let silence = now.saturating_duration_since(keepalive.heard);
            return Some(format!("the peer has been silent for {} s", silence.as_secs()));
        }
        let mut state = self.connection.lock();
        let begin = state.out.len();
        let State { calls, out, .. } = &mut *state;
        let can_ask = calls.ping(out, 0);
        Connection::queued(&mut state, begin);
        drop(state);
        if !can_ask {
            self.keepalive = None;
        }
        None
    }
}
