//! How callers show who they are: what each way has to hold.

use std::collections::BTreeMap;

use locum_proxy::auth::{self, Credential};

use super::attached::Attachments;
use super::fields::{is_field_value, is_ours, is_token};
use super::file::{Auth, AuthKind, File};
use super::findings::Findings;
use super::keys;
use super::value::{Link, Net};

mod forward;
mod jwt;

pub(super) fn check(file: &File, attached: &Attachments, findings: &mut Findings<'_>) {
    for (name, auth) in &file.auth {
        let path = format!("auth.{name}");
        findings.name(&path, name);
        check_keys(&path, auth, findings);
        match auth.kind {
            AuthKind::ApiKey => {
                check_file(&path, "key", attached, findings);
            }
            AuthKind::Basic => check_basic(&path, auth, attached, findings),
            AuthKind::Jwt => jwt::check(&path, auth, &Contents { name, attached }, findings),
            AuthKind::Forward => forward::check(&path, auth, findings),
            AuthKind::Mtls => {}
            AuthKind::Ip => check_ip(&path, auth, findings),
        }
    }
}

/// What is in the files of one way.
struct Contents<'a> {
    name: &'a str,
    attached: &'a Attachments,
}

impl Contents<'_> {
    /// Of the file that `key` names; `None` if it cannot be had, which is told elsewhere.
    fn of(&self, key: &str) -> Option<&[u8]> {
        self.attached.get(&format!("auth.{}.{key}", self.name))?.contents().ok()
    }
}

/// Each kind has keys of its own.
fn check_keys(path: &str, auth: &Auth, findings: &mut Findings<'_>) {
    use AuthKind::{ApiKey, Basic, Forward, Ip, Jwt, Mtls};
    let given = [
        ("header", auth.header.is_some(), &[ApiKey, Jwt][..]),
        ("file", auth.file.is_some(), &[ApiKey, Basic]),
        ("realm", auth.realm.is_some(), &[Basic]),
        ("identity_header", auth.identity_header.is_some(), &[ApiKey, Basic, Jwt, Forward, Mtls]),
        ("allow", !auth.allow.is_empty(), &[Mtls, Ip]),
        ("deny", !auth.deny.is_empty(), &[Ip]),
        ("issuer", auth.issuer.is_some(), &[Jwt]),
        ("audience", auth.audience.is_some(), &[Jwt]),
        ("algorithms", !auth.algorithms.is_empty(), &[Jwt]),
        ("jwks", auth.jwks.is_some(), &[Jwt]),
        ("secret", auth.secret.is_some(), &[Jwt]),
        ("refresh", auth.refresh.is_some(), &[Jwt]),
        ("cookie", auth.cookie.is_some(), &[Jwt]),
        ("leeway", auth.leeway.is_some(), &[Jwt]),
        ("claims", !auth.claims.is_empty(), &[Jwt]),
        ("identity", auth.identity.is_some(), &[Jwt, Forward]),
        ("forward", !auth.forward.is_empty(), &[Jwt]),
        ("url", auth.url.is_some(), &[Forward]),
        ("ca", auth.ca.is_some(), &[Jwt, Forward]),
        ("timeout", auth.timeout.is_some(), &[Forward]),
        ("headers", auth.headers.is_some(), &[Forward]),
        ("copy", !auth.copy.is_empty(), &[Forward]),
        ("cache", auth.cache.is_some(), &[Forward]),
        ("connections", auth.connections.is_some(), &[Forward]),
    ];
    for (key, given, kinds) in given {
        if given && !kinds.contains(&auth.kind) {
            let kinds: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.name())).collect();
            let reason = format!("it is not for the kind `{}`", auth.kind.name());
            let remedy = format!("remove it: it is for {}", kinds.join(" and "));
            findings.error_in_key(&format!("{path}.{key}"), reason, remedy);
        }
    }
    if let Some(header) = &auth.identity_header {
        check_forwarded(&format!("{path}.identity_header"), header, findings);
    }
    if let (Some(header), ApiKey) = (&auth.header, auth.kind) {
        check_header(&format!("{path}.header"), header, false, findings);
    }
}

/// What is to be a field has to be called like one; what is to be written is not what the proxy writes.
fn check_header(path: &str, header: &str, written: bool, findings: &mut Findings<'_>) {
    if !is_token(header) {
        let reason = format!("`{}` is no header name", header.escape_debug());
        findings.error(path, reason, "use letters, digits and `-`");
    } else if written && is_ours(header) {
        let reason = format!("`{header}` frames the message, and is the proxy's own");
        findings.error(path, reason, "choose another name, such as \"x-user\"");
    }
}

