//! Types as people write them down.

use std::fmt;

use super::{Described, Field, OpaqueKind, Type, TypeId, Types};
use crate::rpc::Limits;

/// A type as somebody wrote it down.
///
/// ```
/// use locum_wire::gob::{Declared, Typed};
/// use locum_wire::rpc::Limits;
/// let named = |name: &str| Declared::Named(name.to_owned());
/// let args = Declared::Struct(vec![
///     ("Price".to_owned(), named("float")),
///     ("Tags".to_owned(), named("map[string][]uint")),
/// ]);
/// let args = args.describe()?;
/// let json = r#"{"Price":3,"Tags":{"a":[1]}}"#;
/// let typed = Typed::from_json(json, Some((&args.types, args.id)), &Limits::default())?;
/// assert_eq!(typed.to_json(&Limits::default())?, json);
///
/// let error = named("[]double").describe().unwrap_err();
/// assert!(error.to_string().starts_with("\"double\" is no type: write int, uint, float,"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declared {
    /// `int`, `uint`, `float`, `bool`, `string`, `bytes`, `time`, `[]T` or `map[K]V`; the last two of types that
    /// have a name, too.
    Named(String),
    /// The names and the types of fields, in their order.
    Struct(Vec<(String, Self)>),
}

/// What was written down is no type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeclared {
    /// The names of the fields that lead to it, from the outside in.
    pub fields: Vec<String>,
    /// What is wrong.
    pub reason: String,
    /// What to write instead.
    pub remedy: &'static str,
}

impl Declared {
    /// The type as gob has it.
    ///
    /// # Errors
    ///
    /// A word is none of those above, two fields have one name, or it nests deeper or has more fields than
    /// values may.
    pub fn describe(&self) -> Result<Described, Undeclared> {
        let mut types = Types::new();
        let id = self.add(&mut types, Limits::default())?;
        Ok(Described::of(&types, id).expect("each part was added before what it is part of"))
    }

    fn add(&self, types: &mut Types, limits: Limits) -> Result<TypeId, Undeclared> {
        let fields = match self {
            Self::Named(word) => return named(word, types, limits.nesting),
            Self::Struct(fields) => fields,
        };
        let nesting = limits.nesting.checked_sub(1).ok_or_else(too_deep)?;
        let limits = Limits { nesting, ..limits };
        if fields.len() > limits.fields {
            let reason = format!("it has more than {} fields", limits.fields);
            return Err(Undeclared::new(&reason, "write fewer"));
        }
        let mut made: Vec<Field> = Vec::with_capacity(fields.len());
        for (name, declared) in fields {
            let within = |error: Undeclared| error.within(name);
            if name.is_empty() {
                return Err(Undeclared::new("a field has no name", "give it one"));
            }
            if made.iter().any(|field| *field.name == **name) {
                return Err(within(Undeclared::new("the field is there twice", "write it once")));
            }
            let id = declared.add(types, limits).map_err(within)?;
            made.push(Field { name: name.as_str().into(), id });
        }
        add(types, Type::Struct { name: Box::default(), fields: made.into() })
    }
}

/// The type that a word names.
fn named(word: &str, types: &mut Types, nesting: usize) -> Result<TypeId, Undeclared> {
    if let Some(id) = simple(word, types)? {
        return Ok(id);
    }
    let unknown = || Undeclared::new(&format!("{:?} is no type", shortened(word)), TYPES);
    let nesting = || nesting.checked_sub(1).ok_or_else(too_deep);
    if let Some(elem) = word.strip_prefix("[]") {
        let elem = named(elem, types, nesting()?)?;
        return add(types, Type::Slice { name: Box::default(), elem });
    }
    let (key, elem) =
        word.strip_prefix("map[").and_then(|rest| rest.split_once(']')).ok_or_else(unknown)?;
    let key = match simple(key, types)? {
        Some(id) if id != TypeId::BYTES => id,
        _ => {
            let key = shortened(key);
            return Err(Undeclared::new(&format!("{key:?} is no type of keys"), KEYS));
        }
    };
    let elem = named(elem, types, nesting()?)?;
    add(types, Type::Map { name: Box::default(), key, elem })
}

/// The type of a word that is not made of others.
fn simple(word: &str, types: &mut Types) -> Result<Option<TypeId>, Undeclared> {
    Ok(Some(match word {
        "int" => TypeId::INT,
        "uint" => TypeId::UINT,
        "float" => TypeId::FLOAT,
        "bool" => TypeId::BOOL,
        "string" => TypeId::STRING,
        "bytes" => TypeId::BYTES,
        "time" => add(types, Type::Opaque { name: "Time".into(), kind: OpaqueKind::GobEncoder })?,
        _ => return Ok(None),
    }))
}

fn add(types: &mut Types, kind: Type) -> Result<TypeId, Undeclared> {
    if types.len() >= Types::MOST {
        return Err(Undeclared::new("it is made of too many types", "write fewer"));
    }
    Ok(types.add(kind))
}

fn too_deep() -> Undeclared {
    Undeclared::new("it nests deeper than values may", "write one that is flatter")
}

/// As much of a word as a message should show.
fn shortened(word: &str) -> &str {
    word.char_indices().nth(40).map_or(word, |(end, _)| &word[..end])
}

impl Undeclared {
    fn new(reason: &str, remedy: &'static str) -> Self {
        Self { fields: Vec::new(), reason: reason.to_owned(), remedy }
    }

    /// The same, of a field that is called so.
    fn within(mut self, field: &str) -> Self {
        self.fields.insert(0, field.to_owned());
        self
    }
}

impl fmt::Display for Undeclared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.fields.is_empty() {
            write!(f, "{}: ", self.fields.join("."))?;
        }
        write!(f, "{}: {}", self.reason, self.remedy)
    }
}

impl std::error::Error for Undeclared {}

const TYPES: &str =
    "write int, uint, float, bool, string, bytes, time, []T, map[K]V, or a table of fields";
const KEYS: &str = "write int, uint, float, bool, string or time";
