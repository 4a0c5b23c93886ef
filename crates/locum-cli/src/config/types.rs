//! What is said of the types of methods: read as it is meant.

use locum_proxy::upstream::{MethodTypes, TypeSettings};

use super::file::types::{ARGS, REPLY};
use super::file::{Args, Type, Types};
use super::findings::Findings;

/// Every key has to be a method, and the long form whole.
pub(super) fn check(path: &str, types: &Types, findings: &mut Findings<'_>) {
    for (method, said) in types {
        let path = format!("{path}.{method}");
        if !is_method(method) {
            let reason = format!("`{}` is no method", method.escape_debug());
            findings.error_in_key(&path, reason, "write one such as \"Arith.Multiply\"");
        }
        let long = said.signature().long;
        let of_args = if long { format!("{path}.{ARGS}") } else { path.clone() };
        let MethodTypes { args, reply } = of_method(said);
        check_type(&of_args, args, findings);
        check_type(&format!("{path}.{REPLY}"), reply, findings);
        let Type::Table(entries) = said else { continue };
        for (name, _) in
            entries.iter().filter(|_| long).filter(|(name, _)| name != ARGS && name != REPLY)
        {
            let reason = format!("beside `{ARGS}` stands nothing but `{REPLY}`");
            let remedy = format!("move it into `{ARGS}`, whose type that is");
            findings.error_in_key(&format!("{path}.{name}"), reason, remedy);
        }
    }
}

/// Every word has to be a type.
fn check_type(path: &str, said: Option<TypeSettings>, findings: &mut Findings<'_>) {
    if let Some(Err(error)) = said.map(|said| said.describe()) {
        let path = [path].into_iter().chain(error.fields.iter().map(String::as_str));
        findings.error(&path.collect::<Vec<_>>().join("."), error.reason, error.remedy);
    }
}

/// Whether `text` is `Service.Method`; a service may have dots of its own.
pub(super) fn is_method(text: &str) -> bool {
    let seen = |part: &str| {
        !part.is_empty()
            && !part.contains(|c: char| c.is_whitespace() || c.is_control() || c == '*')
    };
    text.rsplit_once('.').is_some_and(|(service, method)| seen(service) && seen(method))
}

/// What a plan is told of them.
pub(super) fn resolve(types: &Types) -> Vec<(String, MethodTypes)> {
    types.iter().map(|(method, said)| (method.clone(), of_method(said))).collect()
}

fn of_method(said: &Type) -> MethodTypes {
    let signature = said.signature();
    let args = match signature.args {
        Args::Type(said) => Some(settings(said)),
        Args::Fields(entries) => Some(of_fields(entries.iter().filter(|(name, _)| name != REPLY))),
        Args::Unsaid => None,
    };
    MethodTypes { args, reply: signature.reply.map(settings) }
}

fn settings(said: &Type) -> TypeSettings {
    match said {
        Type::Named(word) => TypeSettings::Named(word.clone()),
        Type::Table(entries) => of_fields(entries.iter()),
    }
}

fn of_fields<'a>(entries: impl Iterator<Item = &'a (String, Type)>) -> TypeSettings {
    TypeSettings::Struct(entries.map(|(name, said)| (name.clone(), settings(said))).collect())
}

#[cfg(test)]
mod tests {
    use super::super::{decode, read};
    use super::*;

    fn said(text: &str) -> MethodTypes {
        let mut problems = Vec::new();
        let text = format!("it = {text}");
        let mut tree = read::parse(&text, read::Syntax::Toml, 0, &mut problems);
        let types: Types = decode::decode(&mut tree, &mut problems).unwrap();
        of_method(&types["it"])
    }

    fn word(word: &str) -> TypeSettings {
        TypeSettings::Named(word.to_owned())
    }

    fn table<const N: usize>(fields: [(&str, TypeSettings); N]) -> TypeSettings {
        TypeSettings::Struct(fields.map(|(name, said)| (name.to_owned(), said)).into())
    }

    #[test]
    fn a_word_is_an_argument_that_is_no_struct() {
        assert_eq!(said("'[]int'"), MethodTypes { args: Some(word("[]int")), reply: None });
    }

    #[test]
    fn a_table_is_the_fields_and_what_is_returned() {
        let args = table([("A", word("int")), ("Z", table([("Y", word("time"))]))]);
        assert_eq!(
            said("{ A = 'int', Z = { Y = 'time' } }"),
            MethodTypes { args: Some(args.clone()), reply: None }
        );
        assert_eq!(
            said("{ A = 'int', reply = 'float', Z = { Y = 'time' } }"),
            MethodTypes { args: Some(args), reply: Some(word("float")) }
        );
        assert_eq!(
            said("{ reply = { R = 'int' } }"),
            MethodTypes { args: None, reply: Some(table([("R", word("int"))])) }
        );
        assert_eq!(said("{}"), MethodTypes { args: Some(table([])), reply: None });
    }

    #[test]
    fn the_long_form_has_room_for_fields_of_those_names() {
        assert_eq!(
            said("{ args = { reply = 'int', args = 'uint' } }"),
            MethodTypes {
                args: Some(table([("reply", word("int")), ("args", word("uint"))])),
                reply: None
            }
        );
        assert_eq!(
            said("{ reply = 'bool', args = 'string' }"),
            MethodTypes { args: Some(word("string")), reply: Some(word("bool")) }
        );
    }
}
