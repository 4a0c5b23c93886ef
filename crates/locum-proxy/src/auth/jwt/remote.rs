//! Keys that an issuer shows at a URL.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::task::spawn_local;

use super::keys::MOST_BYTES;
use super::refresh::{Asked, Refresh};
use super::{Algorithm, KeySet, Keyring};
use crate::clock::now;
use crate::outgoing::{Means, Server, within};

/// Keys that are fetched: at the start, before they are old, and when a token names one that is not known.
/// Whoever waits for a fetch waits for the one there is, whichever worker makes it.
pub(super) struct Remote {
    /// The check whose keys they are.
    auth: Box<str>,
    server: Server,
    algorithms: Vec<Algorithm>,
    refresh: Mutex<Refresh>,
    keyring: ArcSwapOption<Keyring>,
    /// Told when a fetch has ended.
    ended: watch::Sender<()>,
    counts: [AtomicU64; 2],
}

/// A fetch may take so long.
const TIMEOUT: Duration = Duration::from_secs(5);

impl Remote {
    pub(super) fn new(
        auth: &str,
        server: Server,
        algorithms: Vec<Algorithm>,
        every: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            auth: auth.into(),
            server,
            algorithms,
            refresh: Mutex::new(Refresh::new(every)),
            keyring: ArcSwapOption::empty(),
            ended: watch::Sender::new(()),
            counts: Default::default(),
        })
    }

    /// The keys of this moment; `None`: there are none that are believed.
    pub(super) fn keyring(&self) -> Option<Arc<Keyring>> {
        self.keyring.load_full().filter(|_| self.lock().is_believed(now()))
    }

    /// Fetches, if it is time to.
    pub(super) fn tend(self: &Arc<Self>, means: &Means, random: u64) {
        let begins = self.lock().begin_if_due(now());
        if begins {
            self.fetch(means, random);
        }
    }

    /// A token names a key that is not known, or there are no keys: fetches, or waits for who does, if that
    /// can help. True if it may have.
    ///
    /// # Cancel safety
    ///
    /// A fetch that has begun goes on.
    pub(super) async fn ask(self: &Arc<Self>, means: &Means, random: u64) -> bool {
        let mut ended = self.ended.subscribe();
        let asked = self.lock().ask(now(), random);
        match asked {
            Asked::Fetch => self.fetch(means, random),
            Asked::Wait => {}
            Asked::Nothing => return false,
        }
        let waiting = async { ended.changed().await.map_err(|error| error.to_string()) };
        within(TIMEOUT, means, waiting).await.is_ok()
    }

    /// Fetches on its own, whoever is still waiting for it.
    fn fetch(self: &Arc<Self>, means: &Means, random: u64) {
        let (remote, means) = (Arc::clone(self), means.clone());
        spawn_local(async move {
            let fetched = within(TIMEOUT, &means, remote.get(&means)).await;
            let good = remote.learn(fetched);
            remote.counts[usize::from(good)].fetch_add(1, Ordering::Relaxed);
            remote.lock().ended(now(), good, random);
            remote.ended.send_replace(());
        });
    }

    async fn get(&self, means: &Means) -> Result<Vec<u8>, String> {
        let mut line = self.server.connect(TIMEOUT, means).await?;
        let url = &self.server.url;
        let mut request = String::new();
        let _ = write!(
            request,
            "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\nUser-Agent: locum\r\nConnection: close\r\n\r\n",
            url.target, url.authority
        );
        let answer = line.ask(request.as_bytes(), MOST_BYTES).await?;
        match answer.status {
            200 => Ok(answer.body),
            // Keys are believed because of where they are.
            301..=308 => Err("it says that the keys are elsewhere; name that URL".to_owned()),
            status => Err(format!("it answered {status}")),
        }
    }

    /// Takes over what was fetched. True if it is of use.
    fn learn(&self, fetched: Result<Vec<u8>, String>) -> bool {
        let parsed = fetched.and_then(|text| {
            let known = self.keyring.load();
            match &*known {
                // What was verified stays so.
                Some(keyring) if keyring.text == text => Ok(None),
                _ => KeySet::parse(&text, &self.algorithms).map(|keys| Some((text, keys))),
            }
        });
        match parsed {
            Ok(None) => true,
            Ok(Some((text, keys))) => {
                tracing::info!(auth = self.auth, keys = keys.count(), "an issuer's keys are new");
                self.keyring.store(Some(Arc::new(Keyring::new(text, keys))));
                true
            }
            Err(error) => {
                tracing::warn!(auth = self.auth, error, "an issuer's keys cannot be fetched");
                false
            }
        }
    }

    /// Fetches that brought nothing, and those that did.
    pub(super) fn fetches(&self) -> [u64; 2] {
        self.counts.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Refresh> {
        self.refresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
