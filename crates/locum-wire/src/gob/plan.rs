//! How a peer's struct becomes one of ours.

use std::sync::{Arc, OnceLock};

use super::Field;
use super::facts::Facts;
use super::spelling::{self, Spellings};

/// How a peer's struct becomes one of ours: found out once, then used for every value.
#[derive(Debug)]
pub(super) struct Plan {
    type_name: &'static str,
    fields: &'static [&'static str],
    /// For each of the peer's fields, which of ours it is.
    ours: Box<[Option<u16>]>,
    /// For each of ours, which of the peer's it is.
    theirs: Box<[Option<u16>]>,
    /// Whether the two have something in common, or one has no fields at all.
    pub(super) makes_sense: bool,
    pub(super) facts: Arc<Facts>,
}

impl Plan {
    fn new(type_name: &'static str, fields: &'static [&'static str], wire: &[Field]) -> Self {
        let names: Vec<_> = fields.iter().map(|name| Spellings::of(name)).collect();
        // Every pair that fits, the best first; each field is used once.
        let mut pairs = Vec::new();
        for (theirs, field) in (0..).zip(wire) {
            let folded = spelling::folded(&field.name);
            let fits = |ours: &Spellings| ours.fit(&field.name, &folded);
            pairs
                .extend((0..).zip(&names).filter_map(|(ours, it)| Some((fits(it)?, theirs, ours))));
        }
        pairs.sort_unstable();
        let mut plan = Self {
            type_name,
            fields,
            ours: vec![None; wire.len()].into(),
            theirs: vec![None; fields.len()].into(),
            makes_sense: wire.is_empty() || fields.is_empty() || !pairs.is_empty(),
            facts: Facts::of(type_name, fields),
        };
        for (_, theirs, ours) in pairs {
            let (to, from) = (&mut plan.ours[theirs as usize], &mut plan.theirs[ours as usize]);
            if to.is_none() && from.is_none() {
                *to = Some(ours);
                *from = Some(theirs);
            }
        }
        plan
    }

    /// Which of our fields the peer's is, if the peer has so many; then `None` is that it is unknown.
    #[inline]
    pub(super) fn ours(&self, theirs: usize) -> Option<Option<u16>> {
        self.ours.get(theirs).copied()
    }

    /// Which of the peer's fields ours is.
    #[inline]
    pub(super) fn theirs(&self, ours: usize) -> Option<u16> {
        self.theirs.get(ours).copied().flatten()
    }

    /// Whether it is for this struct of ours. What is at the same place in memory for good is the same.
    #[inline]
    fn is_for(&self, type_name: &'static str, fields: &'static [&'static str]) -> bool {
        std::ptr::eq(self.type_name, type_name) && std::ptr::eq(self.fields, fields)
    }
}

/// The plans for one of a peer's structs: a list that only grows, read without a lock.
#[derive(Debug, Default)]
pub(super) struct Plans(OnceLock<Box<Link>>);

#[derive(Debug)]
struct Link {
    plan: Plan,
    next: Plans,
}

impl Plans {
    /// The plan for a struct of ours.
    #[inline]
    pub(super) fn plan(
        &self,
        type_name: &'static str,
        fields: &'static [&'static str],
        wire: &[Field],
    ) -> &Plan {
        let mut plans = self;
        loop {
            let link = plans.0.get_or_init(|| {
                Box::new(Link { plan: Plan::new(type_name, fields, wire), next: Self::default() })
            });
            if link.plan.is_for(type_name, fields) {
                return &link.plan;
            }
            plans = &link.next;
        }
    }
}
