//! Who calls, and whether they may.
//!
//! A check is built once, with the plan. It is asked after a route was found and before any policy, so
//! that a limit can tell callers apart by who they are, and what is turned away here costs none of it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::outgoing::Means;
use crate::plan::Error;
use crate::worker::Worker;

use basic::People;
pub(crate) use denied::{Denied, Why};
use forward::Forward;
use jwt::Jwt;
use keys::Keys;
pub(crate) use refused::Refusals;
pub use settings::{Credential, Hash, Kind, Settings};

pub mod forward;
pub mod jwt;

mod basic;
mod denied;
mod keys;
mod refused;
mod settings;
mod slow;

/// What is known of whoever calls.
pub(crate) struct Claims<'a, 'f> {
    /// The client's address, as far as those are trusted who tell it; `None` on a unix socket.
    pub(crate) address: Option<IpAddr>,
    /// What the call says under a name in lower case: a field of its head, or metadata. What it says twice
    /// could be read two ways, so it says nothing.
    pub(crate) field: &'f dyn Fn(&str) -> Option<&'f [u8]>,
    /// Whom the client's verified certificate names; empty if it names nobody, `None` if there is none.
    pub(crate) certificate: Option<&'a str>,
    /// What is asked for.
    pub(crate) asked: Asked<'f>,
}

/// What a call asks for, as far as another server is told.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'f> {
    pub(crate) method: &'f [u8],
    /// In normal form.
    pub(crate) path: &'f [u8],
    pub(crate) query: Option<&'f [u8]>,
    pub(crate) host: &'f [u8],
    /// `http` or `https`; empty for a remote call.
    pub(crate) scheme: &'f [u8],
}

/// Whoever may call, and what there is to tell the upstream of them.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Admitted<'a> {
    /// Who it is, if that was shown.
    pub(crate) identity: Option<Cow<'a, str>>,
    /// Fields that tell the upstream.
    pub(crate) passed: Vec<(&'a str, Cow<'a, [u8]>)>,
}

impl<'a> Admitted<'a> {
    fn nobody() -> Self {
        Self::default()
    }

    fn named(name: impl Into<Cow<'a, str>>) -> Self {
        Self { identity: Some(name.into()), passed: Vec::new() }
    }

    /// Tells the upstream. What cannot be said in one line is not said in two.
    fn pass(&mut self, name: &'a str, value: Cow<'a, [u8]>) -> Result<(), Why> {
        if !is_sayable(&value) {
            return Err(Why::Unsayable);
        }
        self.passed.push((name, value));
        Ok(())
    }

    /// The same of one that another check has let in as well: who it is, the last one tells that can, and what
    /// it tells by a name is all that is told by it.
    pub(crate) fn and(self, later: Self) -> Self {
        let mut passed = self.passed;
        let again = |name: &str| later.passed.iter().any(|(it, _)| it.eq_ignore_ascii_case(name));
        passed.retain(|(name, _)| !again(name));
        passed.extend(later.passed);
        Self { identity: later.identity.or(self.identity), passed }
    }
}

