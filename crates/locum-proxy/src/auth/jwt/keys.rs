//! The keys of an issuer: a JSON Web Key Set (RFC 7517), or a secret that it shares.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::Algorithm;
use super::json;

/// Keys that verify signatures.
#[derive(Debug)]
pub struct KeySet(Vec<Key>);

/// One key.
struct Key {
    id: Option<String>,
    /// The only algorithm that it is for, if it says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

enum Material {
    Rsa(RsaPublicKeyComponents<Vec<u8>>),
    P256(ParsedPublicKey),
    Ed25519(ParsedPublicKey),
    Secret(Vec<u8>),
}

/// A set may be this large, and hold so many keys.
pub(crate) const MOST_BYTES: usize = 1 << 20;
const MOST_KEYS: usize = 100;
/// Bits of an RSA key; fewer are broken, more are work for nothing.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Bytes of a shared secret: what RFC 7518 §3.2 asks for.
const SECRET_BYTES: usize = 32;

impl KeySet {
    /// Reads a JSON Web Key Set. Keys that are not for signatures, or of kinds that are not known, are left
    /// out; so are keys without an `alg` where `pins` has no algorithm for them, symmetric ones, which do
    /// not belong in a set that is shown to others, and RSA keys of fewer than 2048 bits.
    ///
    /// # Errors
    ///
    /// Why it is no set, or has no key that is of use, or too many.
    pub fn parse(text: &[u8], pins: &[Algorithm]) -> Result<Self, String> {
        if text.len() > MOST_BYTES {
            return Err("it has more than 1 MiB".to_owned());
        }
        let set =
            json::object(text).ok_or("it is no JSON object, or one that names something twice")?;
        let Some(Value::Array(keys)) = set.get("keys") else {
            return Err("it has no list of `keys`".to_owned());
        };
        if keys.len() > MOST_KEYS {
            return Err(format!("it has more than {MOST_KEYS} keys"));
        }
        let keys = keys.iter().filter_map(Value::as_object);
        let of_use = |key: &Key| {
            let pinned = || pins.iter().any(|pin| key.material.fits(*pin));
            key.algorithm.is_some_and(|it| key.material.fits(it))
                || (key.algorithm.is_none() && pinned())
        };
        let keys: Vec<_> = keys.filter_map(Key::read).filter(of_use).collect();
        if keys.is_empty() {
            return Err("it has no key that is of use".to_owned());
        }
        Ok(Self(keys))
    }

    /// A secret that the issuer shares.
    ///
    /// # Errors
    ///
    /// It is short enough to be guessed.
    pub fn secret(secret: &[u8]) -> Result<Self, String> {
        if secret.len() < SECRET_BYTES {
            return Err(format!("it has fewer than {SECRET_BYTES} bytes, and can be guessed"));
        }
        let material = Material::Secret(secret.to_vec());
        Ok(Self(vec![Key { id: None, algorithm: None, material }]))
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether one of the keys of this name, or, without a name, the only one there could be, has made
    /// `signature` of `signed`.
    pub(super) fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        signed: &[u8],
        signature: &[u8],
    ) -> Result<(), NotSigned> {
        // A shared secret has no name, so that what a token says of one means nothing.
        let named = |key: &&Key| match (&key.material, id) {
            (Material::Secret(_), _) | (_, None) => true,
            (_, Some(id)) => key.id.as_deref() == Some(id),
        };
        let named: Vec<_> = self.0.iter().filter(named).collect();
        if named.is_empty() {
            return Err(NotSigned::UnknownKey);
        }
        let fits: Vec<_> = named.into_iter().filter(|key| key.takes(algorithm)).collect();
        match &fits[..] {
            [] => return Err(NotSigned::Algorithm),
            [_, _, ..] if id.is_none() => return Err(NotSigned::UnknownKey),
            _ => {}
        }
        let verifies = |key: &&Key| key.material.verify(algorithm, signed, signature);
        if fits.iter().any(verifies) { Ok(()) } else { Err(NotSigned::Signature) }
    }
}

/// Why a signature is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotSigned {
    /// There is no key of that name, or which of several is meant is not said.
    UnknownKey,
    /// The key is for another algorithm.
    Algorithm,
    /// The key has not made it.
    Signature,
}

impl Key {
    fn read(jwk: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        if jwk.contains_key("use") && text("use") != Some("sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops")
            && !operations.as_array()?.iter().any(|it| it.as_str() == Some("verify"))
        {
            return None;
        }
        let algorithm = match jwk.get("alg") {
            None => None,
            Some(name) => Some(Algorithm::named(name.as_str()?)?),
        };
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                let key = RsaPublicKeyComponents { n: bytes("n")?, e: bytes("e")? };
                let leading = key.n.first()?.leading_zeros() as usize;
                RSA_BITS.contains(&(key.n.len() * 8 - leading)).then_some(Material::Rsa(key))?
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                // SEC 1 §2.3.3: the point uncompressed.
                let point = [&[4][..], &x, &y].concat();
                Material::P256(ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()?)
            }
            ("OKP", Some("Ed25519")) => {
                Material::Ed25519(ParsedPublicKey::new(&ED25519, bytes("x")?).ok()?)
            }
            _ => return None,
        };
        let id = match jwk.get("kid") {
            None => None,
            Some(id) => Some(id.as_str()?.to_owned()),
        };
        Some(Self { id, algorithm, material })
    }

    fn takes(&self, algorithm: Algorithm) -> bool {
        self.algorithm.is_none_or(|only| only == algorithm) && self.material.fits(algorithm)
    }
}

impl Material {
    fn fits(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Rsa(_) => algorithm.of_rsa().is_some(),
            Self::P256(_) => algorithm == Algorithm::Es256,
            Self::Ed25519(_) => algorithm == Algorithm::EdDsa,
            Self::Secret(_) => algorithm.is_symmetric(),
        }
    }

    fn verify(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(key) => algorithm
                .of_rsa()
                .is_some_and(|parameters| key.verify(parameters, signed, signature).is_ok()),
            Self::P256(key) | Self::Ed25519(key) => key.verify_sig(signed, signature).is_ok(),
            Self::Secret(secret) => algorithm.of_hmac().is_some_and(|algorithm| {
                hmac::verify(&hmac::Key::new(algorithm, secret), signed, signature).is_ok()
            }),
        }
    }
}

/// What a key is made of is not shown.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("algorithm", &self.algorithm).finish()
    }
}
