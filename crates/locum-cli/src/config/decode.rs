//! From the tree to the types, finding every mistake and not only the first.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, IntoDeserializer as _, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::later;
use super::problem::{Place, Problem};
use super::tree::{self, Entry, Node, Step, Value};

/// Reads `tree` as a `T`. What does not fit is reported and then treated as absent, until the rest
/// does fit: so each mistake is told once, all in one pass.
pub(super) fn decode<T: DeserializeOwned>(
    tree: &mut Node,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let before = problems.len();
    loop {
        match T::deserialize(Cursor(tree)) {
            Ok(value) => return (problems.len() == before).then_some(value),
            Err(mut error) => {
                error.steps.reverse();
                problems.extend(error.problem(tree));
                if !tree.drop_at(&error.steps) {
                    return None;
                }
            }
        }
    }
}

/// The deserializer of one node.
#[derive(Clone, Copy)]
struct Cursor<'a>(&'a Node);

impl<'de> de::Deserializer<'de> for Cursor<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(value) => match u64::try_from(*value) {
                Ok(value) => visitor.visit_u64(value),
                Err(_) => visitor.visit_i64(*value),
            },
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_str(value),
            Value::List(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Value::Table(entries) => {
                visitor.visit_map(Entries { rest: entries.iter(), current: None })
            }
        }
        .map_err(|error| error.placed(self.0.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Table(entries) => {
                let entries = Entries { rest: entries.iter(), current: None };
                MapAccessDeserializer::new(entries).deserialize_enum(name, variants, visitor)
            }
            _ => self.deserialize_any(visitor),
        }
        .map_err(|error| error.placed(self.0.place))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// What is left of a list.
struct Items<'a>(std::iter::Enumerate<std::slice::Iter<'a, Node>>);

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some((index, node)) = self.0.find(|(_, node)| !node.dropped) else { return Ok(None) };
        seed.deserialize(Cursor(node))
            .map(Some)
            .map_err(|error| error.placed(node.place).under(Step::Index(index)))
    }
}

/// What is left of a table.
struct Entries<'a> {
    rest: std::slice::Iter<'a, Entry>,
    current: Option<&'a Entry>,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        self.current = self.rest.find(|entry| !entry.node.dropped);
        let Some(entry) = self.current else { return Ok(None) };
        seed.deserialize(StrDeserializer::<Error>::new(&entry.name))
            .map(Some)
            .map_err(|error| error.placed(entry.place).under(Step::Key(entry.name.clone())))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let entry = self.current.expect("serde asks for a key before its value");
        seed.deserialize(Cursor(&entry.node)).map_err(|mut error| {
            // What a table lacks is shown where the table is named.
            if let Kind::Missing(_) = error.kind
                && error.steps.is_empty()
            {
                error.place = Some(entry.place);
            }
            error.placed(entry.node.place).under(Step::Key(entry.name.clone()))
        })
    }
}

/// A value that does not fit.
#[derive(Debug)]
struct Error {
    kind: Kind,
    place: Option<Place>,
    /// From the value up to the root.
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Kind {
    UnknownKey(&'static [&'static str]),
    UnknownValue { found: String, expected: &'static [&'static str] },
    Wrong { found: String, expected: String },
    Missing(&'static str),
    Twice,
    Other(String),
}

impl Error {
    fn new(kind: Kind) -> Self {
        Self { kind, place: None, steps: Vec::new() }
    }

    /// The innermost place counts.
    fn placed(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }

