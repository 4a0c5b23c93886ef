//! Names and passwords (RFC 7617).

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use rustc_hash::FxHashMap;

use super::keys::{secret, sha256};
use super::slow::{self, Verifying};
use super::{Credential, Hash, Why};
use crate::plan::Error;

/// Whose passwords are taken.
pub(super) struct People {
    names: Vec<String>,
    places: FxHashMap<String, usize>,
    hashes: Vec<Kept>,
    /// Verified for a name that nobody has, and beside a hash that costs less: whoever guesses names is told
    /// nothing by how long an answer takes.
    decoy: Option<Arc<PasswordHash>>,
    secret: hmac::Key,
    verifying: Verifying,
}

enum Kept {
    Sha256([u8; 32]),
    Argon2(Arc<PasswordHash>),
}

impl People {
    /// `path` is where they come from.
    pub(super) fn build(people: &[Credential], path: &str) -> Result<Self, Error> {
        let mut places = FxHashMap::default();
        let mut hashes = Vec::with_capacity(people.len());
        let mut costs = Vec::new();
        for (at, Credential { name, hash }) in people.iter().enumerate() {
            if places.insert(name.clone(), at).is_some() {
                let reason = format!("`{name}` is there twice");
                return Err(Error::new(path, reason, "give each name one line"));
            }
            hashes.push(match hash {
                Hash::Sha256(hash) => Kept::Sha256(*hash),
                Hash::Argon2(text) => {
                    let hash = slow::parse(text).map_err(|reason| {
                        Error::new(path, format!("the hash of `{name}` {reason}"), slow::REMEDY)
                    })?;
                    let hash = Arc::new(hash);
                    let params = slow::params(&hash).unwrap_or_default();
                    let cost = u64::from(params.m_cost()) * u64::from(params.t_cost());
                    costs.push((cost, Arc::clone(&hash)));
                    Kept::Argon2(hash)
                }
            });
        }
        costs.sort_by_key(|(cost, _)| *cost);
        Ok(Self {
            names: people.iter().map(|person| person.name.clone()).collect(),
            places,
            hashes,
            decoy: costs.pop().map(|(_, hash)| hash),
            secret: secret(path)?,
            verifying: Verifying::default(),
        })
    }

    /// The name, if the password is the one that goes with it.
    ///
    /// # Cancel safety
    ///
    /// What has begun of verifying a password goes on, and is known the next time.
    pub(super) async fn verified(&self, name: &str, password: &[u8]) -> Result<Option<&str>, Why> {
        let place = self.places.get(name).copied();
        let drawn = match place.map(|place| &self.hashes[place]) {
            Some(Kept::Sha256(hash)) => Some(*hash),
            _ => None,
        };
        let hashed = sha256(password);
        let is_drawn = verify_slices_are_equal(&hashed, &drawn.unwrap_or([0; 32])).is_ok();
        let is_drawn = is_drawn && drawn.is_some();
        let Some(decoy) = &self.decoy else {
            return Ok(place.filter(|_| is_drawn).map(|place| &*self.names[place]));
        };
        let (made_up, hash) = match place.map(|place| &self.hashes[place]) {
            Some(Kept::Argon2(hash)) => (true, Arc::clone(hash)),
            _ => (false, Arc::clone(decoy)),
        };
        let mut mark = hmac::Context::with_key(&self.secret);
        mark.update(&sha256(name.as_bytes()));
        mark.update(&hashed);
        let mark = mark.sign().as_ref().try_into().expect("invariant: SHA-256 has 32 bytes");
        let password = password.to_vec();
        let find = move || {
            let fits = slow::fits(&hash, &password);
            place.filter(|_| (made_up && fits) || is_drawn)
        };
        let place = self.verifying.place(mark, find).await?;
        Ok(place.map(|place| &*self.names[place]))
    }
}

/// The name and the password that an `Authorization` field holds, if it does.
pub(super) fn credentials(field: &[u8]) -> Option<(String, Vec<u8>)> {
    let (scheme, rest) = field.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let rest = rest.trim_ascii();
    let decoded = STANDARD.decode(rest).or_else(|_| STANDARD_NO_PAD.decode(rest)).ok()?;
    let colon = memchr::memchr(b':', &decoded)?;
    let name = str::from_utf8(&decoded[..colon]).ok()?.to_owned();
    Some((name, decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::super::keys::tests::argon2;
    use super::*;

    fn people(hashes: impl IntoIterator<Item = (&'static str, Hash)>) -> Result<People, Error> {
        let people = hashes.into_iter();
        let people = people.map(|(name, hash)| Credential { name: name.to_owned(), hash });
        People::build(&people.collect::<Vec<_>>(), "people")
    }

    #[tokio::test]
    async fn a_password_opens_for_its_own_name_only() {
        let people = people([
            ("ann", Hash::Sha256(sha256(b"horse"))),
            ("ben", argon2("battery")),
            ("cyd", argon2("staple")),
        ])
        .unwrap();
        for (name, password, may) in [
            ("ann", "horse", true),
            ("ben", "battery", true),
            ("cyd", "staple", true),
            ("ben", "staple", false),
            ("ann", "battery", false),
            ("ben", "horse", false),
            ("ann", "", false),
            ("dan", "horse", false),
            ("", "", false),
        ] {
            for _ in 0..2 {
                let who = people.verified(name, password.as_bytes()).await.unwrap();
                assert_eq!(who, may.then_some(name), "{name}:{password}");
            }
        }
        let seen = slow::lock(&people.verifying.seen);
        assert_eq!((seen.known.len(), seen.unknown.len()), (3, 6), "all take the same work, once");
    }

    #[tokio::test]
    async fn where_all_were_drawn_nothing_is_slow() {
        let people = people([("ann", Hash::Sha256(sha256(b"horse")))]).unwrap();
        assert_eq!(people.verified("ann", b"horse").await, Ok(Some("ann")));
        assert_eq!(people.verified("ben", b"horse").await, Ok(None));
        assert!(slow::lock(&people.verifying.seen).known.is_empty());
    }

    #[test]
    fn a_name_stands_once() {
        let hash = || Hash::Sha256([1; 32]);
        let error = people([("ann", hash()), ("ann", hash())]).err().unwrap();
        assert_eq!(error.reason, "`ann` is there twice");
    }

    #[test]
    fn credentials_are_read_as_everybody_writes_them() {
        for (field, found) in [
            // RFC 7617 §2.
            ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", Some(("Aladdin", "open sesame"))),
            ("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", Some(("Aladdin", "open sesame"))),
            ("BASIC  YTpiOmM=", Some(("a", "b:c"))),
            ("Basic Og==", Some(("", ""))),
            ("Basic QWxhZGRpbg==", None),
            ("Basic ***", None),
            ("Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", None),
            ("Basic", None),
            ("", None),
        ] {
            let found =
                found.map(|(name, password)| (name.to_owned(), password.as_bytes().to_vec()));
            assert_eq!(credentials(field.as_bytes()), found, "{field}");
        }
    }
}
