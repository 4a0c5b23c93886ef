//! Finds out what a Rust type looks like: reads one, and writes down what it asks for.
//!
//! The type gets zeros, one element in each sequence and map, and something in each `Option`. What goes
//! wrong teaches, and the next run begins from the start: a value that is refused gives way to the next
//! candidate, and a type that meets itself is stopped at the `Option`, sequence or map that it was met in.

use std::any::type_name;

use serde::de::DeserializeOwned;

use self::describe::describe;
use self::tracer::{Tracer, plain};
use super::error::{Error, Kind};
use super::schema::{Node, NodeId};
use super::{Schema, SchemaError};

mod describe;
mod tracer;

pub(super) fn trace<T: DeserializeOwned>() -> Result<Schema, SchemaError> {
    let mut trace = Trace::new();
    loop {
        let mut root = BOOL;
        match T::deserialize(Tracer { trace: &mut trace, node: &mut root }) {
            Ok(_) => return trace.finish(plain(root)),
            Err(error) => trace.learn(&error).map_err(|text| {
                SchemaError(format!("{text} (in `{}`, as gob sees it)", type_name::<T>()))
            })?,
        }
    }
}

/// What is known so far.
struct Trace {
    nodes: Vec<Node>,
    structs: Vec<Struct>,
    /// What to do at each value and container, in the order in which they are met.
    choices: Vec<Choice>,
    /// How many of them were met in this run.
    met: usize,
    /// Those of the containers that this run is inside of.
    containers: Vec<usize>,
    /// The structs that this run is inside of, and the field of each.
    open: Vec<Open>,
    /// The last value that was given, and whether there is another candidate for it.
    last: Option<(usize, bool)>,
    /// A type met itself inside of that container.
    recursion: Option<(usize, NodeId)>,
    /// Why there is no way on.
    refused: Option<String>,
    runs: usize,
}

/// A struct of Rust's.
struct Struct {
    type_name: &'static str,
    fields: &'static [&'static str],
    /// Those that are no aliases, as far as is known, in the order in which they are given.
    given: Vec<&'static str>,
    node: NodeId,
}

#[derive(Clone, Copy)]
enum Choice {
    /// The value is this candidate, or the container is entered.
    Nth(usize),
    /// The container is not entered, since it is known to be this.
    Stop(NodeId),
}

struct Open {
    node: NodeId,
    name: &'static str,
    field: &'static str,
    /// How many containers were open when it was.
    containers: usize,
}

impl Trace {
    fn new() -> Self {
        use Node::{Bool, Byte, Bytes, Complex, Float, Int, Interface, String, Uint};
        Self {
            nodes: vec![Bool, Int, Uint, Float, Bytes, String, Complex, Interface, Byte],
            structs: Vec::new(),
            choices: Vec::new(),
            met: 0,
            containers: Vec::new(),
            open: Vec::new(),
            last: None,
            recursion: None,
            refused: None,
            runs: 0,
        }
    }

    /// Makes ready for another run, if the last has taught something.
    fn learn(&mut self, error: &Error) -> Result<(), String> {
        if let Some(text) = self.refused.take() {
            return Err(text);
        }
        if *error.kind() != Kind::Again {
            self.next_candidate().ok_or_else(|| {
                format!("{error}; it refuses every value that was tried to find out what it is")
            })?;
        }
        self.runs += 1;
        if self.runs > MOST_RUNS {
            return Err("it takes too long to find out what it is".to_owned());
        }
        self.met = 0;
        self.containers.clear();
        self.open.clear();
        self.last = None;
        Ok(())
    }

    /// The value given last is most likely what displeased.
    fn next_candidate(&mut self) -> Option<()> {
        let (at, true) = self.last? else { return None };
        self.choices.truncate(at + 1);
        let Some(Choice::Nth(nth)) = self.choices.last_mut() else { return None };
        *nth += 1;
        Some(())
    }

