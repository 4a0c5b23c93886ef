//! Who calls, and whether they may.
//!
//! A check is built once, with the plan. It is asked after a route was found and before any policy, so
//! that a limit can tell callers apart by who they are, and what is turned away here costs none of it.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::plan::Error;

use keys::Keys;

mod keys;

/// One way to show who one is.
#[derive(Clone, Debug, PartialEq)]
pub enum Settings {
    /// A secret in a field of the request, or in the metadata of a native call. The field goes on to the
    /// upstream, as it does with other proxies; a route's `request_headers` can remove it.
    ApiKey {
        /// The field, in lower case.
        header: String,
        /// Whose keys are taken.
        keys: Vec<ApiKey>,
    },
    /// A certificate that the listener has verified.
    Mtls {
        /// The names that are let in, as the certificate gives them; empty: whoever has one.
        allow: Vec<String>,
    },
    /// The client's address.
    Ip {
        /// Who is let in; empty: everybody who is not kept out.
        allow: Vec<IpNet>,
        /// Who is kept out, before that.
        deny: Vec<IpNet>,
    },
}

/// Somebody's key, of which only a hash is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Whose it is: the identity of who brings it.
    pub name: String,
    /// Of the key.
    pub hash: Hash,
}

/// How a key is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hash {
    /// Its SHA-256: enough for keys that were drawn at random.
    Sha256([u8; 32]),
    /// A PHC string of argon2, for what a person made up.
    Argon2(String),
}

/// What is known of whoever calls.
pub(crate) struct Claims<'a, 'f> {
    /// The client's address, as far as those are trusted who tell it; `None` on a unix socket.
    pub(crate) address: Option<IpAddr>,
    /// What the call says under a name in lower case: a field of its head, or metadata.
    pub(crate) field: &'f dyn Fn(&str) -> Option<&'f [u8]>,
    /// Whom the client's verified certificate names; empty if it names nobody, `None` if there is none.
    pub(crate) certificate: Option<&'a str>,
}

/// A caller may not call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    /// The check that says so.
    pub(crate) by: Box<str>,
    pub(crate) why: Why,
}

/// Why a caller may not call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It brought no key that is known. The text is the field where one is looked for.
    Key(Box<str>),
    /// It showed no certificate, or that of somebody who may not call.
    Certificate,
    /// It is where nobody may call from.
    Address,
    /// Too many unknown keys are being looked at to look at another.
    Busy,
}

impl Denied {
    /// One stable word, for metrics and programs.
    pub(crate) fn reason(&self) -> &'static str {
        match self.why {
            Why::Key(_) | Why::Certificate | Why::Address => "unauthorized",
            Why::Busy => "busy",
        }
    }

    /// When to come back, where that helps.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        (self.why == Why::Busy).then_some(Duration::from_secs(1))
    }

    /// What a person is told. It is the same for a key that is wrong and for none.
    pub(crate) fn text(&self) -> &'static str {
        match self.why {
            Why::Key(_) => "a key that is known is needed here",
            Why::Certificate => "the certificate of a client who may call is needed here",
            Why::Address => "nobody may call from this address",
            Why::Busy => "too many keys are being verified; try again",
        }
    }
}

/// One way to show who one is, made ready.
pub(crate) struct Check {
    name: Box<str>,
    way: Way,
}

enum Way {
    ApiKey { header: String, keys: Box<Keys> },
    Mtls { allow: Vec<String> },
    Ip { allow: Vec<IpNet>, deny: Vec<IpNet> },
}

impl Check {
    pub(crate) fn build(name: &str, settings: &Settings) -> Result<Self, Error> {
        let way = match settings {
            Settings::ApiKey { header, keys } => Way::ApiKey {
                header: header.to_ascii_lowercase(),
                keys: Box::new(Keys::build(keys, &format!("auth.{name}.file"))?),
            },
            Settings::Mtls { allow } => Way::Mtls { allow: allow.clone() },
            Settings::Ip { allow, deny } => Way::Ip { allow: allow.clone(), deny: deny.clone() },
        };
        Ok(Self { name: name.into(), way })
    }

