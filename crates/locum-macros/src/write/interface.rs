//! The trait itself.

use proc_macro2::TokenStream;
use quote::quote;

use crate::interface::Interface;
use crate::method::Method;

pub(super) fn write(interface: &Interface) -> TokenStream {
    let Interface { attributes, visibility, ident, methods, .. } = interface;
    let methods = methods.iter().map(method);
    quote! {
        #(#attributes)*
        #visibility trait #ident: ::core::marker::Send + ::core::marker::Sync + 'static {
            #(#methods)*
        }
    }
}

/// The future that a method returns is told to be `Send`, which `async fn` in a trait cannot say.
fn method(method: &Method) -> TokenStream {
    let Method { attributes, ident, context, body, .. } = method;
    let context = context.iter();
    let inputs = method.inputs();
    let output = &method.output.written;
    let body = body.as_ref().map_or_else(|| quote!(;), |body| quote!({ async move #body }));
    quote! {
        #(#attributes)*
        fn #ident(&self, #(#context,)* #inputs)
            -> impl ::core::future::Future<Output = #output> + ::core::marker::Send
        #body
    }
}
