//! The configuration: read whole, judged whole, and only then believed.
//!
//! Text becomes a tree that knows its places ([`read`]), the tree becomes a [`File`] ([`decode`]),
//! the file's meaning is checked ([`check`]); each pass tells all it finds. What passes becomes the
//! settings of a plan ([`Config::settings`]).

use std::path::{Path, PathBuf};

use locum_proxy::access::Format;
use locum_proxy::plan;

use self::file::File;
use self::problem::{Place, Problem, Severity, Source, Sources};
use self::tree::{Node, Value};
use crate::demo;

mod answers;
pub(crate) mod attached;
mod auth;
mod check;
mod decode;
mod discover;
mod endpoints;
mod fields;
pub(crate) mod file;
mod findings;
mod health;
mod json;
mod keys;
mod later;
mod lint;
mod listeners;
pub(crate) mod problem;
mod read;
mod resolve;
mod routes;
pub(crate) mod scenario;
mod secret;
pub(crate) mod suspect;
mod telemetry;
mod tls;
mod token_file;
mod traffic;
mod tree;
mod types;
mod upstreams;
pub(crate) mod value;

/// A configuration without errors.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) file: File,
    /// What is allowed, but hardly meant.
    pub(crate) warnings: Vec<Problem>,
    pub(crate) sources: Sources,
    tree: Node,
}

/// A configuration with errors.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) problems: Vec<Problem>,
    pub(crate) sources: Sources,
}

impl Config {
    /// Reads the file at `path` and what it includes.
    pub(crate) fn load(path: &Path) -> Result<Self, Failure> {
        let (mut sources, mut problems) = (Sources::default(), Vec::new());
        let tree = read::read(path, &mut sources, &mut problems);
        Self::judge(tree, sources, problems)
    }

    /// Reads `text`, a configuration in TOML; it may include nothing.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        Self::parse_as(read::Syntax::Toml, name, text)
    }

    /// Reads `text`, a configuration in JSON; it may include nothing.
    pub(crate) fn parse_json(name: &str, text: &str) -> Result<Self, Failure> {
        Self::parse_as(read::Syntax::Json, name, text)
    }

    fn parse_as(syntax: read::Syntax, name: &str, text: &str) -> Result<Self, Failure> {
        let mut problems = Vec::new();
        let tree = read::parse(text, syntax, 0, &mut problems);
        let source = Source { path: PathBuf::from(name), text: text.to_owned() };
        let sources = Sources { files: vec![source], ..Sources::default() };
        Self::judge(tree, sources, problems)
    }

    /// The same configuration, with what the files hold now that it names.
    pub(crate) fn reread(&self) -> Result<Self, Failure> {
        Self::checked(self.file.clone(), self.sources.clone(), self.tree.clone())
    }

    /// The configuration of `locum run` without a file, after `edit`.
    pub(crate) fn embedded(edit: impl FnOnce(&mut File)) -> Result<Self, Failure> {
        let Self { mut file, sources, tree, .. } = Self::parse("default.toml", EMBEDDED)?;
        edit(&mut file);
        Self::checked(file, sources, tree)
    }

    /// A configuration that was never written down.
    pub(crate) fn built(file: File) -> Result<Self, Failure> {
        Self::checked(
            file,
            Sources::default(),
            Node::new(Place::default(), Value::Table(Vec::new())),
        )
    }

    fn judge(
        mut tree: Node,
        sources: Sources,
        mut problems: Vec<Problem>,
    ) -> Result<Self, Failure> {
        if !problems.is_empty() {
            return Err(Failure { problems, sources });
        }
        let Some(file) = decode::decode::<File>(&mut tree, &mut problems) else {
            problems.sort_by_key(|problem| (problem.place.source, problem.place.start));
            return Err(Failure { problems, sources });
        };
        Self::checked(file, sources, tree)
    }

    fn checked(file: File, mut sources: Sources, tree: Node) -> Result<Self, Failure> {
        sources.attached = attached::read(&file, &tree, &sources);
        let mut problems = check::check(&file, &tree, &sources.attached);
        problems.extend(token_file::judge(&file, &tree, &sources));
        let is_error = |problem: &Problem| problem.severity == Severity::Error;
        if problems.iter().any(is_error) {
            // Warnings may only follow from the errors: what is misnamed seems unused.
            problems.retain(is_error);
            return Err(Failure { problems, sources });
        }
        Ok(Self { file, warnings: problems, sources, tree })
    }

    /// What a plan is built from, with the demo backends at `demo`. Names of hosts are looked up.
    pub(crate) fn settings(&self, demo: demo::Addresses) -> Result<plan::Settings, Failure> {
        resolve::settings(&self.file, &self.sources.attached, demo)
            .map_err(|errors| self.failure(errors))
    }

    /// How lines of the access log are written.
    pub(crate) fn access_format(&self) -> Format {
        let written = self.file.log.access_format.as_deref();
        written.map_or(Format::Json, |text| Format::parse(text).expect("the check has read it"))
    }

    /// Whom traces are told, if anybody.
    pub(crate) fn telemetry(&self) -> Option<locum_proxy::telemetry::Settings> {
        let telemetry = self.file.telemetry.as_ref()?;
        Some(telemetry::resolve(telemetry, &self.sources.attached))
    }

    /// The keys whose values differ from `old` and that only a start looks at.
    pub(crate) fn needs_restart(&self, old: &Self) -> Vec<&'static str> {
        let (new, old) = (&self.file, &old.file);
        let listen = |file: &File| file.admin.as_ref().map(|admin| admin.listen.clone());
        let changed = [
            ("admin.listen", listen(new) != listen(old)),
            ("runtime.workers", new.runtime.workers != old.runtime.workers),
            ("runtime.seed", new.runtime.seed != old.runtime.seed),
            ("log", new.log != old.log),
            ("telemetry", new.telemetry != old.telemetry),
        ];
        changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
    }

    /// Warnings of hosts without an address. A file may be judged where its hosts are not known.
    pub(crate) fn unresolved(&self) -> Vec<Problem> {
        let failure = self.failure(resolve::unresolved(&self.file));
        let warning = |problem| Problem { severity: Severity::Warning, ..problem };
        failure.problems.into_iter().map(warning).collect()
    }

    /// `errors` of a plan, with the places in the text that they are about.
    pub(crate) fn failure(&self, errors: Vec<plan::Error>) -> Failure {
        let problem = |error: plan::Error| {
            let located = self.tree.locate(&error.path);
            let key = tree::written(&located.steps);
            Problem::error(located.value, key, error.reason, error.remedy)
        };
        let problems = errors.into_iter().map(problem).collect();
        Failure { problems, sources: self.sources.clone() }
    }
}

impl Failure {
    /// Every problem, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.problems.iter().map(|problem| self.sources.line(problem)).collect()
    }
}

/// What `locum run` runs without a file, and `locum print` prints.
pub(crate) const EMBEDDED: &str = include_str!("embedded/default.toml");

#[cfg(test)]
mod tests;
