//! Every way in which a token was ever made to be believed.

use std::collections::BTreeSet;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_800_000_000;

/// An issuer with a key of each kind.
struct Issuer {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

/// The name of a key, or none.
type KeyId<'a> = Option<&'a str>;

impl Issuer {
    fn new() -> Self {
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            ed25519: Ed25519KeyPair::generate().unwrap(),
        }
    }

    /// What it shows of itself.
    fn jwks(&self) -> Value {
        let rsa = self.rsa_jwk();
        let point = self.p256.public_key().as_ref();
        let (x, y) = (text(&point[1..33]), text(&point[33..]));
        let ed = text(self.ed25519.public_key().as_ref());
        json!({ "keys": [
            { "kty": "RSA", "kid": "rsa", "use": "sig", "n": rsa.0, "e": rsa.1 },
            { "kty": "RSA", "kid": "rs512", "alg": "RS512", "n": rsa.0, "e": rsa.1 },
            { "kty": "EC", "kid": "ec", "crv": "P-256", "x": x, "y": y },
            { "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": ed, "key_ops": ["verify"] },
            { "kty": "oct", "kid": "oct", "k": text(b"a secret of thirty-two bytes ....") },
            { "kty": "RSA", "kid": "enc", "use": "enc", "n": rsa.0, "e": rsa.1 },
            { "kty": "RSA", "kid": "weak", "n": text(&[0xff; 128]), "e": "AQAB" },
            { "kty": "EC", "kid": "odd", "crv": "P-256", "x": x, "y": x },
            { "kty": "what is this?" },
        ]})
    }

    fn rsa_jwk(&self) -> (String, String) {
        // PKCS #1: a sequence of the modulus and the exponent, which is 65537.
        let der = self.rsa.public_key().as_ref();
        let (n, e) = der.split_at(der.len() - 5);
        let (n, e) = (text(&n[n.len() - 256..]), text(&e[2..]));
        (n, e)
    }

    fn keys(&self) -> KeySet {
        KeySet::parse(self.jwks().to_string().as_bytes(), &rules().algorithms).unwrap()
    }

