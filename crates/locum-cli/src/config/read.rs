//! From files to one tree: TOML or JSON, with what they include.

use std::fs;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::json;
use super::problem::{Place, Problem, Source, Sources};
use super::tree::{Entry, Node, Value};

/// How a configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Toml,
    Json,
}

/// Reads `path` and what it includes.
pub(super) fn read(path: &Path, sources: &mut Sources, problems: &mut Vec<Problem>) -> Node {
    let mut tree = read_one(path, Place::default(), "file", sources, problems);
    let Some(include) = tree.get("include").cloned() else { return tree };
    if let Value::Table(entries) = &mut tree.value {
        entries.retain(|entry| entry.name != "include");
    }
    let Value::List(patterns) = &include.node.value else {
        let reason = "it is not a list";
        let remedy = "write a list of files: include = [\"conf.d/*.toml\"]";
        problems.push(Problem::error(include.place, "include", reason, remedy));
        return tree;
    };
    for (index, pattern) in patterns.iter().enumerate() {
        let key = format!("include[{index}]");
        let Value::Text(text) = &pattern.value else {
            let remedy = "name a file, or several by `*`";
            problems.push(Problem::error(pattern.place, key, "it is not a text", remedy));
            continue;
        };
        match expand(path, text, &mut sources.folders) {
            Err(error) => {
                let reason = format!("cannot read `{text}`: {error}");
                let remedy = "name a readable file, relative to this one";
                problems.push(Problem::error(pattern.place, key, reason, remedy));
            }
            Ok(files) => {
                for file in files {
                    let part = read_one(&file, pattern.place, &key, sources, problems);
                    merge(&mut tree, part, sources, problems);
                }
            }
        }
    }
    tree
}

fn read_one(
    path: &Path,
    named_at: Place,
    key: &str,
    sources: &mut Sources,
    problems: &mut Vec<Problem>,
) -> Node {
    let source = sources.files.len();
    let empty = Node::new(Place { source, ..Place::default() }, Value::Table(Vec::new()));
    let text = match fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        failed => {
            let why = match failed {
                Err(error) => error.to_string(),
                _ => "it is not UTF-8 text".to_owned(),
            };
            // The file named on the command line has no other place than itself.
            if sources.files.is_empty() {
                sources.files.push(Source { path: path.to_owned(), text: String::new() });
            }
            let reason = format!("cannot read `{}`: {why}", path.display());
            problems.push(Problem::error(named_at, key, reason, "name a readable file"));
            return empty;
        }
    };
    let syntax = match path.extension() {
        Some(extension) if extension == "json" => Syntax::Json,
        // Something such as a pipe. No TOML begins with a brace.
        None if text.trim_start().starts_with('{') => Syntax::Json,
        _ => Syntax::Toml,
    };
    let tree = parse(&text, syntax, source, problems);
    sources.files.push(Source { path: path.to_owned(), text });
    tree
}

/// Reads `text`, the `source`th file.
pub(super) fn parse(
    text: &str,
    syntax: Syntax,
    source: usize,
    problems: &mut Vec<Problem>,
) -> Node {
    let malformed = |start, end, reason: String| {
        Problem::error(Place { source, start, end }, "syntax", reason, "mend the text here")
    };
    if syntax == Syntax::Json {
        return json::parse(text, source).unwrap_or_else(|error| {
            problems.push(malformed(error.at, error.at, error.reason));
            Node::new(Place { source, ..Place::default() }, Value::Table(Vec::new()))
        });
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    problems.extend(errors.iter().map(|error| {
        let span = error.span().unwrap_or_default();
        let reason = error.message().replace('\n', ", ");
        malformed(span.start, span.end, reason)
    }));
    let span = table.span();
    let place = Place { source, start: span.start, end: span.start };
    Node::new(place, Value::Table(entries(table.into_inner(), source, problems)))
}

fn entries(table: DeTable<'_>, source: usize, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| {
            let span = key.span();
            let place = Place { source, start: span.start, end: span.end };
            let name = key.into_inner().into_owned();
            let node = node(value, &name, source, problems);
            Entry { name, place, node }
        })
        .collect();
    // In the order of the file; the table was in that of the alphabet.
    entries.sort_by_key(|entry| entry.place.start);
    entries
}

