//! What is well formed but cannot be meant: names of nothing, two of one kind, values out of range.

use locum_proxy::access::{Format, Malformed};

use super::attached::Attachments;
use super::file::{Admin, File, Log};
use super::findings::Findings;
use super::problem::Problem;
use super::tree::Node;
use super::{auth, listeners, routes, telemetry, upstreams};

/// Everything wrong with `file`, and what is only worth a warning; in the order of the text.
pub(super) fn check(file: &File, tree: &Node, attached: &Attachments) -> Vec<Problem> {
    let mut findings = Findings::of(tree);
    // What a file includes has taken the place of this key.
    if !file.include.is_empty() {
        findings.error_in_key("include", "only a file can include others", "remove it");
    }
    if let Some(admin) = &file.admin {
        check_admin(admin, &mut findings);
    }
    check_log(&file.log, &mut findings);
    if let Some(telemetry) = &file.telemetry {
        telemetry::check(telemetry, &mut findings);
    }
    listeners::check(file, &mut findings);
    upstreams::check(file, attached, &mut findings);
    check_policies(file, &mut findings);
    auth::check(file, attached, &mut findings);
    check_attached(attached, &mut findings);
    routes::check(file, &mut findings);
    super::lint::lint(file, &mut findings);
    findings.in_order()
}

fn check_admin(admin: &Admin, findings: &mut Findings<'_>) {
    if admin.token.is_some() && admin.token_file.is_some() {
        let reason = "there is a `token` already";
        findings.error_in_key("admin.token_file", reason, "keep one of them");
    }
    match &admin.token {
        None if admin.token_file.is_some() => {}
        None if !admin.listen.is_loopback() => findings.error(
            "admin.listen",
            format!("`{}` is not loopback, so others could change what runs", admin.listen),
            "add `token` or `token_file`, or listen on 127.0.0.1 or a unix socket",
        ),
        None => {}
        Some(token) => {
            if let Err((reason, remedy)) = token.resolve() {
                findings.error("admin.token", reason, remedy);
            }
        }
    }
}

fn check_policies(file: &File, findings: &mut Findings<'_>) {
    for (name, settings) in &file.policies {
        findings.name(&format!("policies.{name}"), name);
        if let Err(error) = locum_policy::Policy::build(name, settings, 0, None) {
            findings.error(&format!("policies.{name}.{}", error.path), error.reason, error.remedy);
        }
    }
}

fn check_log(log: &Log, findings: &mut Findings<'_>) {
    let Some(text) = &log.access_format else { return };
    let path = "log.access_format";
    match Format::parse(text) {
        Ok(_) if log.access.is_none() => {
            let remedy = "add `access = \"stdout\"`, or remove it";
            findings.warning(path, "nothing is written in it", remedy);
        }
        Ok(_) => {}
        Err(Malformed::Unknown(name)) => {
            let remedy = match super::decode::nearest(&name, Format::fields().iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write one of {}", Format::fields().join(", ")),
            };
            findings.error(path, Malformed::Unknown(name).to_string(), remedy);
        }
        Err(malformed) => {
            let remedy = "write \"json\", \"common\", \"combined\" or a template such as \"{client} {status}\", with \
                          `{{` for a brace";
            findings.error(path, malformed.to_string(), remedy);
        }
    }
}

/// What is named has to be there; what is in it is judged where it is used.
fn check_attached(attached: &Attachments, findings: &mut Findings<'_>) {
    for (key, file) in attached {
        if let Err(why) = file.contents() {
            let reason = format!("cannot read `{}`: {why}", file.path.display());
            findings.error(key, reason, "name a readable file, relative to this one");
        }
    }
}
