//! The services of the Go program (`services.go`), in Rust.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use locum::gob::Bytes;
use locum::{AppError, CallError, Server};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::zoo::{self, Known, known};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Args {
    pub(crate) a: i64,
    pub(crate) b: i64,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Quotient {
    pub(crate) quo: i64,
    pub(crate) rem: i64,
}

#[derive(Clone, Debug, PartialEq, AppError)]
pub(crate) enum ArithError {
    DivideByZero,
    #[app_error(other)]
    Other(String),
}

impl fmt::Display for ArithError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DivideByZero => f.write_str("divide by zero"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

#[locum::service]
pub(crate) trait Arith {
    #[method(idempotent)]
    async fn multiply(&self, args: Args) -> Result<i64, CallError>;
    async fn divide(&self, args: Args) -> Result<Quotient, CallError<ArithError>>;
}

#[locum::service]
pub(crate) trait Echo {
    async fn text(&self, text: String) -> Result<String, CallError>;
    async fn number(&self, number: i64) -> Result<i64, CallError>;
    async fn bytes(&self, bytes: Bytes) -> Result<Bytes, CallError>;
    async fn numbers(&self, numbers: Vec<i64>) -> Result<Vec<i64>, CallError>;
    async fn table(&self, table: BTreeMap<i64, i64>) -> Result<BTreeMap<i64, i64>, CallError>;
    async fn nothing(&self) -> Result<(), CallError>;
}

#[locum::service]
pub(crate) trait Faults {
    async fn fail(&self, text: String) -> Result<String, CallError>;
    async fn panic(&self, text: String) -> Result<String, CallError>;
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HoldArgs {
    pub(crate) key: i64,
}

#[locum::service]
pub(crate) trait Slow {
    async fn hold(&self, args: HoldArgs) -> Result<i64, CallError>;
    async fn held(&self, key: i64) -> Result<i64, CallError>;
    async fn release(&self, key: i64) -> Result<bool, CallError>;
}

#[locum::service]
pub(crate) trait Zoo {
    async fn structs(&self, value: zoo::Structs) -> Result<zoo::Structs, CallError>;
    async fn tree(&self, value: zoo::Tree) -> Result<zoo::Tree, CallError>;
    async fn list(&self, value: zoo::List) -> Result<zoo::List, CallError>;
    async fn directory(&self, value: zoo::Directory) -> Result<zoo::Directory, CallError>;
    async fn slices(&self, value: zoo::Slices) -> Result<zoo::Slices, CallError>;
    async fn maps(&self, value: zoo::Maps) -> Result<zoo::Maps, CallError>;
    async fn arrays(&self, value: zoo::Arrays) -> Result<zoo::Arrays, CallError>;
    async fn pointers(&self, value: zoo::Pointers) -> Result<zoo::Pointers, CallError>;
    async fn bytes(&self, value: zoo::Blobs) -> Result<zoo::Blobs, CallError>;
    async fn strings(&self, value: zoo::Strings) -> Result<zoo::Strings, CallError>;
    async fn ints(&self, value: zoo::Ints) -> Result<zoo::Ints, CallError>;
    async fn reals(&self, value: zoo::Reals) -> Result<zoo::Reals, CallError>;
    async fn floats(&self, value: zoo::Floats) -> Result<zoo::Floats, CallError>;
    async fn complexes(&self, value: zoo::Complexes) -> Result<zoo::Complexes, CallError>;
    async fn interfaces(&self, value: zoo::Drawing) -> Result<zoo::Drawing, CallError>;
    async fn anything(&self, value: zoo::Anything) -> Result<zoo::Anything, CallError>;
    async fn times(&self, value: zoo::Times) -> Result<zoo::Times, CallError>;
    async fn bigs(&self, value: zoo::Bigs) -> Result<zoo::Bigs, CallError>;
    async fn embedded(&self, value: zoo::Derived) -> Result<zoo::Derived, CallError>;
}

/// All of the services.
pub(crate) struct Real;

/// A server of them all.
pub(crate) fn server() -> Server {
    Server::new()
        .serve(ArithServer::new(Real))
        .serve(EchoServer::new(Real))
        .serve(FaultsServer::new(Real))
        .serve(SlowServer::new(Rooms::default()))
        .serve(ZooServer::new(Real))
}

impl Arith for Real {
    async fn multiply(&self, Args { a, b }: Args) -> Result<i64, CallError> {
        Ok(a.wrapping_mul(b))
    }

    async fn divide(&self, Args { a, b }: Args) -> Result<Quotient, CallError<ArithError>> {
        match (a.checked_div(b), a.checked_rem(b)) {
            (Some(quo), Some(rem)) => Ok(Quotient { quo, rem }),
            _ => Err(ArithError::DivideByZero.into()),
        }
    }
}

impl Echo for Real {
    async fn text(&self, text: String) -> Result<String, CallError> {
        Ok(text)
    }

    async fn number(&self, number: i64) -> Result<i64, CallError> {
        Ok(number)
    }

    async fn bytes(&self, bytes: Bytes) -> Result<Bytes, CallError> {
        Ok(bytes)
    }

    async fn numbers(&self, numbers: Vec<i64>) -> Result<Vec<i64>, CallError> {
        Ok(numbers)
    }

    async fn table(&self, table: BTreeMap<i64, i64>) -> Result<BTreeMap<i64, i64>, CallError> {
        Ok(table)
    }

    async fn nothing(&self) -> Result<(), CallError> {
        Ok(())
    }
}

impl Faults for Real {
    async fn fail(&self, text: String) -> Result<String, CallError> {
        Err(CallError::App(text))
    }

    async fn panic(&self, text: String) -> Result<String, CallError> {
        panic!("{text}")
    }
}

macro_rules! zoo {
    ($($method:ident: $kind:ident,)*) => {
        impl Zoo for Real {
            $(async fn $method(&self, value: zoo::$kind) -> Result<zoo::$kind, CallError> {
                known(value).map_err(CallError::App)
            })*
        }

        /// Calls every method of those named with the value that both ends know, twice: the second time
        /// its types are known.
        pub(crate) async fn visit(zoo: &impl Zoo, method: &str) -> Result<(), String> {
            for _ in 0..2 {
                match method {
                    $(stringify!($method) => {
                        let back = zoo.$method(zoo::$kind::known()).await;
                        known(back.map_err(|error| error.to_string())?)?;
                    })*
                    _ => return Err(format!("there is no {method} in the zoo")),
                }
            }
            Ok(())
        }
    };
}

zoo! {
    structs: Structs,
    tree: Tree,
    list: List,
    directory: Directory,
    slices: Slices,
    maps: Maps,
    arrays: Arrays,
    pointers: Pointers,
    bytes: Blobs,
    strings: Strings,
    ints: Ints,
    reals: Reals,
    floats: Floats,
    complexes: Complexes,
    interfaces: Drawing,
    anything: Anything,
    times: Times,
    bigs: Bigs,
    embedded: Derived,
}

/// Calls wait here until they are released, by key.
#[derive(Clone, Default)]
pub(crate) struct Rooms(Arc<Mutex<HashMap<i64, Room>>>);

#[derive(Default)]
struct Room {
    held: i64,
    released: Arc<Notify>,
}

impl Rooms {
    fn rooms(&self) -> MutexGuard<'_, HashMap<i64, Room>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call that waits.
struct Guest<'a>(&'a Rooms, i64);

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        if let Some(room) = self.0.rooms().get_mut(&self.1) {
            room.held -= 1;
        }
    }
}

impl Slow for Rooms {
    async fn hold(&self, HoldArgs { key }: HoldArgs) -> Result<i64, CallError> {
        // It is in the line before it is counted, so that no release can miss it.
        let released = {
            let mut rooms = self.rooms();
            let room = rooms.entry(key).or_default();
            room.held += 1;
            Arc::clone(&room.released).notified_owned()
        };
        let _guest = Guest(self, key);
        released.await;
        Ok(key)
    }

    async fn held(&self, key: i64) -> Result<i64, CallError> {
        Ok(self.rooms().get(&key).map_or(0, |room| room.held))
    }

    async fn release(&self, key: i64) -> Result<bool, CallError> {
        let room = self.rooms().remove(&key);
        Ok(room.is_some_and(|room| {
            room.released.notify_waiters();
            true
        }))
    }
}
