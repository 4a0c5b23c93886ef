//! What is known of the methods of an upstream.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use locum_wire::gob::{Declared, Described, Type, TypeId, Types};
use locum_wire::rpc::{Body, Form};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::plan::Error;
use crate::upstream::MethodTypes;

/// The types of an upstream's methods: those that were given, and those that calls have shown.
#[derive(Debug, Default)]
pub(crate) struct Methods {
    given: FxHashMap<Arc<str>, Known>,
    /// Kept over reloads.
    learned: Arc<Learned>,
}

/// The types of one method, as far as they are known.
#[derive(Clone, Debug, Default)]
struct Known {
    args: Option<Described>,
    reply: Option<Described>,
    /// How often that was found to be different.
    changes: u32,
}

impl Methods {
    /// Of an upstream whose file says this of types; what calls have shown is taken over.
    ///
    /// # Errors
    ///
    /// A word is no type, or two fields have one name; the path begins with the method.
    pub(crate) fn build(
        given: &[(String, MethodTypes)],
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Error> {
        let described = |method: &str, part: &str, said: &Option<Declared>| {
            said.as_ref().map(Declared::describe).transpose().map_err(|error| {
                let path =
                    [method, part].into_iter().chain(error.fields.iter().map(String::as_str));
                Error::new(path.collect::<Vec<_>>().join("."), error.reason, error.remedy)
            })
        };
        let given = given.iter().map(|(method, said)| {
            let args = described(method, "args", &said.args)?;
            let reply = described(method, "reply", &said.reply)?;
            Ok((Arc::from(method.as_str()), Known { args, reply, changes: 0 }))
        });
        let learned = previous.map(|previous| Arc::clone(&previous.learned)).unwrap_or_default();
        Ok(Arc::new(Self { given: given.collect::<Result<_, Error>>()?, learned }))
    }

    /// The type of a method's argument, as far as it is known.
    pub(crate) fn args(&self, method: &str) -> Option<Described> {
        let given = self.given.get(method).and_then(|known| known.args.clone());
        given.or_else(|| self.learned.table.load().known.get(method)?.args.clone())
    }

    /// The type of what a method returns.
    pub(crate) fn reply(&self, method: &str) -> Option<Described> {
        let given = self.given.get(method).and_then(|known| known.reply.clone());
        given.or_else(|| self.learned.table.load().known.get(method)?.reply.clone())
    }

    /// The methods that something is known of, in no order; some are there twice.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        let learned = self.learned.table.load();
        self.given.keys().chain(learned.known.keys()).cloned().collect()
    }

    /// What is known now; unlike another once something was learned in between.
    pub(crate) fn edition(&self) -> Edition {
        Edition(self.learned.table.load_full())
    }

    /// A call of `method` with this argument returned that. What is known only grows: a look that lacks fields takes
    /// none away, and only where two contradict each other the newer is right. A value that does not describe itself
    /// teaches nothing, nor does one beyond limits; what was given stays.
    pub(crate) fn learn(&self, method: &str, args: &Body<'_>, reply: &Body<'_>) {
        let given = self.given.get(method);
        let has =
            |part: fn(&Known) -> &Option<Described>| given.is_some_and(|it| part(it).is_some());
        let args = Seen::of(args).filter(|_| !has(|known| &known.args));
        let reply = Seen::of(reply).filter(|_| !has(|known| &known.reply));
        self.learned.see(method, args, reply);
    }
}

/// What was known at some time.
pub(crate) struct Edition(Arc<Table>);

impl PartialEq for Edition {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What calls have shown. Every call of a client that speaks gob is compared with it, and only what is new
/// is written, so that workers do not get into each other's way.
#[derive(Debug, Default)]
struct Learned {
    table: ArcSwap<Table>,
    /// Held by whoever changes the table.
    changing: Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct Table {
    known: FxHashMap<Arc<str>, Arc<Known>>,
    /// Of all names and types.
    weight: usize,
}

impl Learned {
    fn see(&self, method: &str, args: Option<Seen<'_>>, reply: Option<Seen<'_>>) {
        let table = self.table.load();
        let known = table.known.get(method);
        let args = args.filter(|seen| known.is_none_or(|known| !seen.is(known.args.as_ref())));
        let reply = reply.filter(|seen| known.is_none_or(|known| !seen.is(known.reply.as_ref())));
        if (args.is_some() || reply.is_some()) && table.has_room(method) {
            self.change(method, args, reply);
        }
    }