/// Whether it can be the value of a field (RFC 9110 §5.5).
fn is_sayable(value: &[u8]) -> bool {
    value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

/// One way to show who one is, made ready.
pub(crate) struct Check {
    name: Box<str>,
    way: Way,
    identity_header: Option<String>,
    /// Kept over reloads.
    pub(crate) refusals: Arc<Refusals>,
}

enum Way {
    ApiKey { header: String, keys: Box<Keys> },
    Basic { realm: String, people: Box<People> },
    Jwt(Box<Jwt>),
    Forward(Box<Forward>),
    Mtls { allow: Vec<String> },
    Ip { allow: Vec<IpNet>, deny: Vec<IpNet> },
}

impl Check {
    /// `previous` is the check of that name in the plan before.
    pub(crate) fn build(
        name: &str,
        settings: &Settings,
        previous: Option<&Self>,
    ) -> Result<Self, Error> {
        let path = |key: &str| format!("auth.{name}.{key}");
        let way = match &settings.kind {
            Kind::ApiKey { header, keys } => Way::ApiKey {
                header: header.to_ascii_lowercase(),
                keys: Box::new(Keys::build(keys, &path("file"))?),
            },
            Kind::Basic { realm, people } => Way::Basic {
                realm: realm.clone(),
                people: Box::new(People::build(people, &path("file"))?),
            },
            Kind::Jwt(settings) => Way::Jwt(Box::new(Jwt::build(name, settings)?)),
            Kind::Forward(settings) => Way::Forward(Box::new(Forward::build(name, settings)?)),
            Kind::Mtls { allow } => Way::Mtls { allow: allow.clone() },
            Kind::Ip { allow, deny } => Way::Ip { allow: allow.clone(), deny: deny.clone() },
        };
        Ok(Self {
            name: name.into(),
            way,
            identity_header: settings.identity_header.clone(),
            refusals: previous.map(|it| Arc::clone(&it.refusals)).unwrap_or_default(),
        })
    }

    /// Its name in the configuration.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Who calls, as far as this way tells; or why they may not.
    ///
    /// # Cancel safety
    ///
    /// What has begun of verifying a secret goes on, and is known the next time.
    pub(crate) async fn check<'a>(
        &'a self,
        claims: &Claims<'a, '_>,
        worker: &Worker,
    ) -> Result<Admitted<'a>, Denied> {
        let admitted = self.way.check(claims, worker).await;
        admitted.and_then(|admitted| self.tell(admitted)).map_err(|why| {
            self.refusals.count(why.word());
            Denied { by: self.name.clone(), why }
        })
    }

    /// Does what is due though nobody calls.
    pub(crate) fn tend(&self, means: &Means, random: u64) {
        if let Way::Jwt(jwt) = &self.way {
            jwt.tend(means, random);
        }
    }

    /// Fetches of an issuer's keys that brought nothing, and those that did, if there are any to fetch.
    pub(crate) fn fetches(&self) -> Option<[u64; 2]> {
        match &self.way {
            Way::Jwt(jwt) => jwt.fetches(),
            _ => None,
        }
    }

    /// Adds what the upstream is told of who calls.
    fn tell<'a>(&'a self, mut admitted: Admitted<'a>) -> Result<Admitted<'a>, Why> {
        if let Some(header) = &self.identity_header
            && let Some(identity) = admitted.identity.clone()
        {
            let value = match identity {
                Cow::Borrowed(identity) => Cow::Borrowed(identity.as_bytes()),
                Cow::Owned(identity) => Cow::Owned(identity.into_bytes()),
            };
            admitted.passed.retain(|(name, _)| !name.eq_ignore_ascii_case(header));
            admitted.pass(header, value)?;
        }
        Ok(admitted)
    }
}

