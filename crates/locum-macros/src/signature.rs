//! What stands in the signature of a method.

use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{
    Error, GenericArgument, Ident, Lifetime, PathArguments, PathSegment, Result, ReturnType, Type,
    TypeImplTrait, TypeParamBound, TypeReference, parse_quote,
};

/// What a method returns.
pub(crate) struct Output {
    /// As it was written; a stream is `Send` besides.
    pub(crate) written: Type,
    pub(crate) reply: Reply,
    /// What the service itself fails with.
    pub(crate) error: Type,
}

/// What a call that went well returns.
pub(crate) enum Reply {
    Value(Type),
    /// A stream of results; of these.
    Stream(Type),
}

impl Reply {
    /// What travels.
    pub(crate) const fn ty(&self) -> &Type {
        match self {
            Self::Value(ty) | Self::Stream(ty) => ty,
        }
    }
}

impl Output {
    pub(crate) fn read(method: &Ident, output: &ReturnType) -> Result<Self> {
        let ReturnType::Type(_, written) = output else {
            return Err(Error::new_spanned(method, NO_RESULT));
        };
        let mut written = (**written).clone();
        let (ok, error) =
            result_of(&written).ok_or_else(|| Error::new_spanned(&written, NO_RESULT))?;
        check_owned(&error)?;
        let reply = match stream_of(&ok)? {
            None => {
                check_owned(&ok)?;
                Reply::Value(ok)
            }
            Some(item) => {
                let (item, same) =
                    result_of(&item).ok_or_else(|| Error::new_spanned(&item, ITEM_IS_NO_RESULT))?;
                if text(&same) != text(&error) {
                    return Err(Error::new_spanned(&same, OTHER_ERROR));
                }
                check_owned(&item)?;
                send_stream(&mut written);
                Reply::Stream(item)
            }
        };
        Ok(Self { written, reply, error })
    }
}

const NO_RESULT: &str = "a call can fail; return `Result<T, CallError>`, or \
                         `Result<T, CallError<E>>` where the service has errors of its own";
const ITEM_IS_NO_RESULT: &str = "a stream can break in the middle; its items are results: `impl Stream<Item = Result<T, CallError>>`";
const OTHER_ERROR: &str =
    "a method has one error of its own; name the same one here and behind the stream";

fn text(syntax: &impl ToTokens) -> String {
    syntax.to_token_stream().to_string()
}

/// `T` and `E` of `Result<T, CallError<E>>`.
fn result_of(ty: &Type) -> Option<(Type, Type)> {
    let result = last_segment(ty).filter(|it| it.ident == "Result")?;
    let [ok, error] = &arguments(result)[..] else { return None };
    let error = last_segment(error).filter(|it| it.ident == "CallError")?;
    let error = match &arguments(error)[..] {
        [] if error.arguments.is_none() => parse_quote!(::std::string::String),
        [error] => error.clone(),
        _ => return None,
    };
    Some((ok.clone(), error))
}

fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match ty {
        Type::Path(path) => path.path.segments.last(),
        Type::Group(group) => last_segment(&group.elem),
        Type::Paren(paren) => last_segment(&paren.elem),
        _ => None,
    }
}

/// The types between the angle brackets.
fn arguments(segment: &PathSegment) -> Vec<Type> {
    let PathArguments::AngleBracketed(arguments) = &segment.arguments else { return Vec::new() };
    let types = arguments.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty.clone()),
        _ => None,
    });
    types.collect()
}

/// Whether `ty` is `Cx`, or a reference to it.
pub(crate) fn is_context(ty: &Type) -> bool {
    let ty = match ty {
        Type::Reference(reference) => &reference.elem,
        other => other,
    };
    last_segment(ty).is_some_and(|it| it.ident == "Cx" && it.arguments.is_none())
}

/// `T`, if `ty` is `impl Stream<Item = T>`.
///
/// # Errors
///
/// It is another `impl`.
pub(crate) fn stream_of(ty: &Type) -> Result<Option<Type>> {
    let Type::ImplTrait(it) = ty else { return Ok(None) };
    match it.bounds.iter().find_map(item_of) {
        Some(item) => Ok(Some(item)),
        None => Err(Error::new_spanned(it, OTHER_IMPL)),
    }
}

const OTHER_IMPL: &str = "both sides have to know the type; name it, or take a stream as the last \
                          argument or return one: `impl Stream<Item = T>`";

/// `T` of `Stream<Item = T>`.
fn item_of(bound: &TypeParamBound) -> Option<Type> {
    let TypeParamBound::Trait(bound) = bound else { return None };
    let stream = bound.path.segments.last().filter(|it| it.ident == "Stream")?;
    let PathArguments::AngleBracketed(arguments) = &stream.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(it) if it.ident == "Item" => Some(it.ty.clone()),
        _ => None,
    })
}

/// Adds `Send` to the stream that `output` returns, which a task takes along.
fn send_stream(output: &mut Type) {
    struct Sending;

    impl syn::visit_mut::VisitMut for Sending {
        fn visit_type_impl_trait_mut(&mut self, it: &mut TypeImplTrait) {
            let sends = it.bounds.iter().any(|bound| text(bound).ends_with("Send"));
            if !sends {
                it.bounds.push(parse_quote!(::core::marker::Send));
            }
        }
    }

    syn::visit_mut::VisitMut::visit_type_mut(&mut Sending, output);
}

/// Whether values of `ty` can be taken off a wire: nothing is borrowed, nothing is left open.
pub(crate) fn check_owned(ty: &Type) -> Result<()> {
    let mut search = Search(None);
    search.visit_type(ty);
    search.0.map_or(Ok(()), Err)
}

/// What cannot travel.
struct Search(Option<Error>);

impl<'ast> Visit<'ast> for Search {
    fn visit_type_reference(&mut self, reference: &'ast TypeReference) {
        let remedy = match &*reference.elem {
            Type::Slice(_) => "take a `Vec`",
            Type::Path(path) if path.path.is_ident("str") => "take a `String`",
            _ => "take the value itself",
        };
        let reason =
            format!("what travels belongs to whom it comes to, so nothing is borrowed; {remedy}");
        self.0 = Some(Error::new_spanned(reference, reason));
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        let reason = "what travels belongs to whom it comes to, so nothing is borrowed; \
                      take a type without lifetimes";
        self.0 = Some(Error::new_spanned(lifetime, reason));
    }

    fn visit_type_impl_trait(&mut self, it: &'ast TypeImplTrait) {
        self.0 = Some(Error::new_spanned(it, OTHER_IMPL));
    }

    fn visit_type(&mut self, ty: &'ast Type) {
        if let Type::Infer(it) = ty {
            self.0 = Some(Error::new_spanned(it, "both sides have to know the type; name it"));
        }
        visit::visit_type(self, ty);
    }
}