    #[cold]
    fn change(&self, method: &str, args: Option<Seen<'_>>, reply: Option<Seen<'_>>) {
        let args = args.and_then(|seen| seen.copy());
        let reply = reply.and_then(|seen| seen.copy());
        let grown = |table: &Table| table.grown(method, args.as_ref(), reply.as_ref());
        // What lacks fields is looked at for every connection.
        if grown(&self.table.load()).is_none() {
            return;
        }
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let table = self.table.load();
        if let Some(known) = grown(&table) {
            let mut table = Table::clone(&table);
            table.change(method, known);
            self.table.store(Arc::new(table));
        }
    }
}

impl Table {
    /// Whether something may be learned of `method`. What is learned then may be more than there was room
    /// for, but not by much.
    fn has_room(&self, method: &str) -> bool {
        let counts = match self.known.get(method) {
            Some(known) => known.changes < MOST_CHANGES,
            None => self.known.len() < MOST,
        };
        counts && self.weight < WEIGHT && method.len() <= NAME
    }

    /// What is known of `method` after this, if it is more, and there is room for it.
    fn grown(
        &self,
        method: &str,
        args: Option<&Described>,
        reply: Option<&Described>,
    ) -> Option<Known> {
        if !self.has_room(method) {
            return None;
        }
        let mut known = self.known.get(method).map(|known| Known::clone(known)).unwrap_or_default();
        let grows = [
            args.is_some_and(|args| grow(&mut known.args, args)),
            reply.is_some_and(|reply| grow(&mut known.reply, reply)),
        ];
        known.changes += 1;
        grows.contains(&true).then_some(known)
    }

    fn change(&mut self, method: &str, new: Known) {
        let name = match self.known.remove_entry(method) {
            Some((name, old)) => {
                self.weight -= old.weight();
                name
            }
            None => {
                self.weight += method.len();
                Arc::from(method)
            }
        };
        self.weight += new.weight();
        self.known.insert(name, Arc::new(new));
    }
}

impl Known {
    fn weight(&self) -> usize {
        let parts = [&self.args, &self.reply].into_iter().flatten();
        parts.map(|it| weight(&it.types, it.id).unwrap_or(TYPE_WEIGHT)).sum()
    }
}

/// Adds what a later look of a type shows to what is known of it. Tells whether that changes anything.
fn grow(known: &mut Option<Described>, seen: &Described) -> bool {
    let merged = known.as_ref().and_then(|known| known.merged(seen));
    let fits = |merged: &Described| weight(&merged.types, merged.id).is_some();
    let grown = merged.filter(fits).unwrap_or_else(|| seen.clone());
    if known.as_ref().is_some_and(|known| known.is(&grown.types, grown.id)) {
        return false;
    }
    *known = Some(grown);
    true
}

/// A type as a call has shown it.
#[derive(Clone, Copy)]
struct Seen<'a> {
    types: &'a Types,
    id: TypeId,
}

impl<'a> Seen<'a> {
    fn of(body: &Body<'a>) -> Option<Self> {
        match body.form {
            Form::Gob { types, id } => Some(Self { types, id }),
            Form::Json | Form::Params | Form::Postcard => None,
        }
    }

    fn is(&self, known: Option<&Described>) -> bool {
        known.is_some_and(|known| known.is(self.types, self.id))
    }

