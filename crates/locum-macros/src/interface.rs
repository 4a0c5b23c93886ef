//! The trait of a service, as it was written.

use std::collections::HashMap;

use proc_macro2::Span;
use syn::meta::ParseNestedMeta;
use syn::{
    Attribute, Error, Ident, ItemTrait, LitStr, Result, TraitItem, TypeParamBound, Visibility,
};

use crate::method::Method;

/// The trait of a service.
pub(crate) struct Interface {
    /// Documentation and whatever else stands above it.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) ident: Ident,
    /// The service's name on the wire.
    pub(crate) name: String,
    pub(crate) methods: Vec<Method>,
}

/// What `#[locum::service(…)]` says.
#[derive(Default)]
pub(crate) struct Settings {
    name: Option<LitStr>,
}

impl Settings {
    pub(crate) fn read(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if !meta.path.is_ident("name") {
            return Err(meta.error("not a setting of a service; there is `name = \"…\"`"));
        }
        let name: LitStr = meta.value()?.parse()?;
        check_name(&name.value(), name.span())?;
        self.name = Some(name);
        Ok(())
    }
}

impl Interface {
    /// Reads `item`.
    ///
    /// # Errors
    ///
    /// All the mistakes in it.
    pub(crate) fn new(settings: Settings, item: ItemTrait) -> Result<Self> {
        let mut mistakes = Mistakes::default();
        check_head(&item, &mut mistakes);
        let mut methods = Vec::new();
        for item in item.items {
            match item {
                TraitItem::Fn(item) => methods.extend(mistakes.note(Method::new(item))),
                other => {
                    mistakes.add(&other, "a service has methods and nothing else; move this out");
                }
            }
        }
        check_methods(&methods, &mut mistakes);
        mistakes.none()?;
        let name = settings.name.map_or_else(|| item.ident.to_string(), |name| name.value());
        Ok(Self { attributes: item.attrs, visibility: item.vis, ident: item.ident, name, methods })
    }

    /// `Service.Method` of `method`.
    pub(crate) fn path(&self, method: &Method) -> String {
        format!("{}.{}", self.name, method.name)
    }
}

fn check_head(item: &ItemTrait, mistakes: &mut Mistakes) {
    if let Some(token) = &item.unsafety {
        mistakes.add(token, "a service is safe to implement; drop `unsafe`");
    }
    if let Some(attribute) = item.attrs.iter().find(|it| it.path().is_ident("cfg")) {
        let reason = "what is made of the trait would stay without it; \
                      put `#[cfg]` above `#[locum::service]`";
        mistakes.add(attribute, reason);
    }
    if !item.generics.params.is_empty() || item.generics.where_clause.is_some() {
        let reason = "a service has no parameters, since both sides have to know its types; \
                      write one trait for each set of types";
        mistakes.add(&item.generics, reason);
    }
    for bound in item.supertraits.iter().filter(|bound| !is_given(bound)) {
        let reason = "a service has no supertraits, since its proxy could not implement them; \
                      ask for this where it is needed: `fn work(service: impl Arith + Other)`";
        mistakes.add(bound, reason);
    }
    if item.items.is_empty() {
        mistakes.add(&item.ident, "there is nothing to call; write a method");
    }
}

/// Whether a service has `bound` anyway.
fn is_given(bound: &TypeParamBound) -> bool {
    match bound {
        TypeParamBound::Lifetime(lifetime) => lifetime.ident == "static",
        TypeParamBound::Trait(bound) => {
            bound.path.segments.last().is_some_and(|it| it.ident == "Send" || it.ident == "Sync")
        }
        _ => false,
    }
}

fn check_methods(methods: &[Method], mistakes: &mut Mistakes) {
    let mut names = HashMap::new();
    for method in methods {
        if let Some(first) = names.insert(&method.name, &method.ident) {
            let reason = format!(
                "`{first}` is called `{}` on the wire too; \
                 give one of them another name: `#[method(name = \"…\")]`",
                method.name
            );
            mistakes.add(&method.ident, reason);
        }
    }
}

/// Whether `name` may name a service. It may hold dots: a method's name stands behind the last.
fn check_name(name: &str, span: Span) -> Result<()> {
    let printable = name.chars().all(|letter| !letter.is_whitespace() && !letter.is_control());
    if name.is_empty() || !printable {
        return Err(Error::new(span, "a name on the wire is not empty and has no white space"));
    }
    Ok(())
}

/// Whether `name` may name a method.
pub(crate) fn check_method_name(name: &str, span: Span) -> Result<()> {
    if name.contains('.') {
        return Err(Error::new(span, "the last dot stands before a method's name, so it has none"));
    }
    check_name(name, span)
}

/// All that is wrong, so that it is told at once.
#[derive(Default)]
pub(crate) struct Mistakes(Option<Error>);

impl Mistakes {
    pub(crate) fn add(&mut self, place: &impl quote::ToTokens, reason: impl std::fmt::Display) {
        self.combine(Error::new_spanned(place, reason));
    }

    /// What `result` is, if it is no mistake.
    pub(crate) fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.combine(error)).ok()
    }

    pub(crate) fn none(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }

    fn combine(&mut self, error: Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }
}
