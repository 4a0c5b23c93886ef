//! How callers show who they are: what each way has to hold.

use std::collections::BTreeMap;

use locum_proxy::auth;

use super::attached::Attachments;
use super::check::{Findings, check_name, is_token};
use super::file::{Auth, AuthKind, File};
use super::keys;
use super::value::Net;

pub(super) fn check(file: &File, attached: &Attachments, findings: &mut Findings<'_>) {
    for (name, auth) in &file.auth {
        let path = format!("auth.{name}");
        check_name(&path, name, findings);
        check_keys(&path, auth, findings);
        match auth.kind {
            AuthKind::ApiKey => check_api_key(&path, auth, attached, findings),
            AuthKind::Mtls => {}
            AuthKind::Ip => check_ip(&path, auth, findings),
        }
    }
}

/// Each kind has keys of its own.
fn check_keys(path: &str, auth: &Auth, findings: &mut Findings<'_>) {
    let Auth { kind, header, file, allow, deny } = auth;
    let given = [
        ("header", header.is_some(), &[AuthKind::ApiKey][..]),
        ("file", file.is_some(), &[AuthKind::ApiKey]),
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

fn check_api_key(path: &str, auth: &Auth, attached: &Attachments, findings: &mut Findings<'_>) {
    if let Some(header) = auth.header.as_deref().filter(|header| !is_token(header)) {
        let reason = format!("`{}` is no header name", header.escape_debug());
        findings.error(&format!("{path}.header"), reason, "use letters, digits and `-`");
    }
    let path = format!("{path}.file");
    let Some(file) = attached.get(&path) else {
        return findings.error_in_key(
            &path,
            "it is missing",
            "add `file = …`, with a `name:hash` a line",
        );
    };
    let Ok(contents) = file.contents() else { return };
    let remedy = "write `name:hash` a line, in which the hash is the key's SHA-256 in hex, or argon2's PHC string";
    match keys::parse(contents) {
        Ok(keys) if keys.is_empty() => {
            let reason = format!("`{}` holds no key, so nobody could call", file.path.display());
            findings.error(&path, reason, remedy);
        }
        Ok(_) => {}
        Err((line, why)) => {
            let reason = format!("`{}`, line {line}: {why}", file.path.display());
            findings.error(&path, reason, remedy);
        }
    }
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
        let settings = match auth.kind {
            AuthKind::ApiKey => {
                let file = attached.get(&format!("auth.{name}.file"));
                let contents = file.and_then(|file| file.contents().ok()).unwrap_or_default();
                auth::Settings::ApiKey {
                    header: auth.header.as_deref().unwrap_or(HEADER).to_ascii_lowercase(),
                    keys: keys::parse(contents).unwrap_or_default(),
                }
            }
            AuthKind::Mtls => auth::Settings::Mtls { allow: auth.allow.clone() },
            AuthKind::Ip => auth::Settings::Ip { allow: nets(&auth.allow), deny: nets(&auth.deny) },
        };
        (name.clone(), settings)
    };
    auth.iter().map(one).collect()
}

const HEADER: &str = "x-api-key";
