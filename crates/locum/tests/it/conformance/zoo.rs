//! The kinds of values that the Go program knows (`zoo.go`), and the same value of each.

use std::collections::BTreeMap;
use std::fmt::Debug;

use locum::gob::{Any, BigInt, Bytes, Complex, Time};
use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($(#[$attribute:meta])* struct $name:ident { $($(#[$of:meta])* $field:ident: $kind:ty,)* })*) => {$(
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        $(#[$attribute])*
        pub(crate) struct $name { $($(#[$of])* pub(crate) $field: $kind,)* }
    )*};
}

kinds! {
    struct Point { x: i64, y: i64, }
    struct Line { from: Point, to: Point, }
    struct Empty {}
    struct Structs { name: String, count: i64, ratio: f64, yes: bool, at: Point, line: Line, none: Empty, }
    struct Tree { value: i64, left: Option<Box<Tree>>, right: Option<Box<Tree>>, }
    struct List { value: i64, next: Option<Box<List>>, }
    struct Directory {
        name: String, children: Vec<Directory>, by_name: Option<BTreeMap<String, Directory>>,
    }
    struct Slices {
        ints: Vec<i64>, words: Vec<String>, flags: Vec<bool>, floats: Vec<f64>, nested: Vec<Vec<i64>>,
        points: Vec<Point>, none: Vec<i64>,
    }
    struct Maps {
        by_name: BTreeMap<String, i64>, by_number: BTreeMap<i64, String>, points: BTreeMap<String, Point>,
        nested: BTreeMap<String, BTreeMap<String, i64>>, lists: BTreeMap<String, Vec<i64>>,
        empty: BTreeMap<String, i64>, none: Option<BTreeMap<String, i64>>,
    }
    struct Arrays { three: [i64; 3], grid: [[i64; 2]; 2], words: [String; 2], raw: [u8; 4], zeros: [i64; 2], }
    struct Pointers {
        number: Option<i64>, text: Option<String>, none: Option<i64>, twice: Option<Box<i64>>,
        point: Option<Point>, no_point: Option<Point>,
    }
    struct Blobs { some: Bytes, none: Bytes, every: Bytes, }
    struct Strings { plain: String, unicode: String, none: String, long: String, odd: String, }
    struct Ints {
        min_i8: i8, max_i8: i8, min_i16: i16, max_i16: i16, min_i32: i32, max_i32: i32, min_i64: i64, max_i64: i64,
        max_u8: u8, max_u16: u16, max_u32: u32, max_u64: u64, minus: i64, top: u64,
    }
    struct Reals { third: f64, max: f64, least: f64, minus: f64, single: f32, large: f64, }
    struct Floats {
        #[serde(rename = "NaN")]
        nan: f64,
        inf: f64, minus_inf: f64, zeros: Vec<f64>, single: f32,
    }
    struct Complexes { whole: Complex, far: Complex, single: Complex, many: Vec<Complex>, }
    struct Drawing { title: String, first: Any, rest: Vec<Any>, named: BTreeMap<String, Any>, none: Any, last: i64, }
    struct Circle { radius: f64, }
    struct Square { side: i64, }
    struct Group { name: String, members: Vec<Any>, }
    struct Anything { values: Vec<Any>, }
    struct Times { utc: Time, zoned: Time, many: Vec<Time>, zero: Time, }
    struct Bigs { small: BigInt, huge: BigInt, minus: BigInt, zero: BigInt, }
    struct Base { id: i64, label: String, }
    struct Extra { more: String, }
    struct Derived { base: Base, extra: Option<Extra>, note: String, }
}

/// Gives back what came, if it is the value that both ends know.
pub(crate) fn known<T: Known>(have: T) -> Result<T, String> {
    let (want, have_text) = (T::known().shown(), have.shown());
    if want == have_text { Ok(have) } else { Err(format!("want {want}, have {have_text}")) }
}

pub(crate) trait Known: Debug + Sized {
    fn known() -> Self;

    /// What it means: two are the same if this is, also where they hold NaN or an interface.
    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

fn map<K: Ord, V>(entries: impl IntoIterator<Item = (K, V)>) -> BTreeMap<K, V> {
    entries.into_iter().collect()
}

fn named<T>(entries: impl IntoIterator<Item = (&'static str, T)>) -> BTreeMap<String, T> {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn point(x: i64, y: i64) -> Point {
    Point { x, y }
}

impl Known for Structs {
    fn known() -> Self {
        let line = Line { from: point(0, 3), to: point(4, 0) };
        Self {
            name: "structs".into(),
            count: -3,
            ratio: 0.5,
            yes: true,
            at: point(1, -2),
            line,
            none: Empty {},
        }
    }
}

impl Known for Tree {
    fn known() -> Self {
        let leaf = |value| Some(Box::new(Self { value, left: None, right: None }));
        let left = Self { value: 2, left: None, right: leaf(3) };
        Self { value: 1, left: Some(Box::new(left)), right: leaf(4) }
    }
}

impl Known for List {
    fn known() -> Self {
        let last = Self { value: 20, next: None };
        (1..20).rev().fold(last, |list, value| Self { value, next: Some(Box::new(list)) })
    }
}

impl Known for Directory {
    fn known() -> Self {
        let new = |name: &str, children, by_name| Self { name: name.into(), children, by_name };
        let leaf = |name| new(name, Vec::new(), None);
        let usr = new("usr", vec![leaf("bin"), leaf("lib")], None);
        new("/", vec![usr.clone()], Some(named([("usr", usr)])))
    }
}

impl Known for Slices {
    fn known() -> Self {
        Self {
            ints: vec![0, 1, -1, 63, 64, -65, 1 << 40],
            words: vec!["a".into(), String::new(), "ccc".into()],
            flags: vec![true, false, true],
            floats: vec![0.0, 1.5, -2.25],
            nested: vec![vec![1], vec![], vec![2, 3]],
            points: vec![point(1, 2), point(0, 0), point(3, 0)],
            none: Vec::new(),
        }
    }
}

impl Known for Maps {
    fn known() -> Self {
        let numbers = [(-1, "minus"), (0, ""), (7, "seven")];
        Self {
            by_name: named([("one", 1), ("two", 2), ("zero", 0)]),
            by_number: map(numbers.map(|(number, text)| (number, text.to_owned()))),
            points: named([("a", point(1, 2)), ("o", point(0, 0))]),
            nested: named([("x", named([("y", 1)])), ("z", named([]))]),
            lists: named([("even", vec![2, 4]), ("none", vec![])]),
            empty: named([]),
            none: None,
        }
    }
}

impl Known for Arrays {
    fn known() -> Self {
        Self {
            three: [1, 0, 3],
            grid: [[1, 2], [3, 4]],
            words: [String::new(), "b".into()],
            raw: [0, 1, 128, 255],
            zeros: [0, 0],
        }
    }
}

impl Known for Pointers {
    fn known() -> Self {
        Self {
            number: Some(5),
            text: Some("text".into()),
            none: None,
            twice: Some(Box::new(-6)),
            point: Some(point(7, 8)),
            no_point: None,
        }
    }
}

impl Known for Blobs {
    fn known() -> Self {
        let every = (0..=255).collect::<Vec<u8>>();
        Self { some: b"hello".to_vec().into(), none: Bytes::default(), every: every.into() }
    }
}

impl Known for Strings {
    fn known() -> Self {
        Self {
            plain: "plain".into(),
            unicode: "grüße, 世界 🌍".into(),
            none: String::new(),
            long: "long ".repeat(60),
            odd: "a\0b\n\"c\"\\".into(),
        }
    }
}

impl Known for Ints {
    fn known() -> Self {
        Self {
            min_i8: i8::MIN,
            max_i8: i8::MAX,
            min_i16: i16::MIN,
            max_i16: i16::MAX,
            min_i32: i32::MIN,
            max_i32: i32::MAX,
            min_i64: i64::MIN,
            max_i64: i64::MAX,
            max_u8: u8::MAX,
            max_u16: u16::MAX,
            max_u32: u32::MAX,
            max_u64: u64::MAX,
            minus: -1,
            top: 1 << 63,
        }
    }
}

impl Known for Reals {
    fn known() -> Self {
        let least = f64::from_bits(1);
        Self { third: 1.0 / 3.0, max: f64::MAX, least, minus: -17.25, single: 0.1, large: 1e21 }
    }
}

impl Known for Floats {
    fn known() -> Self {
        Self {
            nan: f64::NAN,
            inf: f64::INFINITY,
            minus_inf: f64::NEG_INFINITY,
            zeros: vec![-0.0, 0.0],
            single: f32::MAX,
        }
    }
}

impl Known for Complexes {
    fn known() -> Self {
        let complex = |re, im| Complex { re, im };
        Self {
            whole: complex(17.0, 19.0),
            far: complex(-1.0, f64::INFINITY),
            single: complex(0.5, 0.0),
            many: vec![complex(0.0, 0.0), complex(0.0, 1.0)],
        }
    }
}

impl Known for Drawing {
    fn known() -> Self {
        let circle = |radius| any("zoo.Circle", &Circle { radius });
        let square = |side| any("zoo.Square", &Square { side });
        let group = |name: &str, members| any("zoo.Group", &Group { name: name.into(), members });
        let inner = group("inner", vec![square(1), circle(2.0)]);
        Self {
            title: "drawing".into(),
            first: circle(1.5),
            rest: vec![square(2), Any::default(), group("outer", vec![inner, square(3)])],
            named: named([("only", group("empty", vec![]))]),
            none: Any::default(),
            last: 99,
        }
    }

    fn shown(&self) -> String {
        let each = |shapes: &[Any]| shapes.iter().map(show).collect::<Vec<_>>().join(", ");
        let named: Vec<_> =
            self.named.iter().map(|(name, shape)| format!("{name}={}", show(shape))).collect();
        format!(
            "{} {} [{}] {named:?} {} {}",
            self.title,
            show(&self.first),
            each(&self.rest),
            show(&self.none),
            self.last
        )
    }
}

impl Known for Anything {
    fn known() -> Self {
        let deep = any(
            "zoo.Values",
            &vec![any("zoo.Point", &point(5, 6)), any("string", &"x".to_owned())],
        );
        Self {
            values: vec![
                any("int", &5_i64),
                any("string", &"text".to_owned()),
                any("bool", &true),
                any("float64", &2.5_f64),
                any("[]uint8", &Bytes(b"raw".to_vec())),
                any("uint8", &200_u8),
                any("int64", &-7_i64),
                Any::default(),
                any("zoo.Point", &point(1, 2)),
                any("zoo.Points", &vec![point(3, 4)]),
                any("zoo.Table", &named([("deep", deep)])),
            ],
        }
    }

    fn shown(&self) -> String {
        self.values.iter().map(show).collect::<Vec<_>>().join(", ")
    }
}

fn any<T: Serialize + for<'de> Deserialize<'de>>(name: &str, value: &T) -> Any {
    Any::new(name, value).expect("gob has all of this")
}

/// What an interface holds.
fn show(any: &Any) -> String {
    let inside = match any.name() {
        "" => return "nil".to_owned(),
        "zoo.Circle" => shown(any.decode::<Circle>()),
        "zoo.Square" => shown(any.decode::<Square>()),
        "zoo.Point" => shown(any.decode::<Point>()),
        "zoo.Points" => shown(any.decode::<Vec<Point>>()),
        "zoo.Group" => any.decode::<Group>().map_or_else(
            |error| error.to_string(),
            |group| {
                format!("{} {:?}", group.name, group.members.iter().map(show).collect::<Vec<_>>())
            },
        ),
        "zoo.Values" => any.decode::<Vec<Any>>().map_or_else(
            |error| error.to_string(),
            |values| format!("{:?}", values.iter().map(show).collect::<Vec<_>>()),
        ),
        "zoo.Table" => any.decode::<BTreeMap<String, Any>>().map_or_else(
            |error| error.to_string(),
            |table| format!("{:?}", table.iter().map(|(k, v)| (k, show(v))).collect::<Vec<_>>()),
        ),
        "int" | "int64" => shown(any.decode::<i64>()),
        "uint8" => shown(any.decode::<u8>()),
        "string" => shown(any.decode::<String>()),
        "bool" => shown(any.decode::<bool>()),
        "float64" => shown(any.decode::<f64>()),
        "[]uint8" => shown(any.decode::<Bytes>()),
        _ => "unknown".to_owned(),
    };
    format!("{}({inside})", any.name())
}

fn shown<T: Debug, E: ToString>(value: Result<T, E>) -> String {
    value.map_or_else(|error| error.to_string(), |value| format!("{value:?}"))
}

impl Known for Times {
    fn known() -> Self {
        let time = |text| Time::parse(text).expect("it is one");
        Self {
            utc: time("2026-11-25T08:30:00.123456789Z"),
            zoned: time("1969-07-20T20:17:40-04:00"),
            many: vec![time("2000-02-29T23:59:59+05:30")],
            zero: Time::default(),
        }
    }
}

impl Known for Bigs {
    fn known() -> Self {
        // 7 to the 77th.
        let huge = "118181386580595879976868414312001964434038548836769923458287039207";
        let number = |text: &str| BigInt::parse(text).expect("it is one");
        Self {
            small: BigInt::from(42),
            huge: number(huge),
            minus: number(&format!("-{huge}")),
            zero: BigInt::default(),
        }
    }
}

impl Known for Derived {
    fn known() -> Self {
        Self {
            base: Base { id: 7, label: "base".into() },
            extra: Some(Extra { more: "extra".into() }),
            note: "note".into(),
        }
    }
}
