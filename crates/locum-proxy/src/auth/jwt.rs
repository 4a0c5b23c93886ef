//! Tokens that an issuer has signed (JSON Web Tokens, RFC 7519).
//!
//! Whom to believe, and how, the configuration says; nothing that a token says of itself changes that
//! (RFC 8725). What was verified once is known for as long as the token and the issuer's keys are good.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;

use super::keys::sha256;
use super::{Claims, Why};
use crate::clock::unix_time;
use crate::outgoing::{Means, Server, Url};
use crate::plan::Error;
use crate::tls::Alpn;
use crate::tls::Secret;
use crate::worker::Worker;

pub use algorithm::Algorithm;
pub use keys::KeySet;
use remote::Remote;
pub use token::Rules;
pub(crate) use token::{Fault, Verified};

mod algorithm;
mod json;
mod keys;
mod refresh;
mod remote;
mod token;

#[cfg(test)]
mod tests;

/// What tokens have to hold, and by whose keys they are verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What they have to hold.
    pub rules: Rules,
    /// By what they are verified.
    pub keys: Keys,
    /// The field that holds one, in lower case. That of `authorization` stands after `Bearer`.
    pub header: String,
    /// The cookie that holds one where the field does not.
    pub cookie: Option<String>,
}

/// By what tokens are verified.
#[derive(Clone, PartialEq)]
pub enum Keys {
    /// A JSON Web Key Set.
    Set(Vec<u8>),
    /// A secret that the issuer shares.
    Shared(Secret),
    /// A JSON Web Key Set that is fetched.
    Fetched {
        /// From where.
        url: Url,
        /// The authorities that are believed over TLS, in PEM; `None`: those of the system.
        ca: Option<Vec<u8>>,
        /// How often.
        every: Duration,
    },
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(text) => write!(f, "Set({} bytes)", text.len()),
            Self::Shared(_) => f.write_str("Shared"),
            Self::Fetched { url, .. } => write!(f, "Fetched({url})"),
        }
    }
}

/// The check that is made of them.
pub(super) struct Jwt {
    pub(super) rules: Rules,
    header: String,
    cookie: Option<String>,
    source: Source,
}

enum Source {
    Known(Arc<Keyring>),
    Remote(Arc<Remote>),
}

/// Keys, and the tokens that they have verified.
struct Keyring {
    /// What was read.
    text: Vec<u8>,
    keys: KeySet,
    verified: Mutex<FxHashMap<[u8; 32], Arc<Verified>>>,
}

/// Tokens that are remembered with their keys.
const REMEMBERED: usize = 4096;

impl Jwt {
    /// The check called `name`.
    pub(super) fn build(name: &str, settings: &Settings) -> Result<Self, Error> {
        let Settings { rules, keys, header, cookie } = settings;
        let wrong = |key: &str, reason: String| {
            let remedy =
                "give a JSON Web Key Set with a key for one of `algorithms`, or a long `secret`";
            Error::new(format!("auth.{name}.{key}"), reason, remedy)
        };
        let known = |text: &[u8], keys| Source::Known(Arc::new(Keyring::new(text.to_vec(), keys)));
        let source = match keys {
            Keys::Set(text) => KeySet::parse(text, &rules.algorithms)
                .map(|keys| known(text, keys))
                .map_err(|reason| wrong("jwks", reason))?,
            Keys::Shared(secret) => KeySet::secret(&secret.0)
                .map(|keys| known(&[], keys))
                .map_err(|reason| wrong("secret", reason))?,
            Keys::Fetched { url, ca, every } => {
                let server = Server::build(url, ca.as_ref(), Alpn::Http1, &format!("auth.{name}"))?;
                Source::Remote(Remote::new(name, server, rules.algorithms.clone(), *every))
            }
        };
        let (header, cookie) = (header.to_ascii_lowercase(), cookie.clone());
        Ok(Self { rules: rules.clone(), header, cookie, source })
    }

    /// What the token shows that the call brings.
    ///
    /// # Cancel safety
    ///
    /// A fetch of keys that has begun goes on.
    pub(super) async fn check(
        &self,
        claims: &Claims<'_, '_>,
        worker: &Worker,
    ) -> Result<Arc<Verified>, Why> {
        let token = self.token(claims).ok_or(Why::Token(Fault::Missing))?;
        // The clock of the wall is what validity is told by.
        let now = unix_time() as u64;
        let remote = match &self.source {
            Source::Known(keyring) => {
                return keyring.verify(&self.rules, token, now).map_err(Why::Token);
            }
            Source::Remote(remote) => remote,
        };
        let known = remote.keyring();
        let verified = known.map(|keyring| keyring.verify(&self.rules, token, now));
        match verified {
            Some(Ok(verified)) => return Ok(verified),
            Some(Err(fault)) if fault != Fault::UnknownKey => return Err(Why::Token(fault)),
            Some(Err(_)) | None => {}
        }
        let asked = remote.ask(&worker.means(), worker.random()).await;
        let known = remote.keyring().ok_or(Why::Unavailable)?;
        match verified {
            Some(Err(fault)) if !asked => Err(Why::Token(fault)),
            _ => known.verify(&self.rules, token, now).map_err(Why::Token),
        }
    }

    fn token<'f>(&self, claims: &Claims<'_, 'f>) -> Option<&'f [u8]> {
        let in_field = (claims.field)(&self.header).and_then(|value| match bearer(value) {
            Some(token) => Some(token),
            None => (self.header != "authorization").then_some(value),
        });
        in_field.or_else(|| {
            let cookies = (claims.field)("cookie")?;
            cookie(cookies, self.cookie.as_deref()?)
        })
    }

    /// Fetches keys, if it is time to.
    pub(super) fn tend(&self, means: &Means, random: u64) {
        if let Source::Remote(remote) = &self.source {
            remote.tend(means, random);
        }
    }

    /// Fetches that brought nothing, and those that did.
    pub(super) fn fetches(&self) -> Option<[u64; 2]> {
        match &self.source {
            Source::Remote(remote) => Some(remote.fetches()),
            Source::Known(_) => None,
        }
    }
}

impl Keyring {
    fn new(text: Vec<u8>, keys: KeySet) -> Self {
        Self { text, keys, verified: Mutex::default() }
    }

    fn verify(&self, rules: &Rules, token: &[u8], now: u64) -> Result<Arc<Verified>, Fault> {
        let hash = sha256(token);
        let known = self.lock().get(&hash).cloned();
        if let Some(known) = known {
            return known.holds(now, rules.leeway).map(|()| known);
        }
        let verified = Arc::new(rules.verify(token, &self.keys, now)?);
        let mut all = self.lock();
        if all.len() >= REMEMBERED {
            all.retain(|_, known| known.expires() + rules.leeway > now);
            if all.len() >= REMEMBERED {
                all.clear();
            }
        }
        all.insert(hash, Arc::clone(&verified));
        Ok(verified)
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<[u8; 32], Arc<Verified>>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands after `Bearer` (RFC 6750 §2.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token.trim_ascii())
}

/// The value of a cookie that is there once.
fn cookie<'f>(cookies: &'f [u8], name: &str) -> Option<&'f [u8]> {
    let pairs = cookies.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let mut found = pairs.filter_map(|pair| {
        let (found, value) = pair.split_at_checked(name.len())?;
        (found == name.as_bytes()).then_some(())?;
        value.strip_prefix(b"=")
    });
    let only = found.next()?;
    found.next().is_none().then_some(only)
}