/// What tells an upstream who calls is taken from every client.
fn check_forwarded(path: &str, header: &str, findings: &mut Findings<'_>) {
    check_header(path, header, true, findings);
    let needed = ["authorization", "cookie", "content-type", "content-encoding", "range"];
    if needed.iter().any(|it| header.eq_ignore_ascii_case(it)) {
        let reason =
            format!("clients need `{header}`, which would be taken from them on every route");
        findings.error(path, reason, "choose another name, such as \"x-user\"");
    }
}

fn check_url(path: &str, link: &Link, findings: &mut Findings<'_>) {
    match link.url() {
        Err(expected) => findings.error(path, "it is no URL", format!("write {expected}")),
        Ok(url) if !url.is_private() => {
            let reason = "what is said without TLS can be changed on the way";
            findings.error(path, reason, "write https://, or an address of this machine");
        }
        Ok(_) => {}
    }
}

fn check_basic(path: &str, auth: &Auth, attached: &Attachments, findings: &mut Findings<'_>) {
    if auth.realm.as_deref().is_some_and(|realm| !is_field_value(realm)) {
        let reason = "the value holds a control character, or space around it";
        findings.error(&format!("{path}.realm"), reason, "write what a person can read");
    }
    let people = check_file(path, "name", attached, findings);
    for person in people.iter().filter(|person| person.name.contains(':')) {
        let reason = format!("the name `{}` holds a colon", person.name);
        findings.error(&format!("{path}.file"), reason, "choose a name without");
    }
}

/// What the file holds; it has to be something, of which there is to be `what`.
fn check_file(
    path: &str,
    what: &str,
    attached: &Attachments,
    findings: &mut Findings<'_>,
) -> Vec<Credential> {
    let path = format!("{path}.file");
    let Some(file) = attached.get(&path) else {
        findings.error_in_key(&path, "it is missing", "add `file = …`, with a `name:hash` a line");
        return Vec::new();
    };
    let Ok(contents) = file.contents() else { return Vec::new() };
    let remedy = "write `name:hash` a line, in which the hash is the secret's SHA-256 in hex, or argon2's PHC string";
    match keys::parse(contents) {
        Ok(keys) if keys.is_empty() => {
            let reason = format!("`{}` holds no {what}, so nobody could call", file.path.display());
            findings.error(&path, reason, remedy);
        }
        Ok(keys) => return keys,
        Err((line, why)) => {
            let reason = format!("`{}`, line {line}: {why}", file.path.display());
            findings.error(&path, reason, remedy);
        }
    }
    Vec::new()
}

fn check_ip(path: &str, auth: &Auth, findings: &mut Findings<'_>) {
    if auth.allow.is_empty() && auth.deny.is_empty() {
        let reason = "it lets in everybody";
        findings.error_in_key(path, reason, "add `allow` or `deny`");
    }
    for (key, nets) in [("allow", &auth.allow), ("deny", &auth.deny)] {
        for (index, net) in nets.iter().enumerate() {
            if let Err(expected) = net.parse::<Net>() {
                let reason = format!("found the text {net:?}");
                let path = format!("{path}.{key}.{index}");
                findings.error(&path, reason, format!("write {expected}"));
            }
        }
    }
}

/// What a plan is told of them; the check has found it whole.
pub(super) fn resolve(
    auth: &BTreeMap<String, Auth>,
    attached: &Attachments,
) -> Vec<(String, auth::Settings)> {
    let nets =
        |nets: &[String]| nets.iter().filter_map(|net| Some(net.parse::<Net>().ok()?.0)).collect();
    let one = |(name, auth): (&String, &Auth)| {
        let contents = Contents { name, attached };
        let credentials =
            || keys::parse(contents.of("file").unwrap_or_default()).unwrap_or_default();
        let kind = match auth.kind {
            AuthKind::ApiKey => auth::Kind::ApiKey {
                header: auth.header.as_deref().unwrap_or(HEADER).to_ascii_lowercase(),
                keys: credentials(),
            },
            AuthKind::Basic => auth::Kind::Basic {
                realm: auth.realm.as_ref().unwrap_or(name).clone(),
                people: credentials(),
            },
            AuthKind::Jwt => auth::Kind::Jwt(jwt::resolve(auth, &contents)),
            AuthKind::Forward => auth::Kind::Forward(forward::resolve(auth, &contents)),
            AuthKind::Mtls => auth::Kind::Mtls { allow: auth.allow.clone() },
            AuthKind::Ip => auth::Kind::Ip { allow: nets(&auth.allow), deny: nets(&auth.deny) },
        };
        let identity_header = auth.identity_header.clone();
        (name.clone(), auth::Settings { kind, identity_header })
    };
    auth.iter().map(one).collect()
}

const HEADER: &str = "x-api-key";
