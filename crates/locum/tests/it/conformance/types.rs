//! Three hundred types on one connection.

use std::fmt;
use std::marker::PhantomData;

use locum::__private::Shape;
use locum::service::Method;
use locum::{CallError, Channel, Cx};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeStruct as _, Serializer};

/// The arguments of `Arith.Multiply`, and a field of a name of its own, which a server skips.
#[derive(Default)]
struct Typed<const N: usize>(i64);

/// Names are known at run time alone; there are three hundred of them in a run.
fn fields<const N: usize>() -> &'static [&'static str] {
    let skipped: &'static str = format!("Skipped{N:03}").leak();
    vec!["A", skipped, "B"].leak()
}

impl<const N: usize> Serialize for Typed<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = fields::<N>();
        let mut typed = serializer.serialize_struct("Typed", fields.len())?;
        typed.serialize_field(fields[0], &self.0)?;
        typed.serialize_field(fields[1], "skipped")?;
        typed.serialize_field(fields[2], &self.0)?;
        typed.end()
    }
}

impl<'de, const N: usize> Deserialize<'de> for Typed<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("Typed", fields::<N>(), Fields::<N>(PhantomData))
    }
}

struct Fields<const N: usize>(PhantomData<Typed<N>>);

impl<'de, const N: usize> Visitor<'de> for Fields<N> {
    type Value = Typed<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a struct")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut typed = Typed(0);
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "A" => typed.0 = map.next_value()?,
                "B" => drop(map.next_value::<i64>()?),
                _ => drop(map.next_value::<String>()?),
            }
        }
        Ok(typed)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let a = seq.next_element()?.unwrap_or_default();
        seq.next_element::<String>()?;
        seq.next_element::<i64>()?;
        Ok(Typed(a))
    }
}

async fn multiply<const N: usize>(channel: &Channel) -> Result<(), CallError> {
    let method: &'static Method = Box::leak(Box::new(Method {
        path: "Arith.Multiply",
        idempotent: true,
        heavy: false,
        args: Shape::of::<Typed<N>>(),
        args_type: "Typed",
        reply: Shape::of::<i64>(),
        reply_type: "i64",
        takes_stream: false,
        returns_stream: false,
    }));
    let side = N as i64;
    let area: i64 = channel.call(&Cx::new(), method, Typed::<N>(side)).await?;
    if area == side * side { Ok(()) } else { Err(CallError::App(format!("{side}² is {area}"))) }
}

/// Calls with each of them.
pub(crate) async fn all(channel: &Channel) -> Result<(), CallError> {
    macro_rules! each {
        (ten $tens:literal) => { each!(tens $tens: 0 1 2 3 4 5 6 7 8 9) };
        (tens $tens:literal: $($ones:literal)*) => { $(multiply::<{ $tens * 10 + $ones }>(channel).await?;)* };
        ($($tens:literal)*) => { $(each!(ten $tens);)* };
    }
    each!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29);
    Ok(())
}
