//! A stand-in for tests.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;

use super::cx;
use crate::interface::Interface;
use crate::method::Method;
use crate::names::bare;
use crate::signature::Reply;

pub(super) fn write(interface: &Interface) -> TokenStream {
    let Interface { visibility, ident, methods, .. } = interface;
    let (mock, state) = (interface.mock(), format_ident!("__{}MockState", ident));
    let docs = format!(
        "A [`{ident}`] for tests: a closure answers each method, and the calls are kept. \
         Its clones are the same mock."
    );
    let fields = methods.iter().map(|method| {
        let (ident, answer) = (&method.ident, answer_type(method));
        quote!(#ident: ::locum::mock::Answer<dyn #answer>)
    });
    let setters = methods.iter().map(setter);
    let head = quote!(impl #ident for #mock);
    let calls = interface.implementation(&head, |number, method| answer(interface, number, method));
    quote! {
        #[doc = #docs]
        #[derive(Clone, Default)]
        #visibility struct #mock {
            state: ::std::sync::Arc<#state>,
        }

        #[derive(Default)]
        struct #state {
            __log: ::locum::mock::Log,
            #(#fields),*
        }

        #[automatically_derived]
        impl #mock {
            /// A mock that answers no method: each call fails, and says what to do about it.
            pub fn new() -> Self {
                Self::default()
            }

            /// The calls so far, in the order in which they came.
            pub fn calls(&self) -> ::std::vec::Vec<::locum::mock::Call> {
                self.state.__log.calls()
            }

            #(#setters)*
        }

        #calls
    }
}

fn on(method: &Method) -> Ident {
    format_ident!("on_{}", bare(&method.ident))
}

/// The types of what the closure is given.
fn inputs(method: &Method) -> Vec<TokenStream> {
    let context = method.context.iter().map(|_| quote!(&::locum::Cx));
    let arguments = method.arguments.iter().map(|argument| {
        let ty = &argument.ty;
        quote!(#ty)
    });
    let stream = method.stream.iter().map(|stream| {
        let item = &stream.ty;
        quote!(::locum::__private::BoxStream<#item>)
    });
    context.chain(arguments).chain(stream).collect()
}

/// The type of the closure that answers `method`.
fn answer_type(method: &Method) -> TokenStream {
    let inputs = inputs(method);
    let result = method.result(|item| quote!(::locum::__private::BoxStream<#item>));
    quote!(Fn(#(#inputs),*) -> #result + ::core::marker::Send + ::core::marker::Sync)
}

fn setter(method: &Method) -> TokenStream {
    let (ident, on, inputs) = (&method.ident, on(method), inputs(method));
    let docs = format!("Has `answer` answer calls of `{ident}` from now on.");
    let names: Vec<_> = (0..inputs.len()).map(|at| format_ident!("__{at}")).collect();
    let (stream, result, answer) = match &method.output.reply {
        Reply::Value(_) => (None, method.result(|item| item), quote!(answer)),
        Reply::Stream(_) => {
            let error = &method.output.error;
            let item = method.output.reply.ty();
            let item = quote!(::core::result::Result<#item, ::locum::CallError<#error>>);
            let stream = quote!(
                <S: ::locum::Stream<Item = #item> + ::core::marker::Send + 'static>
            );
            let boxed = quote!(
                move |#(#names: #inputs),*| answer(#(#names),*).map(::locum::__private::boxed)
            );
            (Some(stream), method.result(|_| quote!(S)), boxed)
        }
    };
    quote! {
        #[doc = #docs]
        #[must_use]
        pub fn #on #stream(
            self,
            answer: impl Fn(#(#inputs),*) -> #result
                + ::core::marker::Send + ::core::marker::Sync + 'static,
        ) -> Self {
            self.state.#ident.set(::std::sync::Arc::new(#answer));
            self
        }
    }
}

fn answer(interface: &Interface, number: usize, method: &Method) -> TokenStream {
    let (spec, cx, ident) = (interface.spec(), cx(), &method.ident);
    let (mock, on) = (interface.mock().to_string(), on(method).to_string());
    let context = method.pass_context(&quote!(#cx));
    let shown = method.arguments.iter().map(|argument| {
        let ident = &argument.ident;
        quote!((&&::locum::__private::Shown(&#ident)).shown())
    });
    let arguments = method.arguments.iter().map(|argument| {
        let ident = &argument.ident;
        quote!(#ident)
    });
    let stream = method.stream.iter().map(|stream| {
        let ident = &stream.ident;
        quote!(::std::boxed::Box::pin(#ident))
    });
    let given = arguments.chain(stream);
    quote! {
        {
            #[allow(unused_imports)]
            use ::locum::__private::{ByDebug as _, ByJson as _};
            self.state.__log.add(#spec.methods[#number].path, &[#(#shown),*]);
        }
        match self.state.#ident.get() {
            ::core::option::Option::Some(__answer) => __answer(#context #(#given),*),
            ::core::option::Option::None => {
                ::core::result::Result::Err(::locum::mock::unanswered(#mock, #on))
            }
        }
    }
}
