//! What `kind = "jwt"` has to hold.

use std::time::Duration;

use locum_proxy::auth::jwt::{Algorithm, KeySet, Keys, Rules, Settings};
use locum_proxy::tls::Secret;

use super::{Contents, check_forwarded, check_header, check_url};
use crate::config::fields::is_token;
use crate::config::file::Auth;
use crate::config::findings::Findings;
use crate::config::value::Texts;

pub(super) fn check(path: &str, auth: &Auth, contents: &Contents<'_>, findings: &mut Findings<'_>) {
    let key = |key: &str| format!("{path}.{key}");
    let given = [
        ("issuer", auth.issuer.is_some(), "`issuer = \"https://login.example.com\"`"),
        ("audience", auth.audience.is_some(), "`audience = \"…\"`, the name that tokens are for"),
        (
            "algorithms",
            !auth.algorithms.is_empty(),
            "`algorithms = [\"RS256\"]`, as the issuer signs",
        ),
    ];
    for (name, _, add) in given.iter().filter(|(_, given, _)| !given) {
        findings.error_in_key(&key(name), "it is missing", format!("add {add}"));
    }
    let empty = |words: &Texts| words.0.is_empty() || words.0.iter().any(String::is_empty);
    if auth.audience.as_ref().is_some_and(empty) {
        findings.error(&key("audience"), "nobody is for nobody", "name whom tokens are for");
    }
    check_algorithms(path, auth, findings);
    match (&auth.jwks, &auth.secret) {
        (None, None) => findings.error_in_key(
            &key("jwks"),
            "there is nothing to verify a token by",
            "add `jwks`, or `secret` for HS256",
        ),
        (Some(_), Some(_)) => findings.error_in_key(
            &key("secret"),
            "there is `jwks` already",
            "keep one of them: keys of one must not pass for those of the other",
        ),
        (None, Some(secret)) => {
            let resolved = secret.resolve().map(|it| KeySet::secret(it.as_bytes()));
            match resolved {
                Err((reason, remedy)) => findings.error(&key("secret"), reason, remedy),
                Ok(Err(reason)) => {
                    let remedy = "draw one at random, such as by `openssl rand -hex 32`";
                    findings.error(&key("secret"), reason, remedy);
                }
                Ok(Ok(_)) => {}
            }
        }
        (Some(jwks), None) if jwks.is_url() => check_url(&key("jwks"), jwks, findings),
        (Some(_), None) => {
            if let Some(Err(reason)) =
                contents.of("jwks").map(|it| KeySet::parse(it, &algorithms(auth)))
            {
                let remedy = "name a JSON Web Key Set with a key for one of `algorithms`";
                findings.error(&key("jwks"), reason, remedy);
            }
        }
    }
    if !auth.jwks.as_ref().is_some_and(|jwks| jwks.is_url()) {
        for (name, _) in [("refresh", auth.refresh.is_some()), ("ca", auth.ca.is_some())]
            .iter()
            .filter(|(_, given)| *given)
        {
            findings.error_in_key(&key(name), "it is for a URL of `jwks`", "remove it");
        }
    }
    if auth.refresh.is_some_and(|every| every.0 < SHORTEST) {
        findings.error(&key("refresh"), "that is too often", "write 10s or more");
    }
    if auth.leeway.is_some_and(|leeway| leeway.0 > LEEWAY) {
        let reason = "clocks that differ by more than 60 s are wrong";
        findings.error(&key("leeway"), reason, "write 60s or less");
    }
    if auth.cookie.as_deref().is_some_and(|cookie| !is_token(cookie)) {
        findings.error(&key("cookie"), "no cookie is called so", "use letters, digits and `-`");
    }
    if auth.identity.as_deref() == Some("") {
        findings.error(&key("identity"), "no claim is called so", "write one such as \"sub\"");
    }
    for (claim, wanted) in auth.claims.iter().filter(|(_, wanted)| wanted.0.is_empty()) {
        let _ = wanted;
        let reason = "it asks for nothing";
        findings.error(&key(&format!("claims.{claim}")), reason, "write what it has to hold");
    }
    for header in auth.forward.keys() {
        check_forwarded(&key(&format!("forward.{header}")), header, findings);
    }
    if let Some(header) = &auth.header {
        check_header(&key("header"), header, false, findings);
    }
}

fn check_algorithms(path: &str, auth: &Auth, findings: &mut Findings<'_>) {
    for (index, name) in auth.algorithms.iter().enumerate() {
        let path = format!("{path}.algorithms.{index}");
        let Some(algorithm) = Algorithm::named(name) else {
            let known = Algorithm::ALL.map(Algorithm::name).join(", ");
            let reason = format!("`{}` is none that is taken", name.escape_debug());
            findings.error(&path, reason, format!("write one of {known}"));
            continue;
        };
        match (algorithm.is_symmetric(), auth.secret.is_some()) {
            (true, false) => {
                let reason = format!("{algorithm} is verified by a secret, and there is none");
                findings.error(&path, reason, "add `secret`, or remove it");
            }
            (false, true) => {
                let reason = format!("{algorithm} is not verified by a secret");
                findings.error(&path, reason, "remove it, or name `jwks` in place of `secret`");
            }
            _ => {}
        }
    }
}

/// What a plan is told of it.
pub(super) fn resolve(auth: &Auth, contents: &Contents<'_>) -> Settings {
    let words = |words: &Texts| words.0.clone();
    let keys = match (&auth.secret, &auth.jwks) {
        (Some(secret), _) => {
            Keys::Shared(Secret(secret.resolve().unwrap_or_default().into_bytes()))
        }
        (None, Some(jwks)) if jwks.is_url() => Keys::Fetched {
            url: jwks.url().expect("the check has read it"),
            ca: auth.ca.as_ref().map(|_| contents.of("ca").unwrap_or_default().to_vec()),
            every: auth.refresh.map_or(REFRESH, |every| every.0),
        },
        (None, _) => Keys::Set(contents.of("jwks").unwrap_or_default().to_vec()),
    };
    Settings {
        rules: Rules {
            issuer: auth.issuer.clone().unwrap_or_default(),
            audience: auth.audience.as_ref().map(words).unwrap_or_default(),
            algorithms: algorithms(auth),
            leeway: auth.leeway.map_or(LEEWAY, |leeway| leeway.0).as_secs(),
            claims: auth
                .claims
                .iter()
                .map(|(name, wanted)| (name.clone(), words(wanted)))
                .collect(),
            identity: auth.identity.clone().unwrap_or_else(|| "sub".to_owned()),
            forward: auth.forward.iter().map(|(it, claim)| (it.clone(), claim.clone())).collect(),
        },
        keys,
        header: auth.header.as_deref().unwrap_or("authorization").to_ascii_lowercase(),
        cookie: auth.cookie.clone(),
    }
}

fn algorithms(auth: &Auth) -> Vec<Algorithm> {
    auth.algorithms.iter().filter_map(|name| Algorithm::named(name)).collect()
}

/// RFC 8725bis leaves it at a minute.
const LEEWAY: Duration = Duration::from_secs(60);
const REFRESH: Duration = Duration::from_secs(600);
const SHORTEST: Duration = Duration::from_secs(10);
