//! How callers show who they are: what each way has to hold.

use std::collections::BTreeMap;

use locum_proxy::auth::{self, Credential};

use super::attached::Attachments;
use super::check::{Findings, check_name, is_field_value, is_ours, is_token};
use super::file::{Auth, AuthKind, File};
use super::keys;
use super::value::Net;

pub(super) fn check(file: &File, attached: &Attachments, findings: &mut Findings<'_>) {
    for (name, auth) in &file.auth {
        let path = format!("auth.{name}");
        check_name(&path, name, findings);
        check_keys(&path, auth, findings);
        check_headers(&path, auth, findings);
        match auth.kind {
            AuthKind::ApiKey => {
                check_file(&path, "key", attached, findings);
            }
            AuthKind::Basic => check_basic(&path, auth, attached, findings),
            AuthKind::Mtls => {}
            AuthKind::Ip => check_ip(&path, auth, findings),
        }
    }
}

/// Each kind has keys of its own.
fn check_keys(path: &str, auth: &Auth, findings: &mut Findings<'_>) {
    let Auth { kind, header, file, realm, identity_header, allow, deny } = auth;
    let given = [
        ("header", header.is_some(), &[AuthKind::ApiKey][..]),
        ("file", file.is_some(), &[AuthKind::ApiKey, AuthKind::Basic]),
        ("realm", realm.is_some(), &[AuthKind::Basic]),
        ("identity_header", identity_header.is_some(), NAMING),
        ("allow", !allow.is_empty(), &[AuthKind::Mtls, AuthKind::Ip]),
        ("deny", !deny.is_empty(), &[AuthKind::Ip]),
    ];
    for (key, given, kinds) in given {
        if given && !kinds.contains(kind) {
            let kinds: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.name())).collect();
            let reason = format!("it is not for the kind `{}`", kind.name());
            let remedy = format!("remove it: it is for {}", kinds.join(" and "));
            findings.error_in_key(&format!("{path}.{key}"), reason, remedy);
        }
    }
}

/// What is to be a field has to be called like one.
fn check_headers(path: &str, auth: &Auth, findings: &mut Findings<'_>) {
    for (key, header) in [("header", &auth.header), ("identity_header", &auth.identity_header)] {
        let Some(header) = header else { continue };
        check_header(&format!("{path}.{key}"), header, key != "header", findings);
    }
}

fn check_header(path: &str, header: &str, written: bool, findings: &mut Findings<'_>) {
    if !is_token(header) {
        let reason = format!("`{}` is no header name", header.escape_debug());
        findings.error(path, reason, "use letters, digits and `-`");
    } else if written && is_ours(header) {
        let reason = format!("`{header}` frames the message, and is the proxy's own");
        findings.error(path, reason, "choose another name, such as \"x-user\"");
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
        let contents = |key: &str| {
            let file = attached.get(&format!("auth.{name}.{key}"));
            file.and_then(|file| file.contents().ok()).unwrap_or_default()
        };
        let credentials = || keys::parse(contents("file")).unwrap_or_default();
        let kind = match auth.kind {
            AuthKind::ApiKey => auth::Kind::ApiKey {
                header: auth.header.as_deref().unwrap_or(HEADER).to_ascii_lowercase(),
                keys: credentials(),
            },
            AuthKind::Basic => auth::Kind::Basic {
                realm: auth.realm.as_ref().unwrap_or(name).clone(),
                people: credentials(),
            },
            AuthKind::Mtls => auth::Kind::Mtls { allow: auth.allow.clone() },
            AuthKind::Ip => auth::Kind::Ip { allow: nets(&auth.allow), deny: nets(&auth.deny) },
        };
        let identity_header = auth.identity_header.clone();
        (name.clone(), auth::Settings { kind, identity_header })
    };
    auth.iter().map(one).collect()
}

const HEADER: &str = "x-api-key";
/// Kinds that say who calls.
const NAMING: &[AuthKind] = &[AuthKind::ApiKey, AuthKind::Basic, AuthKind::Mtls];