fn node(
    value: Spanned<DeValue<'_>>,
    key: &str,
    source: usize,
    problems: &mut Vec<Problem>,
) -> Node {
    let span = value.span();
    let place = Place { source, start: span.start, end: span.end };
    let mut wrong = |reason: &str, remedy: &str| {
        problems.push(Problem::error(place, key, reason, remedy));
        Value::Bool(false)
    };
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => wrong("the number is out of range", "write one of at most 18 digits"),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => Value::Float(number),
            _ => wrong("it is not a finite number", "write a number such as 0.5"),
        },
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(_) => wrong("no key takes a date", "write a text or a number"),
        DeValue::Array(items) => {
            Value::List(items.into_iter().map(|item| node(item, key, source, problems)).collect())
        }
        DeValue::Table(table) => Value::Table(entries(table, source, problems)),
    };
    Node::new(place, value)
}

/// The files that `pattern` names, relative to the folder of `base`, in the order of their names.
fn expand(base: &Path, pattern: &str, folders: &mut Vec<PathBuf>) -> std::io::Result<Vec<PathBuf>> {
    let path = base.parent().map_or_else(|| PathBuf::from(pattern), |folder| folder.join(pattern));
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains('*') {
        return Ok(vec![path]);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    folders.push(folder.to_owned());
    let mut files = Vec::new();
    for file in fs::read_dir(folder)? {
        let file = file?;
        if matches(&name, &file.file_name().to_string_lossy()) {
            files.push(file.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Whether `name` is like `pattern`, in which `*` stands for anything; hidden files have to be named.
fn matches(pattern: &str, name: &str) -> bool {
    fn like(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([b'*', pattern @ ..], _) => (0..=name.len()).any(|at| like(pattern, &name[at..])),
            ([expected, pattern @ ..], [found, name @ ..]) => {
                expected == found && like(pattern, name)
            }
            (pattern, name) => pattern.is_empty() && name.is_empty(),
        }
    }
    (!name.starts_with('.') || pattern.starts_with('.'))
        && like(pattern.as_bytes(), name.as_bytes())
}

/// Adds `part` to `tree`: named things beside those there, routes after them.
fn merge(tree: &mut Node, part: Node, sources: &Sources, problems: &mut Vec<Problem>) {
    let Value::Table(added) = part.value else { return };
    let Value::Table(entries) = &mut tree.value else { return };
    for entry in added {
        if entry.name == "include" {
            let reason = "an included file may not include others";
            problems.push(Problem::error(entry.place, "include", reason, "include it at the top"));
            continue;
        }
        let Some(present) = entries.iter_mut().find(|present| present.name == entry.name) else {
            entries.push(entry);
            continue;
        };
        match (&mut present.node.value, entry.node.value) {
            (Value::List(present), Value::List(more)) => present.extend(more),
            (Value::Table(present), Value::Table(more)) if NAMED.contains(&&*entry.name) => {
                for named in more {
                    match present.iter().find(|present| present.name == named.name) {
                        Some(first) => {
                            let key = format!("{}.{}", entry.name, named.name);
                            problems.push(twice(named.place, &key, first.place, sources));
                        }
                        None => present.push(named),
                    }
                }
            }
            _ => problems.push(twice(entry.place, &entry.name, present.place, sources)),
        }
    }
}

fn twice(place: Place, key: &str, first: Place, sources: &Sources) -> Problem {
    let (path, line, _) = sources.position(first);
    let reason = format!("it is already given at {path}:{line}");
    Problem::error(place, key, reason, "keep one of them")
}

/// The sections whose tables may be spread over several files.
const NAMED: [&str; 4] = ["listeners", "upstreams", "policies", "auth"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_but_a_leading_dot() {
        assert!(matches("*.toml", "a.toml") && matches("*", "x") && matches("a*b*c", "a1b22c"));
        assert!(
            !matches("*.toml", ".a.toml")
                && !matches("*.toml", "a.tom")
                && !matches("a*b*c", "abd")
        );
        assert!(matches("*-*.toml", "é-1.toml") && matches("a*.b", "a.b"));
    }
}
