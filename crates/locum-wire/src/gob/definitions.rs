//! What was defined on a stream that is written.

use rustc_hash::FxHashMap;

use super::{Corrupt, Type, TypeId, Types, wire_type};

/// The numbers that a stream gives to types, from 65 on.
///
/// Types that are made the same way share a number, whoever they come from: the same names, the same fields,
/// made the same way in turn. So a stream that carries what many others bring defines no more than is different.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    /// Every type once, its parts named by their places here.
    shapes: Vec<Shape>,
    /// Where a type is, by what it is.
    places: FxHashMap<Type, TypeId>,
    /// The same for types that are part of each other, as seen from the first of them: the places of all.
    rings: FxHashMap<Vec<Type>, Vec<TypeId>>,
    /// What has a number, in the order of their numbers.
    sent: Vec<TypeId>,
    /// Where types seen before are, by whose they are. Only a memory: it may be emptied at any time.
    known: FxHashMap<(u64, TypeId), TypeId>,
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
    /// made of, each before its parts.
    ///
    /// # Errors
    ///
    /// `types` does not define one of them; nothing was appended.
    #[inline]
    pub(crate) fn send(
        &mut self,
        out: &mut Vec<u8>,
        types: &Types,
        id: TypeId,
    ) -> Result<TypeId, Corrupt> {
        if id.0 < TypeId::FIRST {
            return types.get(id).map(|_| id).ok_or(Corrupt::UnknownType);
        }
        let known = self.known.get(&(types.serial(), id));
        match known.and_then(|place| self.shapes.get(index(*place))?.sent) {
            Some(number) => Ok(number),
            None => self.send_unknown(out, types, id),
        }
    }

    #[cold]
    fn send_unknown(
        &mut self,
        out: &mut Vec<u8>,
        types: &Types,
        id: TypeId,
    ) -> Result<TypeId, Corrupt> {
        let place = self.place(types, id)?;
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        self.known.insert((types.serial(), id), place);
        Ok(self.define(out, place))
    }

    /// A type and all that it is made of, in types of its own, under the numbers that a stream which had nothing
    /// but this type would give them.
    ///
    /// # Errors
    ///
    /// `types` does not define one of them.
    pub(crate) fn closure(mut self, types: &Types, id: TypeId) -> Result<(Types, TypeId), Corrupt> {
        let number = self.send(&mut Vec::new(), types, id)?;
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
            let described = self.shapes[index(*place)].described.map_inner(|id| self.number(id));
            wire_type::put(out, self.number(*place), &described);
        }
        self.number(place)
    }

    fn number(&self, place: TypeId) -> TypeId {
        if place.0 < TypeId::FIRST {
            return place;
        }
        self.shapes[index(place)].sent.expect("it was given a number before anybody asks for it")
    }

    /// Finds the shape of a type, and the shapes of all that it is made of.
    ///
    /// This is Tarjan's algorithm for the groups of types that are part of each other (most groups have one
    /// type, which is not part of itself), since it meets inner groups first, so that what an outer one is made
    /// of has been found. It goes without recursion, as a peer decides how deep types are.
    fn place(&mut self, types: &Types, root: TypeId) -> Result<TypeId, Corrupt> {
        let mut search = Search::default();
        search.enter(types, root)?;
        while let Some(top) = search.path.last_mut() {
            let id = top.id;
            if let Some(inner) = top.left.pop() {
                if inner.0 < TypeId::FIRST {
                    types.get(inner).ok_or(Corrupt::UnknownType)?;
                } else if let Some(seen) = search.seen.get(&inner) {
                    if seen.place.is_none() {
                        top.low = top.low.min(seen.order);
                    }
                } else {
                    search.enter(types, inner)?;
                }
                continue;
            }
            let low = top.low;
            search.path.pop();
            if let Some(outer) = search.path.last_mut() {
                outer.low = outer.low.min(low);
            }
            if search.seen[&id].order == low {
                let start = search.open.iter().rposition(|open| *open == id).unwrap_or(0);
                let group = search.open.split_off(start);
                self.place_group(types, &group, &mut search)?;
            }
        }
        search.seen[&root].place.ok_or(Corrupt::UnknownType)
    }

    /// Finds the shapes of types that are part of each other, or of one type alone.
    fn place_group(
        &mut self,
        types: &Types,
        group: &[TypeId],
        search: &mut Search,
    ) -> Result<(), Corrupt> {
        let described = |id: TypeId| types.get(id).ok_or(Corrupt::UnknownType);
        if let [id] = group
            && described(*id)?.inner().all(|inner| inner != *id)
        {
            let shape = described(*id)?.map_inner(|inner| search.place(inner).unwrap_or(inner));
            let place = match self.places.get(&shape) {
                Some(place) => *place,
                None => {
                    let has_interface = shape.inner().any(|inner| self.place_has_interface(inner));
                    let place = self.add(shape.clone(), has_interface);
                    self.places.insert(shape, place);
                    place
                }
            };
            search.set_place(*id, place);
            return Ok(());
        }
        // Within the group a type is named by its position, which no other name looks like. The search met
        // them in an order that depends only on how they are made.
        let position: FxHashMap<_, _> =
            (0..).zip(group).map(|(at, id)| (*id, TypeId(-1 - at))).collect();
        let ring: Vec<Type> = group
            .iter()
            .map(|id| {
                Ok(described(*id)?.map_inner(|inner| {
                    position.get(&inner).copied().or_else(|| search.place(inner)).unwrap_or(inner)
                }))
            })
            .collect::<Result<_, Corrupt>>()?;
        let places = match self.rings.get(&ring) {
            Some(places) => places.clone(),
            None => {
                let first = self.shapes.len();
                let place = |id: TypeId| match id.0 {
                    ..0 => place_at(first + (-1 - id.0) as usize),
                    _ => id,
                };
                let has_interface =
                    ring.iter().flat_map(Type::inner).any(|inner| self.place_has_interface(inner));
                let places: Vec<_> = ring
                    .iter()
                    .map(|shape| self.add(shape.map_inner(place), has_interface))
                    .collect();
                self.rings.insert(ring, places.clone());
                places
            }
        };
        for (id, place) in group.iter().zip(places) {
            search.set_place(*id, place);
        }
        Ok(())
    }

    fn add(&mut self, described: Type, has_interface: bool) -> TypeId {
        let place = place_at(self.shapes.len());
        self.shapes.push(Shape { described, has_interface, sent: None });
        place
    }
}

