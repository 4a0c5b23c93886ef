//! What is well formed but cannot be meant: names of nothing, two of one kind, values out of range.

use std::collections::BTreeMap;

use locum_proxy::access::{Format, Malformed};

use super::attached::Attachments;
use super::file::{Admin, File, HeaderEdits, Log};
use super::problem::{Place, Problem, Severity};
use super::tree::{self, Node};
use super::value::Duration;
use super::{auth, listeners, routes, telemetry, upstreams};

/// Everything wrong with `file`, and what is only worth a warning; in the order of the text.
pub(super) fn check(file: &File, tree: &Node, attached: &Attachments) -> Vec<Problem> {
    let mut findings = Findings { tree, problems: Vec::new() };
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
    findings.problems.sort_by_key(|problem| (problem.place.source, problem.place.start));
    findings.problems
}

/// Collects problems, with the places that their paths lead to.
pub(super) struct Findings<'a> {
    tree: &'a Node,
    problems: Vec<Problem>,
}

impl Findings<'_> {
    /// The value at `path` (`routes.1.upstream`) is wrong.
    pub(super) fn error(
        &mut self,
        path: &str,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let place = self.tree.locate(path).value;
        self.push(Severity::Error, path, place, reason.into(), remedy.into());
    }

    /// The key at `path` is wrong, not its value.
    pub(super) fn error_in_key(
        &mut self,
        path: &str,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let place = self.tree.locate(path).key;
        self.push(Severity::Error, path, place, reason.into(), remedy.into());
    }

    /// The value at `path` is allowed, but hardly what is meant.
    pub(super) fn warning(
        &mut self,
        path: &str,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let place = self.tree.locate(path).key;
        self.push(Severity::Warning, path, place, reason.into(), remedy.into());
    }

    /// `name`, at `path`, has to be one of `known`, which are the tables of `section`.
    pub(super) fn reference<T>(
        &mut self,
        path: &str,
        kind: &str,
        section: &str,
        name: &str,
        known: &BTreeMap<String, T>,
    ) {
        if known.contains_key(name) {
            return;
        }
        let near = super::decode::nearest(name, known.keys().map(String::as_str));
        let remedy = match near {
            Some(near) => format!("did you mean `{near}`? Otherwise add `[{section}.{name}]`"),
            None => format!("add `[{section}.{name}]`"),
        };
        self.error(path, format!("{kind} `{name}` is not defined"), remedy);
    }

    /// A time that has to be more than nothing.
    pub(super) fn positive(&mut self, path: &str, value: Option<Duration>) {
        if value.is_some_and(|value| value.0.is_zero()) {
            self.error(
                path,
                "a time of 0 would end everything at once",
                "write a longer one, or leave it out",
            );
        }
    }

    fn push(
        &mut self,
        severity: Severity,
        path: &str,
        place: Place,
        reason: String,
        remedy: String,
    ) {
        let key = tree::written(&self.tree.locate(path).steps);
        self.problems.push(Problem { severity, place, key, reason, remedy });
    }
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
        check_name(&format!("policies.{name}"), name, findings);
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

/// Names stand in metrics, logs and addresses of the admin API.
pub(super) fn check_name(path: &str, name: &str, findings: &mut Findings<'_>) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(allowed) {
        let reason = format!("`{}` cannot be a name", name.escape_debug());
        let remedy = format!("use at most {MAX_NAME} letters, digits, `-`, `_` and `.`");
        findings.error_in_key(path, reason, remedy);
    }
}

/// Header edits have to be header fields, and not those that frame a message.
pub(super) fn check_edits(path: &str, edits: &HeaderEdits, findings: &mut Findings<'_>) {
    let named = edits.set.iter().map(|(name, value)| (format!("set.{name}"), name, Some(value)));
    let added = edits.add.iter().map(|(name, value)| (format!("add.{name}"), name, Some(value)));
    let removed = edits.remove.iter().enumerate();
    let removed = removed.map(|(index, name)| (format!("remove.{index}"), name, None));
    for (key, name, value) in named.chain(added).chain(removed) {
        let path = format!("{path}.{key}");
        if !is_token(name) {
            let reason = format!("`{}` is no header name", name.escape_debug());
            findings.error_in_key(&path, reason, "use letters, digits and `-`");
        } else if is_ours(name) {
            let reason = format!("`{name}` frames the message, and is the proxy's own");
            findings.error_in_key(&path, reason, "remove it");
        }
        if value.is_some_and(|value| !is_field_value(value)) {
            let reason = "the value holds a control character, or space around it";
            findings.error(&path, reason, "write it in one line, without space around it");
        }
    }
}

/// Whether the proxy writes it itself.
pub(super) fn is_ours(name: &str) -> bool {
    OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours))
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

/// RFC 9110 §5.5.
pub(super) fn is_field_value(text: &str) -> bool {
    text.trim() == text && text.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// What the proxy writes itself.
const OURS: &[&str] = &[
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const MAX_NAME: usize = 64;
