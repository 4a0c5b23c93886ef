//! What the proxy does where the service is in the same program.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::Ident;
use syn::spanned::Spanned as _;

use super::cx;
use crate::interface::Interface;
use crate::method::Method;
use crate::signature::Reply;

pub(super) fn write(interface: &Interface) -> TokenStream {
    let (ident, proxy) = (&interface.ident, interface.proxy());
    let head = quote!(impl<T: #ident> #ident for #proxy<::locum::Local<T>>);
    interface.implementation(&head, |number, method| call(interface, number, method))
}

/// Without a policy the service is called where the caller stands. With one the engine calls it, as
/// often as the policy says.
fn call(interface: &Interface, number: usize, method: &Method) -> TokenStream {
    let (ident, name) = (&interface.ident, &method.ident);
    let (spec, cx, current) = (interface.spec(), cx(), method.current());
    let given = method.given();
    let context = method.pass_context(&quote!(#cx));
    let attempts = attempts(interface, method);
    let (free, call) = match method.output.reply {
        Reply::Value(_) => (None, quote!(call)),
        Reply::Stream(_) => {
            (Some(quote!(.map(::locum::__private::Streaming::free))), quote!(stream))
        }
    };
    quote! {
        #current
        let __service = self.inner.service();
        match self.inner.guard() {
            ::core::option::Option::None => {
                let __call = #ident::#name(__service, #context #(#given),*);
                ::locum::__private::direct(#cx, __call).await #free
            }
            ::core::option::Option::Some(__guard) => {
                #attempts.#call(&#spec.methods[#number]).await
            }
        }
    }
}

/// What may be done again is given copies of its arguments; all else is given them once.
fn attempts(interface: &Interface, method: &Method) -> TokenStream {
    let (ident, name, cx) = (&interface.ident, &method.ident, cx());
    let given: Vec<_> = method.given().collect();
    // A stream may borrow from its context, and is there when the attempt is over.
    let context = match method.output.reply {
        Reply::Value(_) => quote!(&__attempt),
        Reply::Stream(_) => quote!(#cx),
    };
    let context = method.pass_context(&context);
    let work = quote!(#ident::#name(__service, #context #(#given),*).await);
    if method.idempotent && method.stream.is_none() {
        let copies = method.arguments.iter().map(|argument| {
            let ident = &argument.ident;
            // Where it is no Clone the argument's type is to blame, not the attribute.
            quote_spanned!(argument.ty.span()=> let #ident = ::locum::__private::repeat(&#ident);)
        });
        quote! {
            __guard.again(#cx, |__attempt| {
                #(#copies)*
                async move { #work }
            })
        }
    } else {
        let once = Ident::new("__once", Span::mixed_site());
        quote! {
            let #once = ::locum::__private::Once::new((#(#given,)*));
            __guard.once(#cx, |__attempt| {
                let #once = #once.take();
                async move {
                    let ::core::option::Option::Some((#(#given,)*)) = #once else {
                        return ::core::result::Result::Err(::locum::__private::sent_already());
                    };
                    #work
                }
            })
        }
    }
}