    fn choose(&mut self) -> Result<(usize, Choice), Error> {
        let at = self.met;
        if at >= MOST_VALUES {
            return Err(self.refuse("it has too many parts"));
        }
        if at == self.choices.len() {
            self.choices.push(Choice::Nth(0));
        }
        self.met += 1;
        Ok((at, self.choices[at]))
    }

    fn candidate<T: Copy>(&mut self, candidates: &[T]) -> Result<T, Error> {
        let (at, choice) = self.choose()?;
        let nth = match choice {
            Choice::Nth(nth) => nth,
            // Only where a type reads differently in each run.
            Choice::Stop(_) => return Err(Error::new(Kind::Again)),
        };
        self.last = Some((at, nth + 1 < candidates.len()));
        candidates.get(nth).copied().ok_or_else(|| Error::new(Kind::Again))
    }

    #[cold]
    fn refuse(&mut self, why: impl Into<String>) -> Error {
        let why = why.into();
        let text = match self.open.last() {
            Some(open) => format!("field `{}` of `{}`: {why}", open.field, open.name),
            None => why,
        };
        self.refused.get_or_insert_with(|| text.clone());
        Error::text(text)
    }

    /// What the inside of the container `at` came to. A type that met itself there stops there from now on.
    fn leave<T>(
        &mut self,
        at: usize,
        result: Result<T, Error>,
        whole: impl FnOnce(&mut Self, NodeId) -> NodeId,
    ) -> Result<T, Error> {
        self.containers.pop();
        match self.recursion {
            Some((container, id)) if container == at && result.is_err() => {
                self.recursion = None;
                let node = whole(self, id);
                self.choices.truncate(at);
                self.choices.push(Choice::Stop(node));
                Err(Error::new(Kind::Again))
            }
            _ => result,
        }
    }

    fn intern(&mut self, node: Node) -> NodeId {
        self.nodes.iter().position(|it| *it == node).unwrap_or_else(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        })
    }

    fn slice(&mut self, elem: NodeId) -> NodeId {
        if elem == BYTE { BYTES } else { self.intern(Node::Slice { elem }) }
    }

    /// Where in `structs` this one is.
    fn the_struct(
        &mut self,
        type_name: &'static str,
        name: &'static str,
        fields: &'static [&'static str],
    ) -> usize {
        let known = |it: &Struct| it.type_name == type_name && it.fields == fields;
        self.structs.iter().position(known).unwrap_or_else(|| {
            // Not interned: the types of its fields are still to come.
            let node = self.nodes.len();
            self.nodes.push(Node::Struct { name, fields: Vec::new() });
            self.structs.push(Struct { type_name, fields, given: fields.to_vec(), node });
            self.structs.len() - 1
        })
    }

    /// A field was given twice, the second time as `last`: one of the two names is an alias.
    fn alias(&mut self, at: usize, first_name: &'static str, last: &'static str) -> Error {
        let given = &mut self.structs[at].given;
        if last != first_name {
            given.retain(|it| *it != last);
        } else if given.first() != Some(&first_name) {
            // The alias was given before. The next time it is not.
            given.retain(|it| *it != first_name);
            given.insert(0, first_name);
        } else {
            return self.refuse(format!("field `{last}` cannot be read"));
        }
        Error::new(Kind::Again)
    }

    fn finish(self, root: NodeId) -> Result<Schema, SchemaError> {
        let (types, id) = describe(&self.nodes, root)?;
        Ok(Schema::new(types, id, self.nodes.into_boxed_slice(), root))
    }
}

// The first nodes of every trace.
const BOOL: NodeId = 0;
const INT: NodeId = 1;
const UINT: NodeId = 2;
const FLOAT: NodeId = 3;
const BYTES: NodeId = 4;
const STRING: NodeId = 5;
const COMPLEX: NodeId = 6;
const INTERFACE: NodeId = 7;
/// An unsigned number of one byte: a sequence of them is bytes.
const BYTE: NodeId = 8;

const MOST_VALUES: usize = 1 << 20;
const MOST_RUNS: usize = 4096;
