//! A configuration as it was written: values that know their place.
//!
//! TOML and JSON are both read into this one tree, so that whatever is found wrong later, by the
//! types or by their meaning, can be pointed at.

use super::problem::Place;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
    /// It has been found wrong and reported: it counts as absent from then on, so that one pass
    /// finds the next mistake too.
    pub(super) dropped: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key of a table, with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Of the key.
    pub(super) place: Place,
    pub(super) node: Node,
}

/// One step from a table or list to a value in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// `routes[1].upstream`, for people and scripts to read.
pub(super) fn written(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Key(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
                match name.bytes().all(bare) && !name.is_empty() {
                    true => text.push_str(name),
                    false => text.push_str(&format!("{name:?}")),
                }
            }
        }
    }
    text
}

impl Node {
    pub(super) fn new(place: Place, value: Value) -> Self {
        Self { place, value, dropped: false }
    }

    /// The entries of a table; of anything else none.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Table(entries) => entries,
            _ => &[],
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.name == name)
    }

    /// What `steps` lead to.
    pub(super) fn at(&self, steps: &[Step]) -> Option<&Self> {
        steps.iter().try_fold(self, |node, step| match (step, &node.value) {
            (Step::Key(name), _) => node.get(name).map(|entry| &entry.node),
            (Step::Index(index), Value::List(items)) => items.get(*index),
            _ => None,
        })
    }

    /// Marks what `steps` lead to as absent; false if they lead to the root or nowhere.
    pub(super) fn drop_at(&mut self, steps: &[Step]) -> bool {
        let mut node = self;
        for step in steps {
            let next = match (step, &mut node.value) {
                (Step::Index(index), Value::List(items)) => items.get_mut(*index),
                (Step::Key(name), Value::Table(entries)) => entries
                    .iter_mut()
                    .find(|entry| entry.name == *name && !entry.node.dropped)
                    .map(|entry| &mut entry.node),
                _ => None,
            };
            let Some(next) = next else { return false };
            node = next;
        }
        !steps.is_empty() && !std::mem::replace(&mut node.dropped, true)
    }

    /// Follows a path such as `routes.1.upstream` as far as it leads: the steps taken, the place of
    /// the last key, and the place of its value. Names may hold dots themselves.
    pub(super) fn locate(&self, path: &str) -> Located {
        let mut located = Located { steps: Vec::new(), key: self.place, value: self.place };
        let mut node = self;
        let mut rest = path;
        while !rest.is_empty() {
            let after = |name: &str| {
                let tail = rest.strip_prefix(name)?;
                if tail.is_empty() { Some(tail) } else { tail.strip_prefix('.') }
            };
            let step = match &node.value {
                Value::Table(entries) => entries
                    .iter()
                    .filter_map(|entry| Some((entry, after(&entry.name)?)))
                    .min_by_key(|(_, tail)| tail.len())
                    .map(|(entry, tail)| {
                        (Step::Key(entry.name.clone()), entry.place, &entry.node, tail)
                    }),
                Value::List(items) => {
                    let (index, tail) = rest.split_once('.').unwrap_or((rest, ""));
                    let index = index.parse::<usize>().ok();
                    index.and_then(|index| {
                        let item = items.get(index)?;
                        Some((Step::Index(index), item.place, item, tail))
                    })
                }
                _ => None,
            };
            let Some((step, place, next, tail)) = step else { break };
            located.steps.push(step);
            (located.key, located.value) = (place, next.place);
            (node, rest) = (next, tail);
        }
        // What is not there is named all the same: the mistake may be its absence.
        located
            .steps
            .extend((!rest.is_empty()).then(|| rest.split('.').map(step)).into_iter().flatten());
        located
    }
}

/// Where a path leads.
pub(super) struct Located {
    pub(super) steps: Vec<Step>,
    pub(super) key: Place,
    pub(super) value: Place,
}

fn step(text: &str) -> Step {
    text.parse().map_or_else(|_| Step::Key(text.to_owned()), Step::Index)
}
