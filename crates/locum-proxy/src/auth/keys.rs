//! Keys, of which only hashes are known.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::{digest, hmac};
use rustc_hash::FxHashMap;
use tokio::sync::Semaphore;

use super::{ApiKey, Hash, Why};
use crate::plan::Error;

/// Whose keys are taken.
pub(crate) struct Keys {
    /// Whose key that of a place in the list is.
    names: Vec<String>,
    secret: hmac::Key,
    /// Places of keys that were drawn at random.
    drawn: FxHashMap<Mark, usize>,
    made_up: Option<MadeUp>,
}

/// What a key's SHA-256 becomes under a secret of this process. Nothing that is found out of a mark, by how
/// long a comparison takes or otherwise, says anything of the key or its hash.
type Mark = [u8; 32];

/// Keys that a person made up. To verify one takes milliseconds, and it takes as many of these as there
/// are keys to say that one is unknown. So it is done on a thread beside the workers, one key at a time, and
/// what came of it is remembered: who has been let in once comes in while others guess.
struct MadeUp {
    hashes: Arc<[(PasswordHash, usize)]>,
    seen: Arc<Mutex<Seen>>,
    turn: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// What came of the keys that were verified.
#[derive(Default)]
struct Seen {
    known: FxHashMap<Mark, usize>,
    unknown: FxHashMap<Mark, ()>,
}

/// Keys that may wait to be verified.
const WAITING: usize = 32;
/// Unknown keys that are remembered as such.
const UNKNOWN: usize = 1024;
const REMEDY: &str = "give a hash as `argon2` writes it: `$argon2id$v=19$m=19456,t=2,p=1$…`";
/// What verifying a key may take: argon2's memory in KiB, and its passes over that.
const MEMORY: u32 = 256 * 1024;
const PASSES: u32 = 64;

impl Keys {
    /// `path` is where they come from.
    pub(crate) fn build(keys: &[ApiKey], path: &str) -> Result<Self, Error> {
        let secret = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| Error::new(path, "the system has no random numbers", "try again"))?;
        let mut drawn = FxHashMap::default();
        let mut hashes = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            match &key.hash {
                Hash::Sha256(hash) => {
                    drawn.entry(mark(&secret, hash)).or_insert(at);
                }
                Hash::Argon2(text) => {
                    let hash = parse(text).map_err(|reason| {
                        let reason = format!("the hash of `{}` {reason}", key.name);
                        Error::new(path, reason, REMEDY)
                    })?;
                    hashes.push((hash, at));
                }
            }
        }
        let made_up = (!hashes.is_empty()).then(|| MadeUp {
            hashes: hashes.into(),
            seen: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
        });
        let names = keys.iter().map(|key| key.name.clone()).collect();
        Ok(Self { names, secret, drawn, made_up })
    }

    /// Whose key it is; `None`: nobody's.
    ///
    /// # Cancel safety
    ///
    /// What has begun of verifying a key goes on, and is known the next time.
    pub(crate) async fn owner(&self, key: &[u8]) -> Result<Option<&str>, Why> {
        let mark = mark(&self.secret, &sha256(key));
        let place = match (self.drawn.get(&mark), &self.made_up) {
            (Some(place), _) => Some(*place),
            (None, Some(made_up)) => made_up.place(key, mark).await?,
            (None, None) => None,
        };
        Ok(place.map(|place| self.names[place].as_str()))
    }
}