    /// The signature of `signed`, as the algorithm of that name has it.
    fn sign(&self, algorithm: &str, signed: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let encoding: &'static dyn RsaEncoding = match algorithm {
            "RS256" => &RSA_PKCS1_SHA256,
            "RS384" => &RSA_PKCS1_SHA384,
            "RS512" => &RSA_PKCS1_SHA512,
            "PS256" => &RSA_PSS_SHA256,
            "ES256" => return self.p256.sign(&random, signed).unwrap().as_ref().to_vec(),
            "EdDSA" => return self.ed25519.sign(signed).as_ref().to_vec(),
            other => panic!("{other}"),
        };
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        self.rsa.sign(encoding, &random, signed, &mut signature).unwrap();
        signature
    }

    /// A token whose header and claims are this text, signed as `algorithm` has it.
    fn token(&self, algorithm: &str, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", text(header.as_bytes()), text(claims.as_bytes()));
        let signature = text(&self.sign(algorithm, signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// One that says the algorithm and the key that it is signed with, and nothing else of itself.
    fn plain(&self, algorithm: &str, key: KeyId<'_>, claims: &Value) -> String {
        let mut header = json!({ "typ": "JWT", "alg": algorithm });
        if let Some(key) = key {
            header["kid"] = key.into();
        }
        self.token(algorithm, &header.to_string(), &claims.to_string())
    }
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rules() -> Rules {
    Rules {
        issuer: "https://login.test".to_owned(),
        audience: vec!["api".to_owned(), "other".to_owned()],
        algorithms: Algorithm::ALL.into_iter().filter(|it| !it.is_symmetric()).collect(),
        leeway: 30,
        claims: vec![("scope".to_owned(), vec!["read".to_owned()])],
        identity: "sub".to_owned(),
        forward: vec![
            ("x-user".to_owned(), "sub".to_owned()),
            ("x-roles".to_owned(), "roles".to_owned()),
            ("x-nothing".to_owned(), "nothing".to_owned()),
        ],
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://login.test",
        "aud": "api",
        "sub": "ann",
        "scope": "write read",
        "roles": ["admin", 7],
        "iat": 1_799_999_000.5,
        "exp": NOW + 300,
    })
}

/// The claims but for this one.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

#[test]
fn a_good_token_shows_who_calls_by_every_algorithm() {
    let issuer = Issuer::new();
    let keys = issuer.keys();
    assert_eq!(keys.count(), 4, "those of no use are left out");
    for (algorithm, key) in [
        ("RS256", "rsa"),
        ("RS384", "rsa"),
        ("RS512", "rsa"),
        ("RS512", "rs512"),
        ("PS256", "rsa"),
        ("ES256", "ec"),
        ("EdDSA", "ed"),
    ] {
        let token = issuer.plain(algorithm, Some(key), &claims());
        let verified = rules().verify(token.as_bytes(), &keys, NOW).expect(algorithm);
        assert_eq!(verified.identity, "ann");
        assert_eq!(verified.claims, [(0, "ann".to_owned()), (1, "admin,7".to_owned())]);
    }
    // Without a name, a key is meant where there is one that could be.
    for (algorithm, good) in [("ES256", Ok(())), ("RS512", Err(Fault::UnknownKey))] {
        let token = issuer.plain(algorithm, None, &claims());
        assert_eq!(rules().verify(token.as_bytes(), &keys, NOW).map(drop), good, "{algorithm}");
    }
}

#[test]
fn a_shared_secret_verifies_what_it_has_signed() {
    let secret = b"a secret of thirty-two bytes ....";
    let keys = KeySet::secret(secret).unwrap();
    let rules = Rules { algorithms: vec![Algorithm::Hs256], ..rules() };
    let sign = |header: Value, secret: &[u8]| {
        let header = text(header.to_string().as_bytes());
        let signed = format!("{header}.{}", text(claims().to_string().as_bytes()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let signature = text(hmac::sign(&key, signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    };
    let verify = |token: String| rules.verify(token.as_bytes(), &keys, NOW).map(drop);
    assert_eq!(verify(sign(json!({ "alg": "HS256" }), secret)), Ok(()));
    assert_eq!(verify(sign(json!({ "alg": "HS256", "kid": "x" }), secret)), Ok(()));
    let guess = sign(json!({ "alg": "HS256" }), b"another");
    assert_eq!(verify(guess), Err(Fault::Signature));
    assert_eq!(verify(sign(json!({ "alg": "none" }), secret)), Err(Fault::Algorithm));
    assert_eq!(
        KeySet::secret(b"too short").err().unwrap(),
        "it has fewer than 32 bytes, and can be guessed"
    );
}

/// Tokens whose headers or signatures lie.
fn forged(issuer: &Issuer) -> Vec<(&'static str, String, Fault)> {
    let payload = text(claims().to_string().as_bytes());
    let unsigned = |header: &str, signature: &[u8]| {
        format!("{}.{payload}.{}", text(header.as_bytes()), text(signature))
    };
    let header = |more: Value| {
        let mut header = json!({ "alg": "RS256", "kid": "rsa" });
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        issuer.token("RS256", &header.to_string(), &claims().to_string())
    };
    let hmac_under = |key: &[u8], header: &str| {
        let signed = format!("{}.{payload}", text(header.as_bytes()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        format!("{signed}.{}", text(hmac::sign(&key, signed.as_bytes()).as_ref()))
    };
    let (n, e) = issuer.rsa_jwk();
    let own_key = json!({ "kty": "RSA", "n": n, "e": e });
    let modulus = URL_SAFE_NO_PAD.decode(&n).unwrap();
    let ec = r#"{"alg":"ES256","kid":"ec"}"#;
    let mut all = vec![
        ("no signature at all", unsigned(r#"{"alg":"RS256","kid":"rsa"}"#, b""), Fault::Signature),
        ("no algorithm", unsigned(r#"{"kid":"rsa"}"#, b""), Fault::Algorithm),
        ("an algorithm of no text", unsigned(r#"{"alg":["RS256"]}"#, b""), Fault::Algorithm),
        ("lower case", unsigned(r#"{"alg":"rs256"}"#, b"x"), Fault::Algorithm),
        ("a secret of zeros", hmac_under(b"", r#"{"alg":"HS256"}"#), Fault::Algorithm),
        (
            "the public key as a secret",
            hmac_under(&modulus, r#"{"alg":"HS256","kid":"rsa"}"#),
            Fault::Algorithm,
        ),
        (
            "the text of the public key as a secret",
            hmac_under(issuer.jwks().to_string().as_bytes(), r#"{"alg":"HS256","kid":"rsa"}"#),
            Fault::Algorithm,
        ),
        (
            "a symmetric key of the set",
            hmac_under(b"a secret of thirty-two bytes ....", r#"{"alg":"HS256","kid":"oct"}"#),
            Fault::Algorithm,
        ),
        (
            "another algorithm than the key's own",
            issuer.plain("RS256", Some("rs512"), &claims()),
            Fault::Algorithm,
        ),
        ("a key of another kind", issuer.plain("ES256", Some("rsa"), &claims()), Fault::Algorithm),
        ("psychic", unsigned(ec, &[0; 64]), Fault::Signature),
        ("r = 0", unsigned(ec, &[[0; 32], [1; 32]].concat()), Fault::Signature),
        ("s = 0", unsigned(ec, &[[1; 32], [0; 32]].concat()), Fault::Signature),
        ("one byte short", unsigned(ec, &[1; 63]), Fault::Signature),
        ("one byte long", unsigned(ec, &[1; 65]), Fault::Signature),
        ("in ASN.1", unsigned(ec, &[0x30, 6, 2, 1, 1, 2, 1, 1]), Fault::Signature),
        ("its own key", header(json!({ "jwk": own_key })), Fault::BringsKey),
        ("its own key set", header(json!({ "jku": "https://evil.test" })), Fault::BringsKey),
        ("its own certificate", header(json!({ "x5c": ["MII"] })), Fault::BringsKey),
        ("the URL of one", header(json!({ "x5u": "https://evil.test" })), Fault::BringsKey),
        ("an extension", header(json!({ "crit": ["x"], "x": 1 })), Fault::Critical),
        ("no extension", header(json!({ "crit": [] })), Fault::Critical),
        ("without base64", header(json!({ "b64": false })), Fault::Critical),
        (
            "without base64, as it must be said",
            header(json!({ "b64": false, "crit": ["b64"] })),
            Fault::Critical,
        ),
        ("nested", header(json!({ "cty": "JWT" })), Fault::Wrapped),
        ("nested, in lower case", header(json!({ "cty": "jwt" })), Fault::Wrapped),
        ("encrypted", "e30.e30.e30.e30.e30".to_owned(), Fault::Wrapped),
        ("encrypted, it says", header(json!({ "enc": "A128GCM" })), Fault::Wrapped),
        ("a number for a key", header(json!({ "kid": 7 })), Fault::KeyId),
        ("a long name", header(json!({ "kid": "k".repeat(257) })), Fault::KeyId),
        ("a long name that may be", header(json!({ "kid": "k".repeat(256) })), Fault::UnknownKey),
        ("a path", header(json!({ "kid": "../../dev/null" })), Fault::UnknownKey),
        ("SQL", header(json!({ "kid": "x' UNION SELECT 'k" })), Fault::UnknownKey),
        ("a control byte", header(json!({ "kid": "rsa\0" })), Fault::UnknownKey),
        ("a weak key", issuer.plain("RS256", Some("weak"), &claims()), Fault::UnknownKey),
        ("a key for encryption", issuer.plain("RS256", Some("enc"), &claims()), Fault::UnknownKey),
        (
            "a name that stands twice",
            issuer.token("RS256", r#"{"alg":"none","alg":"RS256"}"#, &claims().to_string()),
            Fault::Malformed,
        ),
        (
            "a name that stands twice, spelled differently",
            issuer.token("RS256", r#"{"alg":"RS256","\u0061lg":"none"}"#, &claims().to_string()),
            Fault::Malformed,
        ),
        ("a list for a header", issuer.token("RS256", "[]", "{}"), Fault::Malformed),
        ("nothing", String::new(), Fault::Malformed),
        ("dots", "..".to_owned(), Fault::Malformed),
        ("one part", "e30".to_owned(), Fault::Malformed),
        ("four parts", "e30.e30.e30.e30".to_owned(), Fault::Malformed),
    ];
    for name in ["none", "None", "nOnE", "NONE", ""] {
        let header = json!({ "alg": name, "kid": "rsa" }).to_string();
        all.push(("not signed", unsigned(&header, b""), Fault::Algorithm));
    }
    all
}

/// Tokens that are signed as they should, and say what they should not.
fn sad(issuer: &Issuer) -> Vec<(&'static str, String, Fault)> {
    let good = issuer.plain("RS256", Some("rsa"), &claims());
    let says = |claims: Value| issuer.plain("RS256", Some("rsa"), &claims);
    let raw = |claims: &str| issuer.token("RS256", r#"{"alg":"RS256","kid":"rsa"}"#, claims);
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    let padded = |part: &str| URL_SAFE.encode(URL_SAFE_NO_PAD.decode(part).unwrap());
    let other = text(with("sub", json!("root")).to_string().as_bytes());
    let standard = STANDARD.encode(URL_SAFE_NO_PAD.decode(signature).unwrap());
    vec![
        ("other claims", format!("{header}.{other}.{signature}"), Fault::Signature),
        ("padding", format!("{header}.{payload}.{}", padded(signature)), Fault::Malformed),
        ("the other base64", format!("{header}.{payload}.{standard}"), Fault::Malformed),
        ("space", format!("{header}. {payload}.{signature}"), Fault::Malformed),
        ("a line end", format!("{header}.{payload}.{signature}\n"), Fault::Malformed),
        ("bits left over", format!("{header}.{payload}.{signature}B"), Fault::Malformed),
        ("too long", says(with("x", json!("x".repeat(8 * 1024)))), Fault::TooLong),
        ("no end", says(without("exp")), Fault::Times),
        ("an end in parts", says(with("exp", json!(NOW as f64 + 0.5))), Fault::Times),
        (
            "an end as a float",
            raw(&claims().to_string().replace("1800000300", "1.8e300")),
            Fault::Times,
        ),
        ("an end before time", says(with("exp", json!(-1))), Fault::Times),
        ("an end after time", says(with("exp", json!(u64::MAX))), Fault::Times),
        ("an end as text", says(with("exp", json!("1900000000"))), Fault::Times),
        ("a beginning in parts", says(with("nbf", json!(0.5))), Fault::Times),
        ("a beginning before time", says(with("nbf", json!(-5))), Fault::Times),
        ("a beginning that is none", says(with("nbf", json!(null))), Fault::Times),
        ("over", says(with("exp", json!(NOW - 30))), Fault::Expired),
        ("early", says(with("nbf", json!(NOW + 31))), Fault::Early),
        ("no issuer", says(without("iss")), Fault::Issuer),
        ("another issuer", says(with("iss", json!("https://evil.test"))), Fault::Issuer),
        ("almost the issuer", says(with("iss", json!("https://login.test/"))), Fault::Issuer),
        ("issuers", says(with("iss", json!(["https://login.test"]))), Fault::Issuer),
        ("for nobody", says(without("aud")), Fault::Audience),
        ("for somebody else", says(with("aud", json!("apis"))), Fault::Audience),
        ("for some others", says(with("aud", json!(["a", "b"]))), Fault::Audience),
        ("for whatever that is", says(with("aud", json!(["api", 7]))), Fault::Audience),
        ("for an object", says(with("aud", json!({ "api": true }))), Fault::Audience),
        ("nobody's", says(without("sub")), Fault::Claim),
        ("a number's", says(with("sub", json!(7))), Fault::Claim),
        ("nobody's at all", says(with("sub", json!(""))), Fault::Claim),
        ("no scope", says(without("scope")), Fault::Claim),
        ("another scope", says(with("scope", json!("reader write"))), Fault::Claim),
        ("an object for a scope", says(with("scope", json!({ "read": 1 }))), Fault::Claim),
        (
            "a claim that stands twice",
            raw(&claims().to_string().replacen('{', r#"{"sub":"root","#, 1)),
            Fault::Malformed,
        ),
        ("a list for claims", raw("[]"), Fault::Malformed),
    ]
}

#[test]
fn whatever_is_not_as_it_has_to_be_is_refused_for_what_it_is() {
    let issuer = Issuer::new();
    let keys = issuer.keys();
    let mut met = BTreeSet::new();
    for (what, token, fault) in forged(&issuer).into_iter().chain(sad(&issuer)) {
        let verified = rules().verify(token.as_bytes(), &keys, NOW);
        assert_eq!(verified.map(drop), Err(fault), "{what}: {token}");
        met.insert(fault.word());
    }
    assert_eq!(met.len(), 15, "every fault but that of no token: {met:?}");
    // What the table takes as a start is good.
    let good = |claims: Value| {
        let token = issuer.plain("RS256", Some("rsa"), &claims);
        rules().verify(token.as_bytes(), &keys, NOW).map(drop)
    };
    for claims in [
        claims(),
        with("exp", json!(NOW - 29)),
        with("nbf", json!(NOW + 30)),
        with("aud", json!(["x", "other"])),
        with("scope", json!(["read"])),
    ] {
        assert_eq!(good(claims.clone()), Ok(()), "{claims}");
    }
}

#[test]
fn somebody_else_with_the_same_names_signs_nothing() {
    let (issuer, other) = (Issuer::new(), Issuer::new());
    let keys = issuer.keys();
    for (algorithm, key) in [("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "ec"), ("EdDSA", "ed")] {
        let token = other.plain(algorithm, Some(key), &claims());
        let verified = rules().verify(token.as_bytes(), &keys, NOW);
        assert_eq!(verified, Err(Fault::Signature), "{algorithm}");
    }
}

#[test]
fn a_set_of_keys_is_bounded_and_has_to_be_of_use() {
    let parse = |text: &str| KeySet::parse(text.as_bytes(), &[Algorithm::Rs256]).err();
    for (text, reason) in [
        ("", "no JSON object"),
        (r#"{"keys":[],"keys":[]}"#, "names something twice"),
        ("{}", "no list of `keys`"),
        (r#"{"keys":[]}"#, "no key that is of use"),
        (&format!(r#"{{"keys":[{}]}}"#, vec!["{}"; 101].join(",")), "more than 100 keys"),
        (&" ".repeat((1 << 20) + 1), "more than 1 MiB"),
    ] {
        let told = parse(text).unwrap();
        assert!(told.contains(reason), "{told}");
    }
    let issuer = Issuer::new();
    let keys = KeySet::parse(issuer.jwks().to_string().as_bytes(), &[Algorithm::EdDsa]).unwrap();
    assert_eq!(keys.count(), 2, "the one for EdDSA, and the one that says what it is for");
}

#[test]
fn a_verified_token_is_known_until_its_time_is_over() {
    let issuer = Issuer::new();
    let keyring = Keyring::new(Vec::new(), issuer.keys());
    let token = issuer.plain("ES256", Some("ec"), &claims());
    let verify = |now| keyring.verify(&rules(), token.as_bytes(), now);
    let first = verify(NOW).unwrap();
    assert!(Arc::ptr_eq(&first, &verify(NOW + 300).unwrap()));
    assert_eq!(verify(NOW + 330), Err(Fault::Expired));
    for at in 0..REMEMBERED as u64 {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&at.to_be_bytes());
        keyring.lock().insert(hash, Arc::clone(&first));
    }
    let another = issuer.plain("ES256", Some("ec"), &with("sub", json!("ben")));
    keyring.verify(&rules(), another.as_bytes(), NOW).unwrap();
    assert!(keyring.lock().len() <= REMEMBERED);
}

#[test]
fn a_token_is_looked_for_where_it_may_be() {
    assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
    assert_eq!(bearer(b"bearer  abc "), Some(&b"abc"[..]));
    assert_eq!(bearer(b"Basic abc"), None);
    assert_eq!(bearer(b"Bearer"), None);
    for (cookies, found) in [
        ("session=abc", Some("abc")),
        ("a=b; session=abc;c=d", Some("abc")),
        ("session=", Some("")),
        ("xsession=abc", None),
        ("sessionx=abc", None),
        ("session=a; session=b", None),
        ("", None),
    ] {
        assert_eq!(cookie(cookies.as_bytes(), "session"), found.map(str::as_bytes), "{cookies}");
    }
}
