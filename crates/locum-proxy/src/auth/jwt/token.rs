//! One token: what it says, and whether that is true (RFC 7515, RFC 7519, RFC 8725).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::keys::{KeySet, NotSigned};
use super::{Algorithm, json};

/// What tokens have to hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Who has issued them, letter by letter.
    pub issuer: String,
    /// For whom: one of these.
    pub audience: Vec<String>,
    /// How they may be signed.
    pub algorithms: Vec<Algorithm>,
    /// How far clocks may differ, in seconds; at most 60.
    pub leeway: u64,
    /// Claims, each with all that it has to hold: as its value, among its list, or, of `scope` and `scp`, among
    /// its words.
    pub claims: Vec<(String, Vec<String>)>,
    /// The claim that says who calls.
    pub identity: String,
    /// Fields that tell the upstream of claims: the field's name, and the claim's.
    pub forward: Vec<(String, String)>,
}

/// What a token has shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Verified {
    pub(crate) identity: String,
    /// Claims for the upstream, by their place in the rules.
    pub(crate) claims: Vec<(usize, String)>,
    not_before: u64,
    expires: u64,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is none.
    Missing,
    /// It has more than 8 KiB.
    TooLong,
    /// It is no token, or one that can be read two ways.
    Malformed,
    /// It is encrypted, or holds another token.
    Wrapped,
    /// It is not signed, or in a way that is not taken, or not of this key.
    Algorithm,
    /// It names an extension that must be understood, and none is.
    Critical,
    /// It brings the key that it wants to be verified by.
    BringsKey,
    /// It names a key by what cannot be a name.
    KeyId,
    /// It does not name a key that the issuer has.
    UnknownKey,
    /// The key has not signed it.
    Signature,
    /// It does not say for how long it is, in whole seconds.
    Times,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    Early,
    /// Somebody else has issued it.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// It does not hold what is asked for.
    Claim,
}

impl Fault {
    /// One stable word, for metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::TooLong => "token_too_long",
            Self::Malformed => "token_malformed",
            Self::Wrapped => "token_wrapped",
            Self::Algorithm => "token_algorithm",
            Self::Critical => "token_critical",
            Self::BringsKey => "token_brings_key",
            Self::KeyId => "token_key_id",
            Self::UnknownKey => "token_unknown_key",
            Self::Signature => "token_signature",
            Self::Times => "token_times",
            Self::Expired => "token_expired",
            Self::Early => "token_early",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Claim => "token_claim",
        }
    }
}

impl From<NotSigned> for Fault {
    fn from(why: NotSigned) -> Self {
        match why {
            NotSigned::UnknownKey => Self::UnknownKey,
            NotSigned::Algorithm => Self::Algorithm,
            NotSigned::Signature => Self::Signature,
        }
    }
}

/// Bytes of a token.
const MOST_BYTES: usize = 8 * 1024;
/// Bytes of the name of a key.
const MOST_KEY_ID: usize = 256;
/// The last second of the year 9999: no token is for longer.
const LAST_SECOND: u64 = 253_402_300_799;

impl Rules {
    /// What `token` shows at `now`, in seconds since 1970, to who believes `keys`.
    pub(super) fn verify(&self, token: &[u8], keys: &KeySet, now: u64) -> Result<Verified, Fault> {
        if token.len() > MOST_BYTES {
            return Err(Fault::TooLong);
        }
        let parts: Vec<_> = token.split(|byte| *byte == b'.').collect();
        let [header, payload, signature] = match parts[..] {
            // RFC 7516 §3: five parts are encrypted.
            [_, _, _, _, _] => return Err(Fault::Wrapped),
            [header, payload, signature] => [header, payload, signature],
            _ => return Err(Fault::Malformed),
        };
        let signed = &token[..header.len() + 1 + payload.len()];
        let [header, payload, signature] = [decode(header)?, decode(payload)?, decode(signature)?];
        let header = json::object(&header).ok_or(Fault::Malformed)?;
        let (algorithm, key) = self.read_header(&header)?;
        keys.verify(key, algorithm, signed, &signature)?;
        let claims = json::object(&payload).ok_or(Fault::Malformed)?;
        self.read_claims(&claims, now)
    }

