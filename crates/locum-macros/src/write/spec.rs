//! The description, and what several arguments travel in.

use proc_macro2::TokenStream;
use quote::quote;

use crate::interface::Interface;
use crate::method::Method;
use crate::names::{pascal, written};
use crate::signature::Reply;

pub(super) fn write(interface: &Interface) -> TokenStream {
    let Interface { visibility, name, methods, .. } = interface;
    let (spec, count) = (interface.spec(), methods.len());
    let docs = format!("What there is to know of the service `{name}`.");
    let several = methods.iter().filter(|method| method.arguments.len() > 1);
    let several = several.map(|method| arguments(interface, method));
    let methods = methods.iter().map(|method| describe(interface, method));
    quote! {
        #(#several)*

        #[doc = #docs]
        #visibility static #spec: ::locum::service::ServiceSpec = ::locum::service::ServiceSpec {
            name: #name,
            methods: {
                // What is found out about types later is kept here, so it cannot be a constant.
                static __METHODS: [::locum::service::Method; #count] = [#(#methods),*];
                &__METHODS
            },
        };
    }
}

fn describe(interface: &Interface, method: &Method) -> TokenStream {
    let path = interface.path(method);
    let Method { idempotent, heavy, .. } = method;
    let takes_stream = method.stream.is_some();
    let returns_stream = matches!(method.output.reply, Reply::Stream(_));
    let (args, reply) = (interface.body(method), method.output.reply.ty());
    let args_type = match &method.arguments[..] {
        [] => "()".to_owned(),
        [argument] => written(&argument.ty),
        several => {
            let fields =
                several.iter().map(|it| format!("{}: {}", it.field_name(), written(&it.ty)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
    };
    let reply_type = written(reply);
    quote! {
        ::locum::service::Method {
            path: #path,
            idempotent: #idempotent,
            heavy: #heavy,
            args: ::locum::__private::Shape::of::<#args>(),
            args_type: #args_type,
            reply: ::locum::__private::Shape::of::<#reply>(),
            reply_type: #reply_type,
            takes_stream: #takes_stream,
            returns_stream: #returns_stream,
        }
    }
}

/// Several arguments travel as the fields of a struct, in Go's spelling.
fn arguments(interface: &Interface, method: &Method) -> TokenStream {
    let ident = interface.arguments(method);
    let visibility = &interface.visibility;
    let name = format!("{}Args", pascal(&method.ident.to_string()));
    let fields = method.arguments.iter().map(|argument| {
        let (ident, ty, name) = (&argument.ident, &argument.ty, argument.field_name());
        quote!(#[serde(rename = #name)] #ident: #ty)
    });
    quote! {
        #[doc(hidden)]
        #[derive(::locum::__private::serde::Serialize, ::locum::__private::serde::Deserialize)]
        #[serde(crate = "::locum::__private::serde", rename = #name)]
        #visibility struct #ident {
            #(#fields),*
        }
    }
}
