//! What was defined on a stream that is written.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

use rustc_hash::{FxHashMap, FxHasher};

use super::groups::groups;
use super::{Corrupt, Type, TypeId, Types, wire_type};
use crate::rpc::Limits;

/// The numbers that a stream gives to types, from 65 on.
///
/// Types that are made the same way share a number, whoever they come from: the same names, the same fields,
/// made the same way in turn. So a stream that carries what many others bring defines no more than is different.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    /// Every type once, its parts named by their places here.
    shapes: Vec<Shape>,
    /// Where the groups are that hash to a number: the first shape of each. See [`groups`].
    places: FxHashMap<u64, Vec<usize>>,
    /// What has a number, in the order of their numbers.
    sent: Vec<TypeId>,
    /// How many bytes all descriptions have, about.
    weight: usize,
    memory: Memory,
}

#[derive(Debug)]
struct Shape {
    described: Type,
    /// Whether there may be an interface in it, however deep.
    has_interface: bool,
    sent: Option<TypeId>,
}

impl Definitions {
    /// The number of a type; before it has one, appends the messages that define the type and all that it is
    /// made of, each before its parts. Never more than a peer with these limits takes.
    ///
    /// # Errors
    ///
    /// `types` does not define one of them, or there are too many; nothing was appended.
    #[inline]
    pub(crate) fn send(
        &mut self,
        out: &mut Vec<u8>,
        types: &Types,
        id: TypeId,
        limits: &Limits,
    ) -> Result<TypeId, Corrupt> {
        if id.is_built_in() {
            return types.get(id).map(|_| id).ok_or(Corrupt::UnknownType);
        }
        let known = self.memory.get(types, id);
        if let Some(Known::At(place)) = known
            && let Some(number) = self.shapes.get(index(place)).and_then(|shape| shape.sent)
        {
            return Ok(number);
        }
        self.send_unknown(out, types, id, known, limits)
    }

    #[cold]
    fn send_unknown(
        &mut self,
        out: &mut Vec<u8>,
        types: &Types,
        id: TypeId,
        known: Option<Known>,
        limits: &Limits,
    ) -> Result<TypeId, Corrupt> {
        let place = match known {
            Some(Known::At(place)) => place,
            Some(Known::Lacks(part)) if types.get(part).is_none() => {
                return Err(Corrupt::UnknownType);
            }
            _ => self.place(types, id, limits)?,
        };
        Ok(self.define(out, place))
    }

    /// A type and all that it is made of, in types of its own, under the numbers that a stream which had nothing
    /// but this type would give them.
    ///
    /// # Errors
    ///
    /// `types` does not define one of them.
    pub(crate) fn closure(mut self, types: &Types, id: TypeId) -> Result<(Types, TypeId), Corrupt> {
        let number = self.send(&mut Vec::new(), types, id, &Limits::NONE)?;
        Ok((self.types(), number))
    }

    /// The types that have a number, under it.
    pub(crate) fn types(&self) -> Types {
        let mut types = Types::new();
        for place in self.sent.iter().take(Types::MOST) {
            let described = self.shapes[index(*place)].described.map_inner(|id| self.number(id));
            let defined = types.define(self.number(*place), described);
            debug_assert!(defined, "each has a number of its own, and there is room");
        }
        types
    }

    /// How many types have a number.
    pub(crate) fn len(&self) -> usize {
        self.sent.len()
    }

    /// Whether more than half of what a peer with these limits takes is defined.
    pub(crate) fn is_worn(&self, limits: &Limits) -> bool {
        self.shapes.len() > limits.types / 2 || self.weight > limits.definitions / 2
    }

    /// Whether there may be interfaces in values of the type that was given this number.
    pub(crate) fn has_interface(&self, number: TypeId) -> bool {
        match number.0 - FIRST_NUMBER {
            ..0 => number == TypeId::INTERFACE,
            sent => self.place_has_interface(self.sent[sent as usize]),
        }
    }

    fn place_has_interface(&self, place: TypeId) -> bool {
        match place.0 {
            ..TypeId::FIRST => place == TypeId::INTERFACE,
            _ => self.shapes.get(index(place)).is_some_and(|shape| shape.has_interface),
        }
    }

    /// Gives numbers to a shape and its parts, outer before inner, and appends what they are.
    fn define(&mut self, out: &mut Vec<u8>, place: TypeId) -> TypeId {
        let first = self.sent.len();
        let mut left = vec![place];
        while let Some(place) = left.pop() {
            if place.0 < TypeId::FIRST || self.shapes[index(place)].sent.is_some() {
                continue;
            }
            let number =
                FIRST_NUMBER.saturating_add(i32::try_from(self.sent.len()).unwrap_or(i32::MAX));
            let shape = &mut self.shapes[index(place)];
            shape.sent = Some(TypeId(number));
            let parts = left.len();
            left.extend(shape.described.inner());
            left[parts..].reverse();
            self.sent.push(place);
        }
        for place in &self.sent[first..] {
            let described = &self.shapes[index(*place)].described;
            wire_type::put(out, self.number(*place), described, |id| self.number(id));
        }
        self.number(place)
    }

    fn number(&self, place: TypeId) -> TypeId {
        if place.0 < TypeId::FIRST {
            return place;
        }
        self.shapes[index(place)].sent.expect("it was given a number before anybody asks for it")
    }

