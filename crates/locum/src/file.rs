//! A policy file, in a program.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use locum_policy::settings::{self, Settings};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The policies of a file, by name.
#[derive(Clone, Debug)]
pub struct Policies(BTreeMap<String, Policy>);

/// A policy, shared by all who use it. Cheap to clone; its clones have one state.
#[derive(Clone, Debug)]
pub struct Policy {
    engine: locum_policy::Policy,
    #[cfg(feature = "tokio")]
    clock: crate::Clock,
    seed: u64,
    calls: Arc<AtomicU64>,
}

impl Policies {
    /// Reads a policy file. A whole configuration of `locum run` is one too: of that only
    /// `[policies.*]` are used, and nothing else is judged.
    ///
    /// # Errors
    ///
    /// The first mistake, with its line and column.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Self::parse_seeded(text, RandomState::new().hash_one(text))
    }

    /// The same, with every random choice following from `seed`: the same calls at the same times are
    /// decided the same way.
    ///
    /// # Errors
    ///
    /// The first mistake, with its line and column.
    pub fn parse_seeded(text: &str, seed: u64) -> Result<Self, ParseError> {
        let malformed = |error: toml::de::Error| {
            ParseError::new(text, error.span().unwrap_or_default(), error.message())
        };
        let File { policies } = toml::from_str(text).map_err(malformed)?;
        let policies = policies.into_iter().map(|(name, settings)| {
            let engine = locum_policy::Policy::build(&name, &settings, seed, None)
                .map_err(|error| ParseError::of_setting(text, &name, &error))?;
            Ok((name, Policy::of(engine, seed)))
        });
        policies.collect::<Result<_, _>>().map(Self)
    }

    /// The policy of that name.
    pub fn get(&self, name: &str) -> Option<&Policy> {
        self.0.get(name)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.0.values()
    }
}

impl Policy {
    /// The policy `name` of the file at `path`, which is read now. Each reading has a state of its own:
    /// who wants one state for several users clones the policy.
    ///
    /// # Errors
    ///
    /// The file cannot be read, has a mistake, or no policy of that name.
    pub fn from_file(path: impl AsRef<Path>, name: &str) -> Result<Self, FileError> {
        let path = path.as_ref();
        let wrong = |reason| FileError { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(Reason::Read(error)))?;
        let policies = Policies::parse(&text).map_err(|error| wrong(Reason::Parse(error)))?;
        let policy = policies.get(name).cloned();
        policy.ok_or_else(|| {
            let known = policies.iter().map(|policy| policy.name().to_owned()).collect();
            wrong(Reason::Missing { name: name.to_owned(), known })
        })
    }

    /// A policy that is written down in the program.
    ///
    /// ```
    /// use std::time::Duration;
    /// use locum::{Policy, policy::Settings};
    /// let settings = Settings { timeout: Some(Duration::from_secs(2)), ..Settings::default() };
    /// let careful = Policy::new("careful", &settings)?;
    /// # Ok::<_, locum::policy::settings::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first setting that is out of range.
    pub fn new(name: &str, settings: &Settings) -> Result<Self, settings::Error> {
        let seed = RandomState::new().hash_one(name);
        let engine = locum_policy::Policy::build(name, settings, seed, None)?;
        Ok(Self::of(engine, seed))
    }

    fn of(engine: locum_policy::Policy, seed: u64) -> Self {
        Self {
            engine,
            #[cfg(feature = "tokio")]
            clock: crate::Clock::start(),
            seed,
            calls: Arc::default(),
        }
    }

    /// Its name in the file.
    pub fn name(&self) -> &str {
        self.engine.name()
    }

    /// The policy as [`run`](locum_policy::run()) takes it; also what shows how it stands and throws the
    /// switch of its breakers.
    pub const fn engine(&self) -> &locum_policy::Policy {
        &self.engine
    }

    /// What its times are read from.
    #[cfg(feature = "tokio")]
    pub const fn clock(&self) -> &crate::Clock {
        &self.clock
    }

    /// The seed of the next call: see [`Call::seed`](locum_policy::Call).
    pub fn next_seed(&self) -> u64 {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        locum_policy::seed::of_call(self.seed, number)
    }
}

/// What is read of a file.
#[derive(serde::Deserialize)]
struct File {
    #[serde(default)]
    policies: BTreeMap<String, Settings>,
}

/// Why a text is no policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong, and what to do about it.
    pub reason: String,
}

impl ParseError {
    fn new(text: &str, span: Range<usize>, reason: impl Into<String>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { line, column, reason: reason.into() }
    }

    fn of_setting(text: &str, policy: &str, error: &settings::Error) -> Self {
        let settings::Error { path, reason, remedy } = error;
        let reason = format!("policies.{policy}.{path}: {reason}; {remedy}");
        Self::new(text, place(text, policy, path), reason)
    }
}

/// There is no such policy to be had from a file.
#[derive(Debug)]
pub struct FileError {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Read(io::Error),
    Parse(ParseError),
    Missing { name: String, known: Vec<String> },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.reason {
            Reason::Read(error) => write!(f, "cannot read {path}: {error}"),
            Reason::Parse(error) => write!(f, "{path}:{error}"),
            Reason::Missing { name, known } => {
                write!(f, "{path}: there is no [policies.{name}]; ")?;
                match known.is_empty() {
                    true => f.write_str("there is no policy at all"),
                    false => write!(f, "there are: {}", known.join(", ")),
                }
            }
        }
    }
}

impl std::error::Error for FileError {}

/// Where the value at `path` of a policy stands, or the nearest thing around it that is written down.
fn place(text: &str, policy: &str, path: &str) -> Range<usize> {
    let Ok(root) = DeTable::parse(text) else { return 0..0 };
    let mut place = root.span();
    let mut table = root.get_ref();
    let mut path = format!("policies.{policy}.{path}");
    // The name of a method may hold dots; a path has it in quotes.
    path.retain(|character| character != '"');
    let mut rest = path.as_str();
    loop {
        let longest = table
            .iter()
            .filter_map(|(key, value)| {
                let tail = rest.strip_prefix(key.get_ref().as_ref())?;
                let tail = if tail.is_empty() { tail } else { tail.strip_prefix('.')? };
                Some((value, tail))
            })
            .min_by_key(|(_, tail)| tail.len());
        let Some((value, tail)) = longest else { return place };
        (place, rest) = (value.span(), tail);
        let Some(inner) = inner_table(value) else { return place };
        table = inner;
    }
}

/// The table of a value; of a list of tables (limits) there is no telling which is meant.
fn inner_table<'a, 'text>(value: &'a Spanned<DeValue<'text>>) -> Option<&'a DeTable<'text>> {
    match value.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.reason)
    }
}

impl std::error::Error for ParseError {}
