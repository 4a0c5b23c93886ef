//! `#[locum::service]` and `#[derive(locum::AppError)]`: see the crate `locum`, which re-exports them.
//!
//! A trait is read into an `Interface` (interface.rs), in which every mistake has been found,
//! and from that all is written that stands for it.

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemTrait, parse_macro_input};

mod app_error;
mod interface;
mod method;
mod names;
mod signature;
mod write;

/// Turns a trait into a remote service.
///
/// The trait stays a trait: whatever implements it is a service, and so is the proxy that calls one
/// elsewhere.
///
/// ```ignore
/// #[locum::service(name = "Arith")]
/// pub trait Arith {
///     /// Licence to retry and to hedge.
///     #[method(idempotent)]
///     async fn multiply(&self, cx: &Cx, args: Args) -> Result<i64, CallError>;
///     async fn divide(&self, cx: &Cx, args: Args) -> Result<Quotient, CallError<ArithError>>;
/// }
/// ```
///
/// # The trait
///
/// Each `async fn` becomes a `fn` that returns `impl Future + Send`, and is implemented as `async fn`; the
/// trait is `Send + Sync + 'static`. A method has
///
/// - `&self`;
/// - `cx: &Cx`, or not: then it goes by [`Cx::current`];
/// - no argument, or one, which travels as it is, or several, which travel as one struct that is named by
///   them in Go's spelling: `user_id` is `UserId`. They are owned, and serde can write and read them;
/// - perhaps, as the last, `impl Stream<Item = T>`; whoever implements it adds `+ Send`;
/// - a result, `Result<T, CallError>` or `Result<T, CallError<E>>` where `E` is an `AppError`; `T` may be
///   `impl Stream<Item = Result<T, CallError<E>>>`;
/// - perhaps a body, for those who implement the trait without it. A proxy always asks the service.
///
/// On the wire a method is called `Service.Method`: the name given by `name`, otherwise that of the trait,
/// and the method's in Go's spelling. `#[method(…)]` takes
///
/// - `name = "…"`: another name;
/// - `idempotent`: doing it twice does no harm, so it may be tried again and hedged. Its arguments have to
///   be `Clone` then;
/// - `heavy`: it takes the processor for long, so a server gives it a task of its own from the start.
///
/// # What it generates
///
/// For a trait `Arith`:
///
/// - `ArithProxy`, which implements it by calling: `ArithProxy::connect(url)` a service elsewhere,
///   `ArithProxy::wrap(service, policy)` one in the same program;
/// - `ArithServer::new(service)`, for a `Server` to serve;
/// - `DynArith`, for `Arc<dyn DynArith>`, which implements it too, as do `Arc<T>`, `Box<T>` and `&'static T`;
/// - `ArithMock`, for tests;
/// - `ARITH_SPEC`, the names and types.
///
/// [`Cx::current`]: https://docs.rs/locum/latest/locum/struct.Cx.html#method.current
#[proc_macro_attribute]
pub fn service(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut settings = interface::Settings::default();
    let parser = syn::meta::parser(|meta| settings.read(&meta));
    parse_macro_input!(attribute with parser);
    let item = parse_macro_input!(item as ItemTrait);
    match interface::Interface::new(settings, item.clone()) {
        Ok(interface) => write::all(&interface),
        Err(mistakes) => write::mistaken(item, &mistakes),
    }
    .into()
}

/// Makes an enum the error of a service: each of its variants without fields is told by its text.
///
/// On most wires an error is its text ([`Display`](std::fmt::Display)) and nothing else. A text that is
/// none of the enum's is caught by the variant that is marked `#[app_error(other)]`, which holds a
/// `String`. Variants with other fields arrive as that too, unless the enum travels as a value:
/// `#[app_error(value)]` on the enum sends it so where there is room for it (on the native protocol); it
/// has to be `Serialize` and `Deserialize` then. `#[app_error(code = 404)]` on a variant is its number on
/// JSON-RPC 2.0.
///
/// ```ignore
/// #[derive(Debug, locum::AppError)]
/// enum ArithError {
///     DivideByZero,
///     #[app_error(other)]
///     Other(String),
/// }
/// ```
#[proc_macro_derive(AppError, attributes(app_error))]
pub fn app_error(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    app_error::derive(&item).unwrap_or_else(syn::Error::into_compile_error).into()
}
