//! What stands for a service in Rust.
//!
//! Names in what is written begin at `::locum`, and what only it uses is in `::locum::__private`.
//! Variables of its own have two underscores, so that no argument is in their way.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::spanned::Spanned as _;
use syn::{Error, FnArg, Ident, ItemTrait, TraitItem};

use crate::interface::Interface;
use crate::method::Method;
use crate::names::screaming;
use crate::signature::Reply;

mod boxed;
mod interface;
mod local;
mod mock;
mod proxy;
mod server;
mod spec;

/// All of it.
pub(crate) fn all(interface: &Interface) -> TokenStream {
    [
        interface::write(interface),
        spec::write(interface),
        proxy::write(interface),
        local::write(interface),
        server::write(interface),
        boxed::write(interface),
        mock::write(interface),
    ]
    .into_iter()
    .collect()
}

/// The trait without anything that was made of it, so that the mistakes are all there is to be told.
pub(crate) fn mistaken(mut item: ItemTrait, mistakes: &Error) -> TokenStream {
    for item in &mut item.items {
        let TraitItem::Fn(item) = item else { continue };
        item.attrs.retain(|attribute| !attribute.path().is_ident("method"));
        for input in &mut item.sig.inputs {
            if let FnArg::Typed(input) = input {
                input.attrs.clear();
            }
        }
    }
    let mistakes = mistakes.to_compile_error();
    quote! {
        #mistakes
        #[allow(async_fn_in_trait)]
        #item
    }
}

/// What the generated names are.
impl Interface {
    fn proxy(&self) -> Ident {
        format_ident!("{}Proxy", self.ident)
    }

    fn server(&self) -> Ident {
        format_ident!("{}Server", self.ident)
    }

    fn boxed(&self) -> Ident {
        format_ident!("Dyn{}", self.ident)
    }

    fn mock(&self) -> Ident {
        format_ident!("{}Mock", self.ident)
    }

    fn spec(&self) -> Ident {
        format_ident!("{}_SPEC", screaming(&self.ident.to_string()))
    }

    /// The struct in which the arguments of `method` travel, where there are several.
    fn arguments(&self, method: &Method) -> Ident {
        format_ident!(
            "__{}{}Arguments",
            self.ident,
            crate::names::pascal(&method.ident.to_string())
        )
    }

    /// The type of what travels.
    fn body(&self, method: &Method) -> TokenStream {
        match &method.arguments[..] {
            [] => quote!(()),
            [argument] => {
                let ty = &argument.ty;
                quote!(#ty)
            }
            _ => {
                let several = self.arguments(method);
                quote!(#several)
            }
        }
    }

    /// The arguments of `method`, put into what travels; or, as a pattern, taken out of it.
    fn pack(&self, method: &Method) -> TokenStream {
        let idents = method.arguments.iter().map(|argument| &argument.ident);
        match &method.arguments[..] {
            [] => quote!(()),
            [argument] => {
                let ident = &argument.ident;
                quote!(#ident)
            }
            _ => {
                let several = self.arguments(method);
                quote!(#several { #(#idents),* })
            }
        }
    }

    /// An implementation of the trait whose methods do what `body` says.
    fn implementation(
        &self,
        head: &TokenStream,
        body: impl Fn(usize, &Method) -> TokenStream,
    ) -> TokenStream {
        let methods = self.methods.iter().enumerate().map(|(number, method)| {
            let head = method.head();
            let body = body(number, method);
            quote!(#head { #body })
        });
        quote! {
            #[automatically_derived]
            #head {
                #(#methods)*
            }
        }
    }
}

impl Method {
    /// `async fn multiply(&self, __cx: &Cx, args: Args) -> Result<i64, CallError>`.
    fn head(&self) -> TokenStream {
        let Self { ident, .. } = self;
        let context = self.context.iter().map(|_| {
            let cx = cx();
            quote!(#cx: &::locum::Cx,)
        });
        let inputs = self.inputs();
        let output = &self.output.written;
        quote!(async fn #ident(&self, #(#context)* #inputs) -> #output)
    }

    /// `args: Args, items: impl Stream<Item = T> + Send + 'static`: all but the context.
    fn inputs(&self) -> TokenStream {
        let arguments = self.arguments.iter().map(|argument| {
            let (ident, ty) = (&argument.ident, &argument.ty);
            quote!(#ident: #ty)
        });
        let stream = self.stream.iter().map(|stream| {
            let (ident, item) = (&stream.ident, &stream.ty);
            quote!(#ident: impl ::locum::Stream<Item = #item> + ::core::marker::Send + 'static)
        });
        let inputs = arguments.chain(stream);
        quote!(#(#inputs),*)
    }

    /// The context by its name, with a comma behind it, if the method has one.
    fn pass_context(&self, context: &TokenStream) -> TokenStream {
        if self.context.is_some() { quote!(#context,) } else { TokenStream::new() }
    }

    /// Calls the method of `service`, as it was called itself.
    fn forward(&self, interface: &Interface, service: &TokenStream) -> TokenStream {
        let (name, ident) = (&interface.ident, &self.ident);
        let cx = cx();
        let context = self.pass_context(&quote!(#cx));
        let given = self.given();
        quote!(#name::#ident(#service, #context #(#given),*).await)
    }

    /// Makes sure that there is a context where the method has none.
    fn current(&self) -> TokenStream {
        match &self.context {
            Some(_) => TokenStream::new(),
            None => {
                let cx = cx();
                quote!(let #cx = &::locum::Cx::current();)
            }
        }
    }

    /// What it returns, where a stream has a type without a name: `stream` makes one of the items'.
    fn result(&self, stream: impl FnOnce(TokenStream) -> TokenStream) -> TokenStream {
        let error = &self.output.error;
        let ok = match &self.output.reply {
            Reply::Value(ty) => quote!(#ty),
            Reply::Stream(item) => {
                let item = quote!(::core::result::Result<#item, ::locum::CallError<#error>>);
                stream(item)
            }
        };
        quote!(::core::result::Result<#ok, ::locum::CallError<#error>>)
    }
}

/// `name`, where the compiler says of it what is wrong with the error of `method`.
fn at_error(name: &str, method: &Method) -> Ident {
    Ident::new(name, method.output.error.span())
}

/// The context, in what is written.
fn cx() -> Ident {
    Ident::new("__cx", Span::mixed_site())
}
