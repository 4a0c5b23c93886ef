//! Secrets that a person made up, whose hashes take milliseconds to verify.
//!
//! So it is done on a thread beside the workers, one secret at a time, and what came of it is remembered: who
//! has been let in once comes in while others guess.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params};
use rustc_hash::FxHashMap;
use tokio::sync::Semaphore;

use super::Why;

/// What a secret becomes under a secret of this process. Nothing that is found out of a mark, by how long a
/// comparison takes or otherwise, says anything of what it was made of.
pub(super) type Mark = [u8; 32];

/// Secrets that are verified in turn. A secret leads to a place in a list, or nowhere.
#[derive(Default)]
pub(super) struct Verifying {
    pub(super) seen: Arc<Mutex<Seen>>,
    pub(super) turn: Turn,
    pub(super) waiting: AtomicUsize,
}

pub(super) struct Turn(pub(super) Arc<Semaphore>);

impl Default for Turn {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// What came of the secrets that were verified.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) known: FxHashMap<Mark, usize>,
    pub(super) unknown: FxHashMap<Mark, ()>,
}

/// Secrets that may wait to be verified.
pub(super) const WAITING: usize = 32;
/// Unknown secrets that are remembered as such.
const UNKNOWN: usize = 1024;
/// What verifying a secret may take: argon2's memory in KiB, and its passes over that.
const MEMORY: u32 = 256 * 1024;
const PASSES: u32 = 64;

impl Verifying {
    /// The place that the secret of this mark leads to, which `find` takes its time to find.
    ///
    /// # Errors
    ///
    /// Too many wait.
    ///
    /// # Cancel safety
    ///
    /// What has begun goes on, and is known the next time.
    pub(super) async fn place(
        &self,
        mark: Mark,
        find: impl FnOnce() -> Option<usize> + Send + 'static,
    ) -> Result<Option<usize>, Why> {
        if let Some(place) = lock(&self.seen).get(&mark) {
            return Ok(place);
        }
        let Some(_waiting) = Waiting::begin(&self.waiting) else { return Err(Why::Busy) };
        let turn = Arc::clone(&self.turn.0).acquire_owned().await;
        // Somebody else may have brought it meanwhile.
        if let Some(place) = lock(&self.seen).get(&mark) {
            return Ok(place);
        }
        let seen = Arc::clone(&self.seen);
        let verified = tokio::task::spawn_blocking(move || {
            let place = find();
            lock(&seen).put(mark, place);
            // Whoever asked may be gone; the turn ends with the work.
            drop(turn);
            place
        });
        // It fails where the worker ends, and whoever asked with it.
        verified.await.map_err(|_| Why::Busy)
    }
}

impl Seen {
    /// What came of this secret, if it was verified.
    fn get(&self, mark: &Mark) -> Option<Option<usize>> {
        let unknown = || self.unknown.contains_key(mark).then_some(None);
        self.known.get(mark).map(|place| Some(*place)).or_else(unknown)
    }

    fn put(&mut self, mark: Mark, place: Option<usize>) {
        match place {
            Some(place) => {
                self.known.insert(mark, place);
            }
            None => {
                if self.unknown.len() >= UNKNOWN {
                    self.unknown.clear();
                }
                self.unknown.insert(mark, ());
            }
        }
    }
}

/// One of those who wait.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Option<Self> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(waiting);
        (before < WAITING).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the secret is the one that `hash` is of.
pub(super) fn fits(hash: &PasswordHash, secret: &[u8]) -> bool {
    Argon2::default().verify_password(secret, hash).is_ok()
}

/// A hash that can be verified, within bounds; or why not.
pub(super) fn parse(text: &str) -> Result<PasswordHash, String> {
    let hash = PasswordHash::new(text).map_err(|error| format!("is no hash: {error}"))?;
    if argon2::Algorithm::try_from(hash.algorithm.as_str()).is_err() {
        return Err(format!("`{}` is not known", hash.algorithm));
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err("is no whole hash".to_owned());
    }
    let params = params(&hash).map_err(|error| format!("is no hash: {error}"))?;
    if params.m_cost() > MEMORY || params.t_cost() > PASSES {
        return Err(format!(
            "takes {} KiB and {} passes for each key that comes; more than {MEMORY} and {PASSES} are not spent",
            params.m_cost(),
            params.t_cost()
        ));
    }
    Ok(hash)
}

/// What verifying takes.
pub(super) fn params(hash: &PasswordHash) -> Result<Params, argon2::password_hash::Error> {
    Params::try_from(hash)
}

/// What to do about a hash that cannot be verified.
pub(super) const REMEDY: &str =
    "give a hash as `argon2` writes it: `$argon2id$v=19$m=19456,t=2,p=1$…`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_secrets_are_forgotten_before_they_are_too_many() {
        let mut seen = Seen::default();
        for at in 0..2 * UNKNOWN {
            let mut mark = [0; 32];
            mark[..8].copy_from_slice(&at.to_be_bytes());
            seen.put(mark, None);
            assert!(seen.unknown.len() <= UNKNOWN);
        }
    }
}