    /// The type alone, unless it is too large.
    fn copy(&self) -> Option<Described> {
        weight(self.types, self.id)?;
        Described::of(self.types, self.id)
    }
}

/// How many bytes a type takes with all that it is made of, about. `None`: too many.
fn weight(types: &Types, id: TypeId) -> Option<usize> {
    let mut weight = 0;
    let mut seen = FxHashSet::default();
    let mut left = vec![id];
    while let Some(id) = left.pop() {
        if !seen.insert(id) {
            continue;
        }
        let kind = types.get(id)?;
        weight += size_of::<Type>() + kind.name().len();
        if let Type::Struct { fields, .. } = kind {
            let names = fields.iter().map(|field| field.name.len());
            weight += names.sum::<usize>() + size_of_val(&**fields);
        }
        if weight > TYPE_WEIGHT {
            return None;
        }
        left.extend(kind.inner());
    }
    Some(weight)
}

/// Methods of one upstream that are learned, and bytes of each one's name.
const MOST: usize = 4096;
const NAME: usize = 1024;
/// How often what is known of a method changes: callers may contradict each other for ever.
const MOST_CHANGES: u32 = 64;
/// Bytes that one type may take, about, and all that is learned of one upstream.
const TYPE_WEIGHT: usize = 64 * 1024;
const WEIGHT: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use locum_wire::gob::Field;
    use locum_wire::rpc::OwnedBody;

    use super::*;

    /// A type as a stream has it that has defined others before.
    fn described(kind: Type) -> Described {
        let mut types = Types::new();
        let other = Type::Slice { name: "Other".into(), elem: TypeId::INT };
        for _ in 0..10 {
            types.add(other.clone());
        }
        let id = types.add(kind);
        Described { types: Arc::new(types), id }
    }

    fn structure(name: &str, fields: &[(&str, TypeId)]) -> Described {
        let field = |(name, id): &(&str, TypeId)| Field { name: (*name).into(), id: *id };
        described(Type::Struct { name: name.into(), fields: fields.iter().map(field).collect() })
    }

    fn body(described: &Described) -> OwnedBody {
        let Described { types, id } = described;
        OwnedBody::Gob { types: Arc::clone(types), id: *id, bytes: Vec::new() }
    }

    fn learn(methods: &Methods, method: &str, args: &Described, reply: &Described) {
        methods.learn(method, &body(args).as_body(), &body(reply).as_body());
    }

    fn is(known: Option<Described>, expected: &Described) -> bool {
        known.is_some_and(|known| known.is(&expected.types, expected.id))
    }

    fn built(previous: Option<&Arc<Methods>>) -> Arc<Methods> {
        Methods::build(&[], previous).unwrap()
    }

    fn int() -> Described {
        Described { types: Arc::default(), id: TypeId::INT }
    }

    #[test]
    fn what_calls_show_is_learned_without_what_else_their_stream_defined() {
        let methods = built(None);
        let args = structure("Args", &[("A", TypeId::FLOAT)]);
        assert!(methods.args("A.B").is_none());
        learn(&methods, "A.B", &args, &int());
        assert!(is(methods.args("A.B"), &args));
        assert!(is(methods.reply("A.B"), &int()));
        assert_eq!(methods.args("A.B").map(|known| known.types.len()), Some(1));
        assert!(methods.args("A.C").is_none());
        assert_eq!(methods.names(), [Arc::from("A.B")]);
    }

    #[test]
    fn what_is_known_grows_and_a_poorer_look_takes_nothing_away() {
        let methods = built(None);
        let old = structure("Args", &[("A", TypeId::INT)]);
        let new = structure("Args", &[("A", TypeId::INT), ("B", TypeId::INT)]);
        learn(&methods, "A.B", &old, &int());
        let edition = methods.edition();
        learn(&methods, "A.B", &structure("Args", &[("A", TypeId::INT)]), &int());
        assert!(edition == methods.edition());
        learn(&methods, "A.B", &new, &int());
        assert!(edition != methods.edition());
        assert!(is(methods.args("A.B"), &new));
        let (edition, weight) = (methods.edition(), methods.learned.table.load().weight);
        learn(&methods, "A.B", &old, &int());
        assert!(is(methods.args("A.B"), &new), "a client of old, beside newer ones");
        learn(&methods, "A.B", &new, &int());
        assert!(edition == methods.edition());
        assert_eq!(methods.learned.table.load().weight, weight);
        // They contradict each other: the newer is right.
        let float = structure("Args", &[("A", TypeId::FLOAT), ("B", TypeId::INT)]);
        learn(&methods, "A.B", &structure("Args", &[("A", TypeId::FLOAT)]), &int());
        assert!(is(methods.args("A.B"), &float));
    }

