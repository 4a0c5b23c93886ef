//! One method of a service, as it was written.

use syn::{
    Attribute, Block, Error, FnArg, Ident, LitStr, Pat, PatType, Receiver, ReceiverKind, Result,
    Signature, TraitItemFn, Type,
};

use crate::interface::{Mistakes, check_method_name};
use crate::names::pascal;
use crate::signature::{Output, check_owned, is_context, stream_of};

/// One method of a service.
pub(crate) struct Method {
    /// Documentation and whatever else stands above it but `#[method(…)]`.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) ident: Ident,
    /// Its name on the wire.
    pub(crate) name: String,
    pub(crate) idempotent: bool,
    pub(crate) heavy: bool,
    /// The parameter `cx: &Cx`, if it has one.
    pub(crate) context: Option<PatType>,
    /// What travels.
    pub(crate) arguments: Vec<Argument>,
    /// The stream that follows, if one does.
    pub(crate) stream: Option<Argument>,
    pub(crate) output: Output,
    /// What it does unless it is implemented.
    pub(crate) body: Option<Block>,
}

/// What a method is given, by its name; of a stream, what its items are.
pub(crate) struct Argument {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
}

/// What `#[method(…)]` says.
#[derive(Default)]
struct Settings {
    name: Option<LitStr>,
    idempotent: bool,
    heavy: bool,
}

impl Method {
    /// Reads `item`.
    ///
    /// # Errors
    ///
    /// All the mistakes in it.
    pub(crate) fn new(item: TraitItemFn) -> Result<Self> {
        let TraitItemFn { attrs, sig, default: body, .. } = item;
        let mut mistakes = Mistakes::default();
        let (settings, attributes): (Vec<_>, Vec<_>) =
            attrs.into_iter().partition(|attribute| attribute.path().is_ident("method"));
        let settings = mistakes.note(Settings::read(&settings)).unwrap_or_default();
        if let Some(attribute) = attributes.iter().find(|it| it.path().is_ident("cfg")) {
            let reason = "both sides have to agree on the methods; \
                          put `#[cfg]` on a trait of its own";
            mistakes.add(attribute, reason);
        }
        check_head(&sig, &mut mistakes);
        let mut inputs = sig.inputs.into_iter();
        let typed = match inputs.next() {
            Some(FnArg::Receiver(receiver)) => {
                mistakes.note(check_receiver(&receiver));
                None
            }
            other => {
                mistakes.add(&sig.ident, "a method is called on a service; take `&self` first");
                other
            }
        };
        let inputs = typed.into_iter().chain(inputs).filter_map(|input| match input {
            FnArg::Typed(input) => Some(input),
            FnArg::Receiver(_) => None,
        });
        let inputs = Inputs::read(inputs, &mut mistakes);
        let output = mistakes.note(Output::read(&sig.ident, &sig.output));
        mistakes.none()?;
        let output = output.expect("what is missing is a mistake");

        let name = settings.name.map_or_else(|| pascal(&sig.ident.to_string()), |it| it.value());
        check_method_name(&name, sig.ident.span())?;
        Ok(Self {
            attributes,
            ident: sig.ident,
            name,
            idempotent: settings.idempotent,
            heavy: settings.heavy,
            context: inputs.context,
            arguments: inputs.arguments,
            stream: inputs.stream,
            output,
            body,
        })
    }

    /// The names of all that it is given but the context.
    pub(crate) fn given(&self) -> impl Iterator<Item = &Ident> {
        self.arguments.iter().chain(&self.stream).map(|argument| &argument.ident)
    }
}

impl Settings {
    fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut settings = Self::default();
        for attribute in attributes {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("idempotent") {
                    settings.idempotent = true;
                } else if meta.path.is_ident("heavy") {
                    settings.heavy = true;
                } else if meta.path.is_ident("name") {
                    let name: LitStr = meta.value()?.parse()?;
                    check_method_name(&name.value(), name.span())?;
                    settings.name = Some(name);
                } else {
                    let reason = "not a setting of a method; \
                                  there are `idempotent`, `heavy` and `name = \"…\"`";
                    return Err(meta.error(reason));
                }
                Ok(())
            })?;
        }
        Ok(settings)
    }
}

fn check_head(sig: &Signature, mistakes: &mut Mistakes) {
    if sig.asyncness.is_none() {
        mistakes.add(&sig.fn_token, "a call takes time; write `async fn`");
    }
    if let Some(token) = &sig.constness {
        mistakes.add(token, "a call is not a constant; drop `const`");
    }
    if let syn::Safety::Unsafe(token) = &sig.safety {
        mistakes.add(token, "a call may come from anywhere; drop `unsafe`");
    }
    if let Some(abi) = &sig.abi {
        mistakes.add(abi, "a method of a service is Rust's; drop `extern`");
    }
    if let Some(variadic) = &sig.variadic {
        mistakes.add(variadic, "what travels is known; name each argument");
    }
    if !sig.generics.params.is_empty() || sig.generics.where_clause.is_some() {
        let reason = "a method of a service is not generic, since both sides have to know its \
                      types; write one method for each";
        mistakes.add(&sig.generics, reason);
    }
}

fn check_receiver(receiver: &Receiver) -> Result<()> {
    let reason = match &receiver.kind {
        ReceiverKind::Reference(_, None, None) => return Ok(()),
        ReceiverKind::Reference(_, _, Some(_)) => {
            "many calls are handled at once; take `&self` and keep what changes in a `Mutex` or an \
             atomic"
        }
        ReceiverKind::Reference(..) => "a call may outlive nothing; take plain `&self`",
        _ => "a service is there for the next call too; take `&self`",
    };
    Err(Error::new_spanned(receiver, reason))
}

/// What a method is given.
#[derive(Default)]
struct Inputs {
    context: Option<PatType>,
    arguments: Vec<Argument>,
    stream: Option<Argument>,
}

impl Inputs {
    fn read(inputs: impl Iterator<Item = PatType>, mistakes: &mut Mistakes) -> Self {
        let mut read = Self::default();
        for (at, input) in inputs.enumerate() {
            if let Some(attribute) = input.attrs.first() {
                mistakes.add(attribute, "an argument has no attributes; drop it");
            }
            if is_context(&input.ty) {
                let by_reference =
                    matches!(&*input.ty, Type::Reference(it) if it.mutability.is_none());
                if at > 0 || !by_reference {
                    mistakes.add(&input, "the context comes right after `&self`: `cx: &Cx`");
                }
                read.context = Some(input);
            } else if let Some(argument) = mistakes.note(Argument::read(&input)) {
                read.take(argument, &input, mistakes);
            }
        }
        read
    }

    fn take(&mut self, argument: Argument, input: &PatType, mistakes: &mut Mistakes) {
        if self.stream.is_some() {
            mistakes.add(input, "a stream is the last argument; put this before it");
        } else if let Some(item) = mistakes.note(stream_of(&argument.ty)).flatten() {
            mistakes.note(check_owned(&item));
            self.stream = Some(Argument { ident: argument.ident, ty: item });
        } else {
            mistakes.note(check_owned(&argument.ty));
            self.arguments.push(argument);
        }
    }
}

impl Argument {
    fn read(input: &PatType) -> Result<Self> {
        match &*input.pat {
            Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
                Ok(Self { ident: pattern.ident.clone(), ty: (*input.ty).clone() })
            }
            other => {
                Err(Error::new_spanned(other, "an argument travels under its name; give it one"))
            }
        }
    }

    /// As a field of the struct in which several travel.
    pub(crate) fn field_name(&self) -> String {
        pascal(&self.ident.to_string())
    }
}
