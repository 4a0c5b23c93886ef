//! What is wrong with a file, and where.

use std::collections::BTreeMap;

use super::decode::nearest;
use super::problem::{Place, Problem, Severity};
use super::tree::{self, Node};
use super::value::Duration;

/// Collects problems, with the places that their paths lead to.
pub(super) struct Findings<'a> {
    tree: &'a Node,
    problems: Vec<Problem>,
}

impl<'a> Findings<'a> {
    /// None yet, of the file that was read into `tree`.
    pub(super) fn of(tree: &'a Node) -> Self {
        Self { tree, problems: Vec::new() }
    }

    /// All of them, in the order of the text.
    pub(super) fn in_order(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| (problem.place.source, problem.place.start));
        self.problems
    }

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
        let near = nearest(name, known.keys().map(String::as_str));
        let remedy = match near {
            Some(near) => format!("did you mean `{near}`? Otherwise add `[{section}.{name}]`"),
            None => format!("add `[{section}.{name}]`"),
        };
        self.error(path, format!("{kind} `{name}` is not defined"), remedy);
    }

    /// `name`, at `path`, has to be fit for metrics, logs and addresses of the admin API.
    pub(super) fn name(&mut self, path: &str, name: &str) {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(allowed) {
            let reason = format!("`{}` cannot be a name", name.escape_debug());
            let remedy = format!("use at most {MAX_NAME} letters, digits, `-`, `_` and `.`");
            self.error_in_key(path, reason, remedy);
        }
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

const MAX_NAME: usize = 64;