    #[test]
    fn who_contradict_each_other_do_so_in_vain_in_the_end() {
        let methods = built(None);
        let other = described(Type::Slice { name: "".into(), elem: TypeId::INT });
        (0..MOST_CHANGES / 2).for_each(|_| {
            learn(&methods, "A.B", &int(), &int());
            learn(&methods, "A.B", &other, &int());
        });
        let edition = methods.edition();
        learn(&methods, "A.B", &int(), &int());
        assert!(edition == methods.edition());
        learn(&methods, "A.C", &int(), &int());
        assert!(is(methods.args("A.C"), &int()), "others go on to be learned");
    }

    #[test]
    fn what_was_given_comes_before_what_is_learned() {
        let word = |word: &str| Some(Declared::Named(word.to_owned()));
        let said = MethodTypes { args: word("float"), reply: None };
        let methods = Methods::build(&[("A.B".to_owned(), said)], None).unwrap();
        let float = Described { types: Arc::default(), id: TypeId::FLOAT };
        assert!(is(methods.args("A.B"), &float));
        learn(&methods, "A.B", &int(), &int());
        assert!(is(methods.args("A.B"), &float));
        assert!(is(methods.reply("A.B"), &int()), "what was not given is learned");
    }

    #[test]
    fn what_is_no_type_is_told_with_its_place() {
        let field = ("Price".to_owned(), Declared::Named("double".to_owned()));
        let said = MethodTypes { args: None, reply: Some(Declared::Struct(vec![field])) };
        let error = Methods::build(&[("A.B".to_owned(), said)], None).unwrap_err();
        assert_eq!(error.path, "A.B.reply.Price");
        assert_eq!(error.reason, "\"double\" is no type");
    }

    #[test]
    fn what_does_not_describe_itself_teaches_nothing() {
        let methods = built(None);
        let json = OwnedBody::Json(b"{}".to_vec());
        methods.learn("A.B", &json.as_body(), &json.as_body());
        assert!(methods.names().is_empty());
        methods.learn("A.B", &json.as_body(), &body(&int()).as_body());
        assert!(methods.args("A.B").is_none());
        assert!(is(methods.reply("A.B"), &int()));
    }

    #[test]
    fn what_was_learned_outlives_a_reload() {
        let before = built(None);
        learn(&before, "A.B", &int(), &int());
        let after = built(Some(&before));
        assert!(is(after.args("A.B"), &int()));
        learn(&before, "A.C", &int(), &int());
        assert!(is(after.args("A.C"), &int()), "calls end under the plan they began with");
    }

    #[test]
    fn no_client_makes_it_learn_without_end() {
        let methods = built(None);
        (0..3 * MOST).for_each(|at| learn(&methods, &format!("A.M{at}"), &int(), &int()));
        assert_eq!(methods.names().len(), MOST);
        let args = structure("Args", &[]);
        learn(&methods, "A.M0", &args, &int());
        assert!(is(methods.args("A.M0"), &args), "what is known goes on to change");

        let methods = built(None);
        let long = "x".repeat(TYPE_WEIGHT / 2);
        for at in 0..MOST {
            let args = structure(&long, &[(&at.to_string(), TypeId::INT)]);
            learn(&methods, &format!("A.M{}", at % 1000), &args, &int());
        }
        let weight = methods.learned.table.load().weight;
        assert!((WEIGHT..WEIGHT + 3 * TYPE_WEIGHT).contains(&weight), "{weight}");
    }

    #[test]
    fn a_type_that_is_too_large_is_not_learned_and_one_without_end_is() {
        let methods = built(None);
        let field = Field { name: "F".into(), id: TypeId::INT };
        let large = described(Type::Struct {
            name: "Large".into(),
            fields: vec![field; TYPE_WEIGHT].into(),
        });
        learn(&methods, "A.Large", &large, &int());
        assert!(methods.args("A.Large").is_none());
        learn(&methods, &"A".repeat(NAME + 1), &int(), &int());
        assert_eq!(methods.names(), [Arc::from("A.Large")]);

        let mut types = Types::new();
        let id = types.reserve();
        assert!(types.define(id, Type::Slice { name: "Endless".into(), elem: id }));
        let endless = Described { types: Arc::new(types), id };
        learn(&methods, "A.Endless", &endless, &int());
        assert!(is(methods.args("A.Endless"), &endless));
    }
}
