//! `#[locum::service]`: see the crate `locum`, which re-exports it.

use proc_macro::TokenStream;

/// Turns a trait into a remote service.
#[proc_macro_attribute]
pub fn service(_attribute: TokenStream, item: TokenStream) -> TokenStream {
    item
}
