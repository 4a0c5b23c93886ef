//! The decision log: a line for every decision of a policy, in the words of the simulator.

use std::cell::RefCell;
use std::rc::Rc;

use locum_policy::{Event, Observer, Time, decision_log};

use crate::log::Writer;

/// A worker's end of the decision log.
pub(crate) struct Decisions {
    writer: Writer,
    /// The line that is being written.
    line: RefCell<Vec<u8>>,
}

impl Decisions {
    pub(crate) fn new(writer: Writer) -> Rc<Self> {
        Rc::new(Self { writer, line: RefCell::default() })
    }

    /// Writes what happened to the call of that number.
    pub(crate) fn write(&self, now: Time, call: u64, event: &Event<'_>) {
        let mut line = self.line.borrow_mut();
        line.clear();
        decision_log::write(&mut line, now, call, event);
        if !line.is_empty() {
            self.writer.write(&line);
        }
    }
}

/// Watches what time alone brings about, which is no call's.
pub(crate) struct Ticks<'a>(pub(crate) Option<&'a Decisions>);

impl Observer for Ticks<'_> {
    fn event(&self, now: Time, event: &Event<'_>) {
        if let Some(decisions) = self.0 {
            decisions.write(now, 0, event);
        }
    }
}
