//! Names as small numbers, so that counting by name costs no string.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// The name of a listener, route, upstream, endpoint or policy, as metrics know it. A name keeps
/// its number for as long as the process lives, so a reload does not reset what was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Label(u32);

#[derive(Default)]
struct Names {
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

static NAMES: LazyLock<Mutex<Names>> = LazyLock::new(|| {
    let mut names = Names::default();
    for name in ["", "_other"] {
        names.number(name);
    }
    Mutex::new(names)
});

/// Endpoints that are found may be called anything, and no name is ever forgotten: those after so many are
/// counted as others.
const MOST: usize = 100_000;

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        if self.names.len() >= MOST {
            return Label::OTHER.0;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        self.numbers.insert(name, number);
        number
    }
}

impl Label {
    /// No name.
    pub(crate) const NONE: Self = Self(0);
    /// Everything that came after too many names.
    pub(crate) const OTHER: Self = Self(1);

    /// The label of `name`.
    pub(crate) fn of(name: &str) -> Self {
        Self(NAMES.lock().unwrap_or_else(PoisonError::into_inner).number(name))
    }

    /// The name.
    pub(crate) fn name(self) -> Arc<str> {
        let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        names.names.get(self.0 as usize).cloned().unwrap_or_default()
    }
}
