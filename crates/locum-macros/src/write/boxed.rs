//! The boxed twin, and what implements the trait because something in it does.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::Ident;

use super::cx;
use crate::interface::Interface;
use crate::method::Method;
use crate::signature::Reply;

pub(super) fn write(interface: &Interface) -> TokenStream {
    let ident = &interface.ident;
    let pointers = [
        (quote!(::std::sync::Arc<T>), quote!(&**self)),
        (quote!(::std::boxed::Box<T>), quote!(&**self)),
        (quote!(&'static T), quote!(*self)),
    ];
    let pointers = pointers.iter().map(|(pointer, service)| {
        interface.implementation(&quote!(impl<T: #ident> #ident for #pointer), |_, method| {
            method.forward(interface, service)
        })
    });
    let twin = twin(interface);
    quote!(#twin #(#pointers)*)
}

fn twin(interface: &Interface) -> TokenStream {
    let Interface { visibility, ident, methods, .. } = interface;
    let boxed = interface.boxed();
    let docs = format!(
        "[`{ident}`] for `dyn`: whatever implements that is one of these, and `Arc<dyn {boxed}>` \
         implements [`{ident}`] again."
    );
    let declared = methods.iter().map(head);
    let implemented = methods.iter().map(|method| {
        let (head, body) = (head(method), box_call(interface, method));
        quote!(#head { #body })
    });
    let back = quote!(impl #ident for ::std::sync::Arc<dyn #boxed>);
    let back = interface.implementation(&back, |_, method| call_boxed(interface, method));
    quote! {
        #[doc = #docs]
        #visibility trait #boxed: ::core::marker::Send + ::core::marker::Sync + 'static {
            #(#[doc(hidden)] #declared;)*
        }

        #[automatically_derived]
        impl<T: #ident> #boxed for T {
            #(#implemented)*
        }

        #back
    }
}

/// Another name: with both traits in scope a call of the one would be ambiguous.
fn name(method: &Method) -> Ident {
    format_ident!("__{}_boxed", crate::names::bare(&method.ident))
}

/// A stream that is returned takes along whatever it borrows from, so that it has a type.
fn head(method: &Method) -> TokenStream {
    let (name, cx) = (name(method), cx());
    let arguments = method.arguments.iter().map(|argument| {
        let (ident, ty) = (&argument.ident, &argument.ty);
        quote!(#ident: #ty)
    });
    let stream = method.stream.iter().map(|stream| {
        let (ident, item) = (&stream.ident, &stream.ty);
        quote!(#ident: ::locum::__private::BoxStream<#item>)
    });
    let inputs = arguments.chain(stream);
    let result = method.result(|item| quote!(::locum::__private::BoxStream<#item>));
    if streams(method) {
        let context = method.context.iter().map(|_| quote!(#cx: ::locum::Cx,));
        quote! {
            fn #name(self: ::std::sync::Arc<Self>, #(#context)* #(#inputs),*)
                -> ::locum::__private::BoxFuture<'static, #result>
        }
    } else {
        let context = method.context.iter().map(|_| quote!(#cx: &'a ::locum::Cx,));
        quote! {
            fn #name<'a>(&'a self, #(#context)* #(#inputs),*)
                -> ::locum::__private::BoxFuture<'a, #result>
        }
    }
}

const fn streams(method: &Method) -> bool {
    matches!(method.output.reply, Reply::Stream(_))
}

fn box_call(interface: &Interface, method: &Method) -> TokenStream {
    let (ident, name, cx) = (&interface.ident, &method.ident, cx());
    let given = method.given();
    if streams(method) {
        let context = method.pass_context(&quote!(&#cx));
        quote! {
            ::std::boxed::Box::pin(::locum::__private::relay(move |__relay| async move {
                __relay.pass(#ident::#name(&*self, #context #(#given),*).await).await
            }))
        }
    } else {
        let context = method.pass_context(&quote!(#cx));
        quote!(::std::boxed::Box::pin(#ident::#name(self, #context #(#given),*)))
    }
}

fn call_boxed(interface: &Interface, method: &Method) -> TokenStream {
    let (boxed, name, cx) = (interface.boxed(), name(method), cx());
    let arguments = method.arguments.iter().map(|argument| {
        let ident = &argument.ident;
        quote!(#ident)
    });
    let stream = method.stream.iter().map(|stream| {
        let ident = &stream.ident;
        quote!(::std::boxed::Box::pin(#ident))
    });
    let given = arguments.chain(stream);
    let (service, context) = if streams(method) {
        (quote!(::std::sync::Arc::clone(self)), quote!(::core::clone::Clone::clone(#cx)))
    } else {
        (quote!(&**self), quote!(#cx))
    };
    let context = method.pass_context(&context);
    quote!(#boxed::#name(#service, #context #(#given),*).await)
}