    fn under(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// What to tell; nothing if a key lacks only because it was dropped.
    fn problem(&self, tree: &Node) -> Option<Problem> {
        let mut steps = self.steps.clone();
        let place = self.place.unwrap_or(tree.place);
        let (reason, remedy) = match &self.kind {
            Kind::UnknownKey(known) => {
                let Some(Step::Key(name)) = steps.last() else { return None };
                if later::knows_key(&steps) {
                    ("not available in this version".to_owned(), "remove it".to_owned())
                } else {
                    (format!("there is no key `{name}` here"), among(name, known))
                }
            }
            Kind::UnknownValue { found, .. } if later::knows_value(&steps, found) => {
                (format!("`{found}` is not available in this version"), "choose another".to_owned())
            }
            Kind::UnknownValue { found, expected } => {
                (format!("`{found}` is not one of its values"), among(found, expected))
            }
            Kind::Wrong { found, expected } => {
                (format!("found {found}"), format!("write {expected}"))
            }
            Kind::Missing(name) => {
                let table = tree.at(&self.steps)?;
                if table.get(name).is_some_and(|entry| entry.node.dropped) {
                    return None;
                }
                steps.push(Step::Key((*name).to_owned()));
                ("it is missing".to_owned(), format!("add `{name} = …`"))
            }
            Kind::Twice => ("it is given twice".to_owned(), "keep one of them".to_owned()),
            Kind::Other(text) => match text.split_once("; ") {
                Some((reason, remedy)) => (reason.to_owned(), remedy.to_owned()),
                // How texts of the policies are refused.
                None => match text.split_once(" is not ") {
                    Some((found, expected)) => {
                        let known: Vec<_> = expected.split('`').skip(1).step_by(2).collect();
                        let remedy = match nearest(found.trim_matches('`'), known.into_iter()) {
                            Some(near) => format!("did you mean `{near}`?"),
                            None => format!("write {expected}"),
                        };
                        (format!("found {found}"), remedy)
                    }
                    None => (text.clone(), "see `locum schema` for what fits".to_owned()),
                },
            },
        };
        Some(Problem::error(place, tree::written(&steps), reason, remedy))
    }
}

/// The remedy for a word that is not one of `known`.
pub(super) fn among(found: &str, known: &[&str]) -> String {
    if let Some(near) = nearest(found, known.iter().copied()) {
        return format!("did you mean `{near}`?");
    }
    match known {
        [] => "remove it".to_owned(),
        known => format!("write one of `{}`", known.join("`, `")),
    }
}

/// The word among `known` that `found` is most likely a misspelling of.
pub(super) fn nearest<'a>(found: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|word| {
            (word, strsim::damerau_levenshtein(&found.to_lowercase(), &word.to_lowercase()))
        })
        .filter(|(word, distance)| *distance <= 1 + word.len().min(found.len()) / 4)
        .min_by_key(|(_, distance)| *distance)
        .map(|(word, _)| word)
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(Kind::Other(text.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(Kind::Wrong { found: plain(&found), expected: readable(&expected.to_string()) })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(found: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownValue { found: found.to_owned(), expected })
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(Kind::UnknownKey(expected))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Kind::Missing(field))
    }

    fn duplicate_field(_: &'static str) -> Self {
        Self::new(Kind::Twice)
    }
}

/// A value in the words of the file, not of Rust.
fn plain(found: &Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("the number `{value}`"),
        Unexpected::Signed(value) => format!("the number `{value}`"),
        Unexpected::Float(value) => format!("the number `{value}`"),
        Unexpected::Str(value) => format!("the text {value:?}"),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// What serde expects, likewise.
fn readable(expected: &str) -> String {
    let most = match expected {
        "u8" => u64::from(u8::MAX),
        "u16" => u64::from(u16::MAX),
        "u32" => u64::from(u32::MAX),
        "u64" | "usize" => return "a whole number, 0 or more".to_owned(),
        "f64" => return "a number".to_owned(),
        "a string" => return "a text in quotes".to_owned(),
        "a boolean" => return "`true` or `false`".to_owned(),
        "a sequence" => return "a list".to_owned(),
        "a map" => return "a table".to_owned(),
        _ if expected.starts_with("struct ") => return "a table".to_owned(),
        _ => return expected.to_owned(),
    };
    format!("a whole number from 0 to {most}")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}

impl std::error::Error for Error {}