    /// How the token says that it is signed, and by which key.
    fn read_header<'h>(
        &self,
        header: &'h Map<String, Value>,
    ) -> Result<(Algorithm, Option<&'h str>), Fault> {
        let names_key = |name: &&str| header.contains_key(*name);
        if ["jwk", "jku", "x5u", "x5c"].iter().any(names_key) {
            return Err(Fault::BringsKey);
        }
        // RFC 7797 is an extension as well.
        let encoded = header.get("b64").is_none_or(|b64| *b64 == Value::Bool(true));
        if header.contains_key("crit") || !encoded {
            return Err(Fault::Critical);
        }
        let nested = |kind: &Value| kind.as_str().is_none_or(|it| it.eq_ignore_ascii_case("JWT"));
        if header.contains_key("enc") || header.get("cty").is_some_and(nested) {
            return Err(Fault::Wrapped);
        }
        let name = header.get("alg").and_then(Value::as_str);
        let algorithm = name.and_then(Algorithm::named).ok_or(Fault::Algorithm)?;
        if !self.algorithms.contains(&algorithm) {
            return Err(Fault::Algorithm);
        }
        let key = match header.get("kid") {
            None => None,
            Some(Value::String(id)) if id.len() <= MOST_KEY_ID => Some(id.as_str()),
            Some(_) => return Err(Fault::KeyId),
        };
        Ok((algorithm, key))
    }

    fn read_claims(&self, claims: &Map<String, Value>, now: u64) -> Result<Verified, Fault> {
        let second = |value: &Value| value.as_u64().filter(|second| *second <= LAST_SECOND);
        let expires = claims.get("exp").and_then(second).ok_or(Fault::Times)?;
        let not_before = match claims.get("nbf") {
            None => 0,
            Some(value) => second(value).ok_or(Fault::Times)?,
        };
        let identity = || match claims.get(&self.identity)? {
            Value::String(name) if !name.is_empty() => Some(name.clone()),
            _ => None,
        };
        let is_ours = |value: &Value| {
            value.as_str().is_some_and(|it| self.audience.iter().any(|ours| ours == it))
        };
        let for_us = match claims.get("aud") {
            Some(Value::Array(all)) => all.iter().all(Value::is_string) && all.iter().any(is_ours),
            Some(one) => is_ours(one),
            None => false,
        };
        let holds = |(name, wanted): &(String, Vec<String>)| {
            claims.get(name).is_some_and(|value| wanted.iter().all(|it| has(name, value, it)))
        };
        if claims.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return Err(Fault::Issuer);
        }
        if !for_us {
            return Err(Fault::Audience);
        }
        let forward = self.forward.iter().enumerate();
        let told = forward.filter_map(|(at, (_, claim))| Some((at, said(claims.get(claim)?)?)));
        let verified =
            Verified { identity: String::new(), claims: told.collect(), not_before, expires };
        verified.holds(now, self.leeway)?;
        if !self.claims.iter().all(holds) {
            return Err(Fault::Claim);
        }
        Ok(Verified { identity: identity().ok_or(Fault::Claim)?, ..verified })
    }
}

impl Verified {
    /// Whether it is the token's time.
    pub(super) fn holds(&self, now: u64, leeway: u64) -> Result<(), Fault> {
        if now >= self.expires + leeway {
            return Err(Fault::Expired);
        }
        if self.not_before > now + leeway {
            return Err(Fault::Early);
        }
        Ok(())
    }

    /// Until when, at the latest.
    pub(super) fn expires(&self) -> u64 {
        self.expires
    }
}

/// Base64 as RFC 7515 §2 has it: no padding, no space, no bits left over.
fn decode(part: &[u8]) -> Result<Vec<u8>, Fault> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Fault::Malformed)
}

/// Whether a claim holds what is wanted. RFC 8693 §4.2 has scopes as words.
fn has(name: &str, claim: &Value, wanted: &str) -> bool {
    match claim {
        Value::String(text) if matches!(name, "scope" | "scp") => {
            text.split(' ').any(|word| word == wanted)
        }
        Value::Array(items) => items.iter().any(|item| word(item).as_deref() == Some(wanted)),
        one => word(one).as_deref() == Some(wanted),
    }
}

/// What an upstream is told of a claim: a list with commas between. Of an object nothing is told.
fn said(claim: &Value) -> Option<String> {
    match claim {
        Value::Array(items) => Some(items.iter().map(word).collect::<Option<Vec<_>>>()?.join(",")),
        one => word(one),
    }
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
