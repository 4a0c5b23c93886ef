//! What routes have to hold of answers: those that they give themselves, and how others are compressed.

use std::path::Path;

use super::fields::{is_field_value, is_ours, is_token};
use super::file::{Compression, Files, Respond, Route};
use super::findings::Findings;

/// The answers of one route.
pub(super) fn check(index: usize, route: &Route, findings: &mut Findings<'_>) {
    let path = |key: &str| format!("routes.{index}.{key}");
    if let Some(files) = &route.files {
        check_files(&path("files"), files, findings);
    }
    if let Some(respond) = &route.respond {
        check_respond(&path("respond"), respond, findings);
    }
    if let Some(compression) = route.compress.said() {
        check_compression(&path("compress"), compression, route, findings);
    }
}

fn check_files(path: &str, files: &Files, findings: &mut Findings<'_>) {
    let key = |key: &str| format!("{path}.{key}");
    let root = Path::new(&files.root);
    if !root.is_absolute() {
        let reason = "where a path begins that is not absolute, nobody can tell";
        findings.error(&key("root"), reason, "write one such as \"/srv/www\"");
    } else if !root.is_dir() {
        let reason = format!("`{}` is no directory here", files.root.escape_debug());
        findings.warning(&key("root"), reason, "make it, or correct the path");
    }
    if files.index.is_empty() || files.index.contains('/') || files.index.starts_with('.') {
        let reason = format!("`{}` is no name of a file", files.index.escape_debug());
        findings.error(&key("index"), reason, "write one such as \"index.html\"");
    }
}

fn check_respond(path: &str, respond: &Respond, findings: &mut Findings<'_>) {
    let status = respond.status;
    if !(200..=599).contains(&status) {
        let reason = format!("{status} is no status of an answer");
        findings.error(&format!("{path}.status"), reason, "write one from 200 to 599");
    }
    if matches!(status, 204 | 205 | 304) && !respond.body.is_empty() {
        let reason = format!("an answer with {status} has no body");
        findings.error(&format!("{path}.body"), reason, "remove it, or write another status");
    }
    for (name, value) in &respond.headers {
        let path = format!("{path}.headers.{name}");
        if !is_token(name) || !is_field_value(value) {
            findings.error_in_key(
                &path,
                "no header is like this",
                "write { \"x-name\" = \"value\" }",
            );
        } else if is_ours(name) {
            let reason = format!("`{name}` frames the message, and is the proxy's own");
            findings.error_in_key(&path, reason, "remove it");
        }
    }
}

fn check_compression(
    path: &str,
    compression: &Compression,
    route: &Route,
    findings: &mut Findings<'_>,
) {
    let key = |key: &str| format!("{path}.{key}");
    if route.respond.is_some() || route.redirect.is_some() || route.transcode.is_some() {
        let reason = "only answers of upstreams and files are compressed";
        findings.error_in_key(path, reason, "remove it");
    }
    let Compression { codings, types, min_body: _ } = compression;
    if codings.is_empty() || types.is_empty() {
        let empty = if codings.is_empty() { "codings" } else { "types" };
        let remedy = "leave it out for the default, or write compress = false";
        findings.error(&key(empty), "nothing would be compressed", remedy);
    }
    for (index, coding) in codings.iter().enumerate() {
        if codings[..index].contains(coding) {
            let reason = format!("`{}` is already in the list", coding.name());
            findings.error(&key(&format!("codings.{index}")), reason, "name it once");
        }
    }
    for (index, pattern) in types.iter().enumerate() {
        if !is_type(pattern) {
            let reason = format!("`{}` is no type of content", pattern.escape_debug());
            let remedy = "write one such as \"application/json\", \"text/*\" or \"*+json\"";
            findings.error(&key(&format!("types.{index}")), reason, remedy);
        }
    }
}

/// `application/json`, or with `*` for anything at one end.
fn is_type(pattern: &str) -> bool {
    let open = pattern.starts_with('*') || pattern.ends_with('*');
    let rest = pattern.strip_prefix('*').or_else(|| pattern.strip_suffix('*')).unwrap_or(pattern);
    let mut parts = rest.split('/');
    let whole = |part: &str| is_token(part) && !part.contains('*');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(kind), Some(subtype), None) => {
            [kind, subtype].iter().all(|part| whole(part) || (open && part.is_empty()))
        }
        (Some(part), None, None) => open && (part.is_empty() || whole(part)),
        _ => false,
    }
}
