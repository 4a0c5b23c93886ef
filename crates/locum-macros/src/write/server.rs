//! What a server serves.

use proc_macro2::TokenStream;
use quote::quote;

use super::{at_error, cx};
use crate::interface::Interface;
use crate::method::Method;
use crate::signature::Reply;

pub(super) fn write(interface: &Interface) -> TokenStream {
    let Interface { visibility, ident, name, .. } = interface;
    let (server, spec) = (interface.server(), interface.spec());
    let docs = format!("Serves something that implements [`{ident}`] as `{name}`.");
    let arms = interface.methods.iter().enumerate().map(|(number, method)| {
        let handler = handler(interface, method);
        quote!(#number => #handler)
    });
    quote! {
        #[doc = #docs]
        #[derive(Debug)]
        #visibility struct #server<T> {
            service: ::std::sync::Arc<T>,
        }

        #[automatically_derived]
        impl<T: #ident> #server<T> {
            /// Serves `service`.
            pub fn new(service: T) -> Self {
                Self { service: ::std::sync::Arc::new(service) }
            }
        }

        #[automatically_derived]
        impl<T> ::core::clone::Clone for #server<T> {
            fn clone(&self) -> Self {
                Self { service: ::std::sync::Arc::clone(&self.service) }
            }
        }

        #[automatically_derived]
        impl<T: #ident> ::locum::service::Service for #server<T> {
            fn spec(&self) -> &'static ::locum::service::ServiceSpec {
                &#spec
            }

            fn call(
                &self,
                __method: usize,
                __call: ::locum::service::Incoming<'_>,
            ) -> ::core::result::Result<::locum::service::Handler, ::locum::__private::DecodeError> {
                let __service = ::std::sync::Arc::clone(&self.service);
                match __method {
                    #(#arms)*
                    _ => ::core::result::Result::Err(::locum::__private::no_such_method(__method)),
                }
            }
        }
    }
}

/// The argument is taken from the buffer that the call came in; the rest is for later.
fn handler(interface: &Interface, method: &Method) -> TokenStream {
    let (ident, name, cx) = (&interface.ident, &method.ident, cx());
    let (pattern, body) = (interface.pack(method), interface.body(method));
    let context = method.pass_context(&quote!(&#cx));
    let given = method.given();
    let keep_context = method.context.is_some().then(|| quote!(let #cx = __call.cx.clone();));
    let items = method.stream.iter().map(|stream| {
        let ident = &stream.ident;
        quote!(let #ident = __call.items.typed();)
    });
    let answer = match method.output.reply {
        Reply::Value(_) => {
            let finish = at_error("finish", method);
            quote!(__responder.#finish(&__result))
        }
        Reply::Stream(_) => {
            let stream = at_error("stream", method);
            quote!(__responder.#stream(__result).await)
        }
    };
    quote! {{
        let #pattern: #body = __call.args.decode()?;
        #(#items)*
        #keep_context
        let __responder = __call.responder;
        ::core::result::Result::Ok(::std::boxed::Box::pin(async move {
            let __result = #ident::#name(&*__service, #context #(#given),*).await;
            #answer;
        }))
    }}
}
