//! What is made of a trait.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use locum::{CallError, Cx, Stream};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Args {
    #[serde(rename = "A")]
    pub(crate) a: i64,
    #[serde(rename = "B")]
    pub(crate) b: i64,
}

/// Neither `Clone` nor `Debug`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Plain {
    secret: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, locum::AppError)]
#[app_error(value)]
pub(crate) enum ArithError {
    DivideByZero,
    #[app_error(code = 34)]
    Overflow {
        by: u64,
    },
    #[app_error(other)]
    Other(String),
}

impl std::fmt::Display for ArithError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::DivideByZero => f.write_str("divide by zero"),
            Self::Overflow { by } => write!(f, "overflow by {by}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// Arithmetic, with all that a trait may have.
#[locum::service(name = "Arith")]
pub(crate) trait Arith {
    /// Multiplies.
    #[method(idempotent)]
    async fn multiply(&self, cx: &Cx, args: Args) -> Result<i64, CallError>;

    async fn divide(&self, cx: &Cx, args: Args) -> Result<i64, CallError<ArithError>>;

    /// Has several arguments, and no context.
    #[method(name = "Sum", heavy)]
    async fn add_up(&self, a: i64, user_id: u64) -> Result<u64, CallError>;

    async fn forget(&self) -> Result<(), CallError>;

    async fn keep(&self, plain: Plain) -> Result<BTreeMap<u8, Vec<[u8; 2]>>, CallError>;

    async fn r#type(&self, _: &Cx, r#in: u8) -> Result<u8, CallError>;

    async fn total(&self, cx: &Cx, items: impl Stream<Item = u64>) -> Result<u64, CallError>;

    #[method(idempotent)]
    async fn count(
        &self,
        cx: &Cx,
        to: u64,
    ) -> Result<impl Stream<Item = Result<u64, CallError<ArithError>>>, CallError<ArithError>>;

    async fn doubled(
        &self,
        items: impl Stream<Item = u64>,
    ) -> Result<impl Stream<Item = Result<u64, CallError>>, CallError>;

    /// Those who implement the trait need not have it.
    async fn square(&self, cx: &Cx, a: i64) -> Result<i64, CallError> {
        let squared = self.multiply(cx, Args { a, b: a }).await?;
        Ok(squared)
    }
}

pub(crate) struct Real;

impl Arith for Real {
    async fn multiply(&self, _: &Cx, args: Args) -> Result<i64, CallError> {
        args.a.checked_mul(args.b).ok_or_else(|| "overflow".into())
    }

    async fn divide(&self, _: &Cx, args: Args) -> Result<i64, CallError<ArithError>> {
        if args.b == 0 {
            Err(ArithError::DivideByZero)?;
        }
        args.a.checked_div(args.b).ok_or(CallError::App(ArithError::Overflow { by: 1 }))
    }

    async fn add_up(&self, a: i64, user_id: u64) -> Result<u64, CallError> {
        Ok(a.unsigned_abs() + user_id)
    }

    async fn forget(&self) -> Result<(), CallError> {
        Ok(())
    }

    async fn keep(&self, plain: Plain) -> Result<BTreeMap<u8, Vec<[u8; 2]>>, CallError> {
        Ok(BTreeMap::from([(plain.secret, vec![[2, 3]])]))
    }

    async fn r#type(&self, _: &Cx, r#in: u8) -> Result<u8, CallError> {
        Ok(r#in)
    }

    async fn total(&self, _: &Cx, items: impl Stream<Item = u64> + Send) -> Result<u64, CallError> {
        Ok(all(items).await.into_iter().sum())
    }

    async fn count(
        &self,
        cx: &Cx,
        to: u64,
    ) -> Result<impl Stream<Item = Result<u64, CallError<ArithError>>>, CallError<ArithError>> {
        if to > 9 {
            return Err(ArithError::Overflow { by: to - 9 }.into());
        }
        // It borrows from the context.
        Ok(iter((0..to).map(move |number| if cx.is_cancelled() { Ok(99) } else { Ok(number) })))
    }

    async fn doubled(
        &self,
        items: impl Stream<Item = u64> + Send,
    ) -> Result<impl Stream<Item = Result<u64, CallError>>, CallError> {
        Ok(iter(all(items).await.into_iter().map(|item| Ok(item * 2))))
    }
}

/// What an iterator gives, each at the second time of asking.
pub(crate) fn iter<I: Iterator>(items: I) -> impl Stream<Item = I::Item> + use<I> {
    struct Iter<I>(I, bool);

    impl<I: Iterator + Unpin> Stream for Iter<I> {
        type Item = I::Item;

        fn poll_next(
            mut self: Pin<&mut Self>,
            task: &mut std::task::Context<'_>,
        ) -> Poll<Option<I::Item>> {
            self.1 = !self.1;
            if self.1 {
                task.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(self.0.next())
        }
    }

    // In a box, whatever it is made of is `Unpin`.
    Iter(Box::new(items), false)
}

pub(crate) async fn all<S: Stream>(stream: S) -> Vec<S::Item> {
    let mut stream = pin!(stream);
    let mut items = Vec::new();
    while let Some(item) = poll_fn(|task| stream.as_mut().poll_next(task)).await {
        items.push(item);
    }
    items
}

/// Calls everything.
pub(crate) async fn everything_works(arith: &impl Arith) {
    let cx = Cx::new();
    assert_eq!(arith.multiply(&cx, Args { a: 6, b: 7 }).await, Ok(42));
    assert_eq!(
        arith.multiply(&cx, Args { a: i64::MAX, b: 2 }).await,
        Err(CallError::App("overflow".to_owned()))
    );
    assert_eq!(arith.divide(&cx, Args { a: 7, b: 2 }).await, Ok(3));
    assert_eq!(
        arith.divide(&cx, Args { a: 7, b: 0 }).await,
        Err(CallError::App(ArithError::DivideByZero))
    );
    assert_eq!(arith.add_up(-7, 8).await, Ok(15));
    assert_eq!(arith.forget().await, Ok(()));
    let kept = arith.keep(Plain { secret: 9 }).await.unwrap();
    assert_eq!(kept, BTreeMap::from([(9, vec![[2, 3]])]));
    assert_eq!(arith.r#type(&cx, 3).await, Ok(3));
    assert_eq!(arith.square(&cx, 9).await, Ok(81));
}

/// Calls whatever has a stream.
pub(crate) async fn streams_work(arith: &impl Arith) {
    let cx = Cx::new();
    assert_eq!(arith.total(&cx, iter([1, 2, 3].into_iter())).await, Ok(6));
    let counted = arith.count(&cx, 4).await.ok().unwrap();
    assert_eq!(all(counted).await, [Ok(0), Ok(1), Ok(2), Ok(3)]);
    let error = arith.count(&cx, 11).await.err().unwrap();
    assert_eq!(error, CallError::App(ArithError::Overflow { by: 2 }));
    let doubled = arith.doubled(iter([4, 5].into_iter())).await.ok().unwrap();
    assert_eq!(all(doubled).await, [Ok(8), Ok(10)]);
}

async fn all_works(arith: impl Arith) {
    everything_works(&arith).await;
    streams_work(&arith).await;
}

#[tokio::test]
async fn whatever_holds_a_service_is_one() {
    static REAL: Real = Real;
    all_works(Real).await;
    all_works(Arc::new(Real)).await;
    all_works(Box::new(Arc::new(Real))).await;
    all_works(&REAL).await;
    all_works(ArithProxy::wrap(Real, None)).await;
    all_works(Arc::new(Real) as Arc<dyn DynArith>).await;
    all_works(Arc::new(ArithProxy::wrap(&REAL, None)) as Arc<dyn DynArith>).await;
}

#[tokio::test]
async fn a_stream_of_the_boxed_twin_owns_all_it_needs() {
    let boxed: Arc<dyn DynArith> = Arc::new(Real);
    let cx = Cx::new();
    let counted = {
        let clone = Arc::clone(&boxed);
        Box::pin(clone.__count_boxed(cx.child(), 3)).await.ok().unwrap()
    };
    drop(boxed);
    let counted = tokio::spawn(all(counted)).await.unwrap();
    assert_eq!(counted, [Ok(0), Ok(1), Ok(2)]);
}

#[test]
fn the_description_says_what_travels() {
    assert_eq!(ArithProxy::SPEC.name, "Arith");
    let told: Vec<_> = ARITH_SPEC
        .methods
        .iter()
        .map(|it| format!("{}({}) -> {}", it.path, it.args_type, it.reply_type))
        .collect();
    assert_eq!(
        told,
        [
            "Arith.Multiply(Args) -> i64",
            "Arith.Divide(Args) -> i64",
            "Arith.Sum({ A: i64, UserId: u64 }) -> u64",
            "Arith.Forget(()) -> ()",
            "Arith.Keep(Plain) -> BTreeMap<u8, Vec<[u8; 2]>>",
            "Arith.Type(u8) -> u8",
            "Arith.Total(()) -> u64",
            "Arith.Count(u64) -> u64",
            "Arith.Doubled(()) -> u64",
            "Arith.Square(i64) -> i64",
        ]
    );
    let flags = |of: fn(&locum::service::Method) -> bool| -> Vec<_> {
        ARITH_SPEC.methods.iter().filter(|it| of(it)).map(|it| &it.path[6..]).collect()
    };
    assert_eq!(flags(|it| it.idempotent), ["Multiply", "Count"]);
    assert_eq!(flags(|it| it.heavy), ["Sum"]);
    assert_eq!(flags(|it| it.takes_stream), ["Total", "Doubled"]);
    assert_eq!(flags(|it| it.returns_stream), ["Count", "Doubled"]);
}

#[test]
fn without_a_name_a_service_is_called_as_its_trait() {
    #[locum::service]
    trait UserStore {
        async fn look_up(&self, name: String) -> Result<u64, CallError>;
    }

    assert_eq!(USER_STORE_SPEC.methods[0].path, "UserStore.LookUp");
    let _ = UserStoreMock::new();
}

/// What is written of a trait does not trouble whoever is strict with himself.
#[deny(warnings, missing_docs, unreachable_pub, unused, clippy::all, clippy::pedantic)]
#[expect(unreachable_pub, reason = "what others would see of it")]
pub mod strict {
    use locum::{CallError, Cx, Stream};

    /// A service.
    #[locum::service]
    pub trait Strict: Send + Sync + 'static {
        /// A method.
        #[method(idempotent)]
        async fn alone(&self, cx: &Cx) -> Result<(), CallError>;
        /// Another.
        async fn many(&self, cx: &Cx, a: u8, b: Option<String>) -> Result<u8, CallError>;
        /// A third.
        async fn streams(
            &self,
            items: impl Stream<Item = u8>,
        ) -> Result<impl Stream<Item = Result<u8, CallError>>, CallError>;
    }
}

#[tokio::test]
async fn a_mock_answers_and_keeps_what_was_asked() {
    let mock = ArithMock::new()
        .on_multiply(
            |cx, args| {
                if cx.is_cancelled() { Err("late".into()) } else { Ok(args.a * args.b) }
            },
        )
        .on_add_up(|a, user_id| Ok(a.unsigned_abs() + user_id))
        .on_keep(|_| Ok(BTreeMap::new()))
        .on_count(|_, to| Ok(iter((0..to).map(Ok))));
    let cx = Cx::new();
    assert_eq!(mock.multiply(&cx, Args { a: 6, b: 7 }).await, Ok(42));
    assert_eq!(mock.add_up(1, 2).await, Ok(3));
    assert_eq!(mock.keep(Plain { secret: 5 }).await, Ok(BTreeMap::new()));
    assert_eq!(all(mock.count(&cx, 2).await.ok().unwrap()).await, [Ok(0), Ok(1)]);
    let error = mock.divide(&cx, Args { a: 1, b: 0 }).await.unwrap_err();
    let text = "ArithMock has no answer to this; give it one with `on_divide`";
    assert_eq!(error, CallError::Internal(text.to_owned()));

    let calls: Vec<_> = mock.calls().iter().map(ToString::to_string).collect();
    assert_eq!(
        calls,
        [
            "Arith.Multiply(Args { a: 6, b: 7 })",
            "Arith.Sum(1, 2)",
            r#"Arith.Keep({"secret":5})"#,
            "Arith.Count(2)",
            "Arith.Divide(Args { a: 1, b: 0 })",
        ]
    );
}

#[tokio::test]
async fn clones_of_a_mock_are_one() {
    let mock = ArithMock::new();
    let inside: Arc<dyn DynArith> = Arc::new(mock.clone());
    let mock = mock.on_forget(|| Ok(()));
    assert_eq!(inside.forget().await, Ok(()));
    assert_eq!(mock.calls().len(), 1);
}