impl Way {
    async fn check<'a>(
        &'a self,
        claims: &Claims<'a, '_>,
        worker: &Worker,
    ) -> Result<Admitted<'a>, Why> {
        match self {
            Self::ApiKey { header, keys } => {
                let owner = match (claims.field)(header) {
                    Some(key) => keys.owner(key).await?,
                    None => None,
                };
                owner.map(Admitted::named).ok_or_else(|| Why::Key(header.as_str().into()))
            }
            Self::Basic { realm, people } => {
                let who = match (claims.field)("authorization").and_then(basic::credentials) {
                    Some((name, password)) => people.verified(&name, &password).await?,
                    None => None,
                };
                who.map(Admitted::named).ok_or_else(|| Why::Password(realm.as_str().into()))
            }
            Self::Jwt(jwt) => {
                let verified = jwt.check(claims, worker).await?;
                let mut admitted = Admitted::named(verified.identity.clone());
                for (at, value) in &verified.claims {
                    let (name, _) = &jwt.rules.forward[*at];
                    admitted.pass(name, value.clone().into_bytes().into())?;
                }
                Ok(admitted)
            }
            Self::Forward(forward) => forward.check(claims, worker).await,
            Self::Mtls { allow } => {
                let name = claims.certificate.ok_or(Why::Certificate)?;
                if !allow.is_empty() && !allow.iter().any(|allowed| allowed == name) {
                    return Err(Why::Certificate);
                }
                Ok(if name.is_empty() { Admitted::nobody() } else { Admitted::named(name) })
            }
            Self::Ip { allow, deny } => {
                let within = |nets: &[IpNet]| {
                    let address = claims.address.map(|address| address.to_canonical());
                    address.is_some_and(|address| nets.iter().any(|net| net.contains(&address)))
                };
                let allowed = allow.is_empty() || within(allow);
                if allowed && !within(deny) { Ok(Admitted::nobody()) } else { Err(Why::Address) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody<'a>() -> Claims<'a, 'a> {
        let asked = Asked { method: b"GET", path: b"/", query: None, host: b"", scheme: b"http" };
        Claims { address: None, field: &|_| None, certificate: None, asked }
    }

    #[tokio::test]
    async fn an_address_is_kept_out_before_it_is_let_in() {
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let worker = Worker::idle();
        let ip = Way::Ip { allow: nets(&["10.0.0.0/8", "::1/128"]), deny: nets(&["10.9.0.0/16"]) };
        for (address, may) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.9.2.3", false),
            ("192.0.2.1", false),
            ("::1", true),
            ("::2", false),
        ] {
            let claims = Claims { address: Some(address.parse().unwrap()), ..nobody() };
            assert_eq!(ip.check(&claims, &worker).await.is_ok(), may, "{address}");
        }
        // Whoever has no address is not among those who are let in by theirs.
        assert_eq!(ip.check(&nobody(), &worker).await, Err(Why::Address));
        let open = Way::Ip { allow: Vec::new(), deny: nets(&["10.0.0.0/8"]) };
        assert_eq!(open.check(&nobody(), &worker).await, Ok(Admitted::nobody()));
    }

    #[tokio::test]
    async fn a_certificate_says_who_calls() {
        let worker = Worker::idle();
        let anybody = Way::Mtls { allow: Vec::new() };
        let alice = Way::Mtls { allow: vec!["alice".to_owned()] };
        let named = |name| Claims { certificate: Some(name), ..nobody() };
        assert_eq!(anybody.check(&named("bob"), &worker).await, Ok(Admitted::named("bob")));
        let unnamed = anybody.check(&named(""), &worker).await;
        assert_eq!(unnamed, Ok(Admitted::nobody()), "it is valid, but names nobody");
        assert_eq!(anybody.check(&nobody(), &worker).await, Err(Why::Certificate));
        assert_eq!(alice.check(&named("alice"), &worker).await, Ok(Admitted::named("alice")));
        for name in ["bob", "", "alice.test"] {
            assert_eq!(alice.check(&named(name), &worker).await, Err(Why::Certificate), "{name:?}");
        }
    }

    #[tokio::test]
    async fn a_key_says_who_calls_and_a_wrong_one_what_none_says() {
        let sha256 = |key: &str| Hash::Sha256(keys::sha256(key.as_bytes()));
        let kind = Kind::ApiKey {
            header: "X-Api-Key".to_owned(),
            keys: vec![
                Credential { name: "alice".to_owned(), hash: sha256("correct") },
                Credential { name: "bob".to_owned(), hash: sha256("horse") },
            ],
        };
        let identity_header = Some("x-user".to_owned());
        let settings = Settings { kind, identity_header };
        let keys = Check::build("keys", &settings, None).unwrap();
        let worker = Worker::idle();
        let bring = |name: &str| (name == "x-api-key").then_some(&b"horse"[..]);
        let claims = Claims { field: &bring, ..nobody() };
        let bob = Admitted {
            identity: Some("bob".into()),
            passed: vec![("x-user", Cow::Borrowed(b"bob"))],
        };
        assert_eq!(keys.check(&claims, &worker).await, Ok(bob));
        let wrong = |_: &str| Some(&b"battery"[..]);
        let refused = keys.check(&Claims { field: &wrong, ..nobody() }, &worker).await;
        let by = "keys".into();
        assert_eq!(refused, Err(Denied { by, why: Why::Key("x-api-key".into()) }));
        assert_eq!(keys.check(&nobody(), &worker).await, refused);
        assert_eq!(keys.refusals.all().into_iter().collect::<Vec<_>>(), [("key", 2)]);
    }

    #[test]
    fn of_two_who_tell_the_same_the_last_is_told() {
        let told = |who: &'static str, fields: &[(&'static str, &'static str)]| Admitted {
            identity: Some(who.into()),
            passed: fields.iter().map(|(name, value)| (*name, value.as_bytes().into())).collect(),
        };
        let first = told("ann", &[("x-user", "ann"), ("x-team", "red"), ("x-team", "blue")]);
        let both = first.and(told("bob", &[("X-User", "bob")])).and(Admitted::nobody());
        assert_eq!(both, told("bob", &[("x-team", "red"), ("x-team", "blue"), ("X-User", "bob")]));
    }

    #[test]
    fn what_is_more_than_a_line_is_not_passed_on() {
        let mut admitted = Admitted::named("eve");
        for value in ["eve\r\nx-admin: yes", "eve\n", "\0", "\u{7f}"] {
            assert_eq!(admitted.pass("x-user", value.as_bytes().into()), Err(Why::Unsayable));
        }
        assert_eq!(admitted.passed, []);
        admitted.pass("x-user", "Ève, with\ttab".as_bytes().into()).unwrap();
    }
}