/// How far a search through types has come.
#[derive(Debug, Default)]
struct Search {
    seen: FxHashMap<TypeId, Seen>,
    /// From the root to where the search is.
    path: Vec<Step>,
    /// Those whose group is not complete, in the order in which they were met.
    open: Vec<TypeId>,
}

#[derive(Debug)]
struct Seen {
    order: usize,
    place: Option<TypeId>,
}

#[derive(Debug)]
struct Step {
    id: TypeId,
    /// The parts that were not looked at, the first one last.
    left: Vec<TypeId>,
    /// The first type met that is known to be in the same group.
    low: usize,
}

impl Search {
    fn enter(&mut self, types: &Types, id: TypeId) -> Result<(), Corrupt> {
        let order = self.seen.len();
        let mut left: Vec<_> = types.get(id).ok_or(Corrupt::UnknownType)?.inner().collect();
        left.reverse();
        self.seen.insert(id, Seen { order, place: None });
        self.path.push(Step { id, left, low: order });
        self.open.push(id);
        Ok(())
    }

    fn place(&self, id: TypeId) -> Option<TypeId> {
        self.seen.get(&id)?.place
    }

    fn set_place(&mut self, id: TypeId, place: TypeId) {
        if let Some(seen) = self.seen.get_mut(&id) {
            seen.place = Some(place);
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

/// How many numbers are remembered by whose they are.
const MOST_KNOWN: usize = 4096;
