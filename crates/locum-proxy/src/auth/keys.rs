//! Keys, of which only hashes are known.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::{digest, hmac};
use rustc_hash::FxHashMap;

use super::slow::{self, Mark, Verifying};
use super::{Credential, Hash, Why};
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

/// Keys that a person made up. It takes as many verifications as there are of these to say that a key is
/// unknown.
struct MadeUp {
    hashes: Arc<[(PasswordHash, usize)]>,
    verifying: Verifying,
}

impl Keys {
    /// `path` is where they come from.
    pub(crate) fn build(keys: &[Credential], path: &str) -> Result<Self, Error> {
        let secret = secret(path)?;
        let mut drawn = FxHashMap::default();
        let mut hashes = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            match &key.hash {
                Hash::Sha256(hash) => {
                    drawn.entry(mark(&secret, hash)).or_insert(at);
                }
                Hash::Argon2(text) => {
                    let hash = slow::parse(text).map_err(|reason| {
                        let reason = format!("the hash of `{}` {reason}", key.name);
                        Error::new(path, reason, slow::REMEDY)
                    })?;
                    hashes.push((hash, at));
                }
            }
        }
        let made_up = (!hashes.is_empty())
            .then(|| MadeUp { hashes: hashes.into(), verifying: Verifying::default() });
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
        let (hashes, key) = (Arc::clone(&self.hashes), key.to_vec());
        let find = move || {
            let found = hashes.iter().find(|(hash, _)| slow::fits(hash, &key));
            found.map(|(_, place)| *place)
        };
        self.verifying.place(mark, find).await
    }
}

/// A secret of this process.
pub(super) fn secret(path: &str) -> Result<hmac::Key, Error> {
    hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
        .map_err(|_| Error::new(path, "the system has no random numbers", "try again"))
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

#[cfg(test)]
pub(super) mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::atomic::Ordering;
    use std::task::Poll;

    use argon2::password_hash::CustomizedPasswordHasher as _;
    use argon2::{Argon2, Params, Version};

    use super::slow::{WAITING, lock};
    use super::*;

    /// As cheap as argon2 gets.
    pub(in crate::auth) fn argon2(key: &str) -> Hash {
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
        let keys = keys.map(|(at, hash)| Credential { name: format!("owner-{at}"), hash });
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
        let seen = lock(&keys.made_up.as_ref().unwrap().verifying.seen);
        assert_eq!((seen.known.len(), seen.unknown.len()), (2, 2), "drawn ones are not verified");
    }

    #[tokio::test]
    async fn a_flood_of_unknown_keys_waits_in_a_bounded_line_and_lets_known_ones_pass() {
        let keys = keys([argon2("made up")]).unwrap();
        assert_eq!(keys.owner(b"made up").await, Ok(Some("owner-0")));

        let made_up = &keys.made_up.as_ref().unwrap().verifying;
        let turn = Arc::clone(&made_up.turn.0).acquire_owned().await.unwrap();
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
        let made_up = &keys.made_up.as_ref().unwrap().verifying;
        let _turn = Arc::clone(&made_up.turn.0).acquire_owned().await.unwrap();
        assert_eq!(lock(&made_up.seen).known.len(), 1);
        assert_eq!(made_up.waiting.load(Ordering::Relaxed), 0);
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