impl MadeUp {
    async fn place(&self, key: &[u8], mark: Mark) -> Result<Option<usize>, Why> {
        if let Some(place) = lock(&self.seen).get(&mark) {
            return Ok(place);
        }
        let Some(_waiting) = Waiting::begin(&self.waiting) else { return Err(Why::Busy) };
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        // Somebody else may have brought it meanwhile.
        if let Some(place) = lock(&self.seen).get(&mark) {
            return Ok(place);
        }
        let (hashes, seen) = (Arc::clone(&self.hashes), Arc::clone(&self.seen));
        let key = key.to_vec();
        let verified = tokio::task::spawn_blocking(move || {
            let fits = |hash: &PasswordHash| Argon2::default().verify_password(&key, hash).is_ok();
            let place = hashes.iter().find(|(hash, _)| fits(hash)).map(|(_, place)| *place);
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
    /// What came of this key, if it was verified.
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

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn sha256(key: &[u8]) -> [u8; 32] {
    bytes(digest::digest(&digest::SHA256, key).as_ref())
}

fn mark(secret: &hmac::Key, hash: &[u8; 32]) -> Mark {
    bytes(hmac::sign(secret, hash).as_ref())
}

fn bytes(hash: &[u8]) -> [u8; 32] {
    hash.try_into().expect("invariant: SHA-256 has 32 bytes")
}

/// A hash that can be verified, within bounds; or why not.
fn parse(text: &str) -> Result<PasswordHash, String> {
    let hash = PasswordHash::new(text).map_err(|error| format!("is no hash: {error}"))?;
    if argon2::Algorithm::try_from(hash.algorithm.as_str()).is_err() {
        return Err(format!("`{}` is not known", hash.algorithm));
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err("is no whole hash".to_owned());
    }
    let params = Params::try_from(&hash).map_err(|error| format!("is no hash: {error}"))?;
    if params.m_cost() > MEMORY || params.t_cost() > PASSES {
        return Err(format!(
            "takes {} KiB and {} passes for each key that comes; more than {MEMORY} and {PASSES} are not spent",
            params.m_cost(),
            params.t_cost()
        ));
    }
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use argon2::Version;
    use argon2::password_hash::CustomizedPasswordHasher as _;

    use super::*;

    /// As cheap as argon2 gets.
    fn argon2(key: &str) -> Hash {
        let params = Params::new(8, 1, 1, None).unwrap();
        let version = Version::V0x13.into();
        let hash = Argon2::default().hash_password_customized(
            key.as_bytes(),
            b"saltsaltsalt",
            None,
            Some(version),
            params,
        );
        Hash::Argon2(hash.unwrap().to_string())
    }

    fn keys(hashes: impl IntoIterator<Item = Hash>) -> Result<Keys, Error> {
        let keys = hashes.into_iter().enumerate();
        let keys = keys.map(|(at, hash)| ApiKey { name: format!("owner-{at}"), hash });
        Keys::build(&keys.collect::<Vec<_>>(), "keys")
    }

    #[tokio::test]
    async fn keys_of_both_kinds_are_found() {
        let drawn = Hash::Sha256(sha256(b"drawn"));
        let keys = keys([argon2("made up"), drawn, argon2("another")]).unwrap();
        for (key, owner) in [
            ("made up", Some("owner-0")),
            ("drawn", Some("owner-1")),
            ("another", Some("owner-2")),
            ("unknown", None),
            ("", None),
        ] {
            for _ in 0..2 {
                assert_eq!(keys.owner(key.as_bytes()).await, Ok(owner), "{key}");
            }
        }
        let seen = lock(&keys.made_up.as_ref().unwrap().seen);
        assert_eq!((seen.known.len(), seen.unknown.len()), (2, 2), "drawn ones are not verified");
    }

    #[tokio::test]
    async fn a_flood_of_unknown_keys_waits_in_a_bounded_line_and_lets_known_ones_pass() {
        let keys = keys([argon2("made up")]).unwrap();
        assert_eq!(keys.owner(b"made up").await, Ok(Some("owner-0")));

        let made_up = keys.made_up.as_ref().unwrap();
        let turn = Arc::clone(&made_up.turn).acquire_owned().await.unwrap();
        let guesses: Vec<_> = (0..WAITING).map(|at| format!("guess {at}")).collect();
        let mut line: Vec<_> =
            guesses.iter().map(|guess| Box::pin(keys.owner(guess.as_bytes()))).collect();
        poll_fn(|cx| {
            assert!(line.iter_mut().all(|waiting| waiting.as_mut().poll(cx).is_pending()));
            Poll::Ready(())
        })
        .await;
        assert_eq!(keys.owner(b"one more").await, Err(Why::Busy));
        assert_eq!(keys.owner(b"made up").await, Ok(Some("owner-0")));

        drop(turn);
        for waiting in line {
            assert_eq!(waiting.await, Ok(None));
        }
        assert_eq!(keys.owner(b"one more").await, Ok(None));
    }

    #[tokio::test]
    async fn what_was_begun_is_known_the_next_time() {
        let keys = keys([argon2("made up")]).unwrap();
        {
            let mut asking = pin!(keys.owner(b"made up"));
            poll_fn(|cx| Poll::Ready(asking.as_mut().poll(cx).is_pending())).await;
        }
        // The turn is given back with the result.
        let made_up = keys.made_up.as_ref().unwrap();
        let _turn = Arc::clone(&made_up.turn).acquire_owned().await.unwrap();
        assert_eq!(lock(&made_up.seen).known.len(), 1);
        assert_eq!(made_up.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn unknown_keys_are_forgotten_before_they_are_too_many() {
        let mut seen = Seen::default();
        for at in 0..2 * UNKNOWN {
            seen.put(sha256(&at.to_be_bytes()), None);
            assert!(seen.unknown.len() <= UNKNOWN);
        }
    }

    #[test]
    fn a_hash_that_cannot_be_verified_is_told_of() {
        let large = "$argon2id$v=19$m=9999999,t=2,p=1$c2FsdHNhbHRzYWx0$\
                     xrNVFCy3ubVTV2RtKMmZ2g";
        for (text, reason) in [
            ("secret", "is no hash"),
            ("$argon2id$v=19$m=8,t=1,p=1", "is no whole hash"),
            ("$scrypt$ln=16,r=8,p=1$c2FsdHNhbHRzYWx0$xrNVFCy3ubVTV2RtKMmZ2g", "is not known"),
            (large, "takes 9999999 KiB"),
        ] {
            let error = keys([Hash::Argon2(text.to_owned())]).err().unwrap();
            assert!(error.reason.starts_with("the hash of `owner-0` "), "{error}");
            assert!(error.reason.contains(reason), "{error}");
            assert!(!error.reason.contains("c2Fs"), "hashes are not shown: {error}");
        }
    }
}