    /// The place of a type, and those of all that it is made of, found or made.
    fn place(&mut self, types: &Types, id: TypeId, limits: &Limits) -> Result<TypeId, Corrupt> {
        let mut places = FxHashMap::default();
        let known = |part| match self.memory.get(types, part) {
            Some(Known::At(place)) => places.insert(part, place).is_none(),
            _ => false,
        };
        let groups = groups(types, id, known).map_err(|part| {
            self.memory.keep(types, [(id, Known::Lacks(part))]);
            Corrupt::UnknownType
        })?;
        let before = (self.shapes.len(), self.weight);
        for group in groups {
            self.place_group(types, &group, &mut places)?;
        }
        if self.shapes.len() > limits.types || self.weight > limits.definitions {
            self.take_back(before);
            return Err(Corrupt::Definitions);
        }
        let place = places.get(&id).copied().ok_or(Corrupt::UnknownType)?;
        self.memory.keep(types, places.into_iter().map(|(id, place)| (id, Known::At(place))));
        Ok(place)
    }

    /// The same of types that are part of each other, or of one alone; their parts have places.
    fn place_group(
        &mut self,
        types: &Types,
        group: &[TypeId],
        places: &mut FxHashMap<TypeId, TypeId>,
    ) -> Result<(), Corrupt> {
        let kinds = group.iter().map(|id| types.get(*id).ok_or(Corrupt::UnknownType));
        let kinds: Vec<_> = kinds.collect::<Result<_, _>>()?;
        let within: FxHashMap<_, _> = group.iter().copied().zip(0..).collect();
        // Where a part is, if the group begins at `first`.
        let part = |id: TypeId, first: usize| match within.get(&id) {
            _ if id.is_built_in() => id,
            Some(at) => place_at(first + at),
            None => places.get(&id).copied().unwrap_or(id),
        };
        let mut hasher = FxHasher::default();
        for kind in &kinds {
            kind.hash_like(&mut hasher);
            kind.inner().for_each(|id| part(id, 0).hash(&mut hasher));
        }
        let alike = self.places.entry(hasher.finish()).or_default();
        let same = alike.iter().copied().find(|first| {
            let shapes = self.shapes[*first..].iter().map(|shape| &shape.described);
            kinds.len() <= shapes.len()
                && kinds.iter().zip(shapes).all(|(kind, shape)| {
                    kind.is_like(shape) && kind.inner().map(|id| part(id, *first)).eq(shape.inner())
                })
        });
        let first = match same {
            Some(first) => first,
            None => {
                let first = self.shapes.len();
                alike.push(first);
                let shapes: Vec<_> =
                    kinds.iter().map(|kind| kind.map_inner(|id| part(id, first))).collect();
                // Parts within the group are no shapes yet, and have none that others of it have not.
                let has_interface =
                    shapes.iter().flat_map(Type::inner).any(|id| self.place_has_interface(id));
                for described in shapes {
                    self.weight += described.weight();
                    self.shapes.push(Shape { described, has_interface, sent: None });
                }
                first
            }
        };
        places.extend(group.iter().zip(first..).map(|(id, at)| (*id, place_at(at))));
        Ok(())
    }

    /// Takes back the last shapes, which nothing knows of yet.
    fn take_back(&mut self, (shapes, weight): (usize, usize)) {
        if self.shapes.len() > shapes {
            self.shapes.truncate(shapes);
            self.weight = weight;
            self.places.values_mut().for_each(|alike| alike.retain(|first| *first < shapes));
            self.places.retain(|_, alike| !alike.is_empty());
        }
    }
}

/// What was found out of types before, by whose they are. It is kept as long as those are.
#[derive(Debug, Default)]
struct Memory {
    known: FxHashMap<(u64, TypeId), Known>,
    /// Whether those with this serial are still there.
    alive: FxHashMap<u64, Weak<u64>>,
    /// How many are known when next it is looked for those that are gone.
    full: usize,
}

#[derive(Clone, Copy, Debug)]
enum Known {
    /// Its place.
    At(TypeId),
    /// It has none, since it is made of this, which is not defined.
    Lacks(TypeId),
}

impl Memory {
    #[inline]
    fn get(&self, types: &Types, id: TypeId) -> Option<Known> {
        self.known.get(&(**types.serial(), id)).copied()
    }

    fn keep(&mut self, types: &Types, known: impl IntoIterator<Item = (TypeId, Known)>) {
        let serial = types.serial();
        self.alive.entry(**serial).or_insert_with(|| Arc::downgrade(serial));
        self.known.extend(known.into_iter().map(|(id, known)| ((**serial, id), known)));
        if self.known.len() >= self.full {
            self.alive.retain(|_, serial| serial.strong_count() > 0);
            self.known.retain(|(serial, _), _| self.alive.contains_key(serial));
            self.full = (2 * self.known.len()).max(MANY);
        }
    }
}

/// Places look like numbers, so that a [`Type`] can have them in it.
fn place_at(index: usize) -> TypeId {
    TypeId(TypeId::FIRST.saturating_add(i32::try_from(index).unwrap_or(i32::MAX)))
}

fn index(place: TypeId) -> usize {
    (place.0 - TypeId::FIRST) as usize
}

/// What Go begins with up to 1.26.
const FIRST_NUMBER: i32 = 65;

/// So many are not worth looking for those that are gone.
const MANY: usize = 1024;
