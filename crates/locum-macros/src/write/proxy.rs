//! The proxy, and what it does where the service is elsewhere.

use proc_macro2::TokenStream;
use quote::quote;

use super::{at_error, cx};
use crate::interface::Interface;
use crate::method::Method;
use crate::signature::Reply;

pub(super) fn write(interface: &Interface) -> TokenStream {
    let Interface { visibility, ident, name, .. } = interface;
    let (proxy, spec) = (interface.proxy(), interface.spec());
    let docs = format!("Implements [`{ident}`] by calling a service `{name}`.");
    let calls = interface.implementation(&quote!(impl #ident for #proxy), |number, method| {
        call(interface, number, method)
    });
    quote! {
        #[doc = #docs]
        #[derive(Clone, Debug)]
        #visibility struct #proxy<C = ::locum::Channel> {
            inner: C,
        }

        #[automatically_derived]
        impl #proxy {
            /// What there is to know of the service.
            pub const SPEC: &'static ::locum::service::ServiceSpec = &#spec;

            /// A proxy of a service elsewhere, such as `gob://127.0.0.1:1234`. It connects when it is
            /// first called.
            pub fn connect(
                url: impl ::core::convert::Into<::std::string::String>,
            ) -> ::locum::channel::Builder<Self> {
                ::locum::channel::Builder::new(url)
            }
        }

        #[automatically_derived]
        impl<T: #ident> #proxy<::locum::Local<T>> {
            /// A proxy of a service in the same program: `policy` stands around it, nothing is
            /// serialised.
            pub fn wrap(
                service: T,
                policy: impl ::core::convert::Into<::core::option::Option<::locum::Policy>>,
            ) -> Self {
                let policy = ::core::convert::Into::into(policy);
                Self { inner: ::locum::Local::new(service, policy, &#spec) }
            }
        }

        #[automatically_derived]
        impl<C> #proxy<C> {
            /// What it calls through.
            pub fn inner(&self) -> &C {
                &self.inner
            }
        }

        #[automatically_derived]
        impl ::core::convert::From<::locum::Channel> for #proxy {
            fn from(channel: ::locum::Channel) -> Self {
                Self { inner: channel }
            }
        }

        #calls
    }
}

fn call(interface: &Interface, number: usize, method: &Method) -> TokenStream {
    let (spec, cx, current) = (interface.spec(), cx(), method.current());
    let args = interface.pack(method);
    let stream = method.stream.iter().map(|stream| &stream.ident);
    let call = match (&method.stream, &method.output.reply) {
        (None, Reply::Value(_)) => "call",
        (Some(_), Reply::Value(_)) => "call_sending",
        (None, Reply::Stream(_)) => "call_receiving",
        (Some(_), Reply::Stream(_)) => "call_exchanging",
    };
    let call = at_error(call, method);
    quote! {
        #current
        self.inner.#call(#cx, &#spec.methods[#number], #args #(, #stream)*).await
    }
}