    /// Who calls, if this way tells; or why they may not.
    ///
    /// # Cancel safety
    ///
    /// What has begun of verifying a key goes on, and is known the next time.
    pub(crate) async fn check<'a>(
        &'a self,
        claims: &Claims<'a, '_>,
    ) -> Result<Option<&'a str>, Denied> {
        let denied = |why| Denied { by: self.name.clone(), why };
        self.way.check(claims).await.map_err(denied)
    }
}

impl Way {
    async fn check<'a>(&'a self, claims: &Claims<'a, '_>) -> Result<Option<&'a str>, Why> {
        match self {
            Self::ApiKey { header, keys } => {
                let owner = match (claims.field)(header) {
                    Some(key) => keys.owner(key).await?,
                    None => None,
                };
                owner.map(Some).ok_or_else(|| Why::Key(header.as_str().into()))
            }
            Self::Mtls { allow } => {
                let name = claims.certificate.ok_or(Why::Certificate)?;
                if !allow.is_empty() && !allow.iter().any(|allowed| allowed == name) {
                    return Err(Why::Certificate);
                }
                Ok(Some(name).filter(|name| !name.is_empty()))
            }
            Self::Ip { allow, deny } => {
                let within = |nets: &[IpNet]| {
                    let address = claims.address.map(|address| address.to_canonical());
                    address.is_some_and(|address| nets.iter().any(|net| net.contains(&address)))
                };
                let allowed = allow.is_empty() || within(allow);
                if allowed && !within(deny) { Ok(None) } else { Err(Why::Address) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody<'a>() -> Claims<'a, 'a> {
        Claims { address: None, field: &|_| None, certificate: None }
    }

    #[tokio::test]
    async fn an_address_is_kept_out_before_it_is_let_in() {
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
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
            assert_eq!(ip.check(&claims).await.is_ok(), may, "{address}");
        }
        // Whoever has no address is not among those who are let in by theirs.
        assert_eq!(ip.check(&nobody()).await, Err(Why::Address));
        let open = Way::Ip { allow: Vec::new(), deny: nets(&["10.0.0.0/8"]) };
        assert_eq!(open.check(&nobody()).await, Ok(None));
    }

    #[tokio::test]
    async fn a_certificate_says_who_calls() {
        let anybody = Way::Mtls { allow: Vec::new() };
        let alice = Way::Mtls { allow: vec!["alice".to_owned()] };
        let named = |name| Claims { certificate: Some(name), ..nobody() };
        assert_eq!(anybody.check(&named("bob")).await, Ok(Some("bob")));
        assert_eq!(anybody.check(&named("")).await, Ok(None), "it is valid, but names nobody");
        assert_eq!(anybody.check(&nobody()).await, Err(Why::Certificate));
        assert_eq!(alice.check(&named("alice")).await, Ok(Some("alice")));
        for name in ["bob", "", "alice.test"] {
            assert_eq!(alice.check(&named(name)).await, Err(Why::Certificate), "{name:?}");
        }
    }

    #[tokio::test]
    async fn a_key_says_who_calls_and_a_wrong_one_what_none_says() {
        let sha256 = |key: &str| Hash::Sha256(keys::sha256(key.as_bytes()));
        let settings = Settings::ApiKey {
            header: "X-Api-Key".to_owned(),
            keys: vec![
                ApiKey { name: "alice".to_owned(), hash: sha256("correct") },
                ApiKey { name: "bob".to_owned(), hash: sha256("horse") },
            ],
        };
        let keys = Check::build("keys", &settings).unwrap();
        let bring = |name: &str| (name == "x-api-key").then_some(&b"horse"[..]);
        let claims = Claims { field: &bring, ..nobody() };
        assert_eq!(keys.check(&claims).await, Ok(Some("bob")));
        let wrong = |_: &str| Some(&b"battery"[..]);
        let refused = keys.check(&Claims { field: &wrong, ..nobody() }).await;
        let by = "keys".into();
        assert_eq!(refused, Err(Denied { by, why: Why::Key("x-api-key".into()) }));
        assert_eq!(keys.check(&nobody()).await, refused);
    }
}
