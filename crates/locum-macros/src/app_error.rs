//! The error of a service.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Data, DataEnum, DeriveInput, Error, Expr, Fields, Ident, Result, Type};

/// Implements `AppError` for the enum that `item` is.
pub(crate) fn derive(item: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(variants) = &item.data else {
        return Err(Error::new_spanned(&item.ident, NO_ENUM));
    };
    if !item.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &item.generics,
            "both sides have to know the type; drop the parameters",
        ));
    }
    let settings = Settings::of_enum(&item.attrs)?;
    let Variants { told, other, codes } = Variants::read(&item.ident, variants)?;
    let code = (!codes.is_empty()).then(|| {
        quote! {
            fn code(&self) -> ::core::option::Option<i64> {
                match self {
                    #(#codes)*
                    #[allow(unreachable_patterns)]
                    _ => ::core::option::Option::None,
                }
            }
        }
    });
    let value = settings.value.then(|| {
        quote! {
            fn to_bytes(&self) -> ::core::option::Option<::std::vec::Vec<u8>> {
                ::locum::__private::to_bytes(self)
            }

            fn from_bytes(bytes: &[u8]) -> ::core::option::Option<Self> {
                ::locum::__private::from_bytes(bytes)
            }
        }
    });
    let ident = &item.ident;
    Ok(quote! {
        #[automatically_derived]
        impl ::locum::AppError for #ident {
            fn from_text(text: ::std::string::String) -> Self {
                #(
                    if text == ::std::string::ToString::to_string(&Self::#told) {
                        return Self::#told;
                    }
                )*
                Self::#other(text)
            }

            #code
            #value
        }
    })
}

const NO_ENUM: &str = "an error of a service is an enum of what can go wrong";
const NO_TEXT: &str = "this catches whatever a peer says; write `Other(String)`";
const NO_OTHER: &str = "a peer may put an error into words that are none of these; add a variant for \
                        them: `#[app_error(other)] Other(String)`";

/// What the variants say.
struct Variants<'a> {
    /// Those that are told by their text.
    told: Vec<&'a Ident>,
    /// The one that catches all other texts.
    other: &'a Ident,
    codes: Vec<TokenStream>,
}

impl<'a> Variants<'a> {
    fn read(ident: &Ident, variants: &'a DataEnum) -> Result<Self> {
        let (mut told, mut other, mut codes) = (Vec::new(), None, Vec::new());
        for variant in &variants.variants {
            let (name, fields) = (&variant.ident, &variant.fields);
            let settings = Settings::of_variant(&variant.attrs)?;
            if settings.other {
                if !holds_text(fields) {
                    return Err(Error::new_spanned(variant, NO_TEXT));
                }
                if other.replace(name).is_some() {
                    return Err(Error::new_spanned(variant, "one variant catches all other texts"));
                }
            } else if matches!(fields, Fields::Unit) {
                told.push(name);
            }
            if let Some(code) = settings.code {
                codes.push(quote!(Self::#name { .. } => ::core::option::Option::Some(#code),));
            }
        }
        let other = other.ok_or_else(|| Error::new_spanned(ident, NO_OTHER))?;
        Ok(Self { told, other, codes })
    }
}

/// Whether `fields` are `(String)`.
fn holds_text(fields: &Fields) -> bool {
    let Fields::Unnamed(fields) = fields else { return false };
    let mut types = fields.unnamed.iter().map(|field| &field.ty);
    let (first, second) = (types.next(), types.next());
    let is_string = |ty: &Type| match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|it| it.ident == "String"),
        _ => false,
    };
    first.is_some_and(is_string) && second.is_none()
}

/// What `#[app_error(…)]` says.
#[derive(Default)]
struct Settings {
    other: bool,
    code: Option<Expr>,
    value: bool,
}

impl Settings {
    fn of_variant(attributes: &[Attribute]) -> Result<Self> {
        Self::read(attributes, |settings, meta| {
            if meta.path.is_ident("other") {
                settings.other = true;
            } else if meta.path.is_ident("code") {
                settings.code = Some(meta.value()?.parse()?);
            } else {
                return Err(
                    meta.error("not a setting of a variant; there are `other` and `code = N`")
                );
            }
            Ok(())
        })
    }

    fn of_enum(attributes: &[Attribute]) -> Result<Self> {
        Self::read(attributes, |settings, meta| {
            if !meta.path.is_ident("value") {
                return Err(meta.error("not a setting of an error; there is `value`"));
            }
            settings.value = true;
            Ok(())
        })
    }

    fn read(
        attributes: &[Attribute],
        setting: impl Fn(&mut Self, ParseNestedMeta<'_>) -> Result<()>,
    ) -> Result<Self> {
        let mut settings = Self::default();
        for attribute in attributes.iter().filter(|it| it.path().is_ident("app_error")) {
            attribute.parse_nested_meta(|meta| setting(&mut settings, meta))?;
        }
        Ok(settings)
    }
}
