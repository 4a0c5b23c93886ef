//! What there is to call, as a document of OpenAPI 3.1.

use std::sync::Arc;

use locum_wire::gob::{Catalogue, Described};
use schema::Schemas;
use serde_json::{Map, Value, json};

use super::method_path;

mod schema;

/// A method, and its types as far as they are known.
pub(crate) struct Method {
    /// `Service.Method`.
    pub(crate) name: Arc<str>,
    pub(crate) args: Option<Described>,
    pub(crate) reply: Option<Described>,
}

/// The document of `methods`, each of which is called by a POST to its name below `prefix`. What is not
/// known of a type, its schema leaves open.
pub(crate) fn document(title: &str, prefix: &str, methods: &[Method]) -> Value {
    let mut catalogue = Catalogue::default();
    let mut add = |described: &Option<Described>| {
        let Described { types, id } = described.as_ref()?;
        catalogue.add(types, *id)
    };
    let known: Vec<_> =
        methods.iter().map(|method| (add(&method.args), add(&method.reply))).collect();
    let types = catalogue.types();
    let mut schemas = Schemas::new(&types);
    let mut paths = Map::new();
    for (method, (args, reply)) in methods.iter().zip(known) {
        let mut schema = |id: Option<_>| id.map_or_else(|| json!({}), |id| schemas.of(id));
        let (args, reply) = (schema(args), schema(reply));
        paths.insert(
            format!("/{}", method_path::encode(&method.name)),
            json!({"post": post(&method.name, args, reply)}),
        );
    }
    let mut components = schemas.into_components();
    components.insert(PROBLEM.to_owned(), problem());
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": paths,
        "components": {"schemas": components, "responses": responses()},
    });
    if !prefix.is_empty() {
        document["servers"] = json!([{"url": prefix}]);
    }
    document
}

/// How one method is called.
fn post(name: &str, args: Value, reply: Value) -> Value {
    let service = name.rsplit_once('.').map_or(name, |(service, _)| service);
    let error = |name: &str| json!({"$ref": format!("#/components/responses/{name}")});
    json!({
        "operationId": name,
        "tags": [service],
        "requestBody": {"content": {"application/json": {"schema": args}}},
        "responses": {
            "200": {
                "description": "What the method returns.",
                "content": {"application/json": {"schema": reply}},
            },
            "400": error("Argument"),
            "404": error("UnknownMethod"),
            "422": error("Application"),
            "default": error("Other"),
        },
    })
}

/// The answers that say what went wrong.
fn responses() -> Value {
    let response = |description: &str| {
        let schema = json!({"$ref": format!("#/components/schemas/{PROBLEM}")});
        json!({
            "description": description,
            "content": {"application/problem+json": {"schema": schema}},
        })
    };
    json!({
        "Argument": response("The body is not JSON, or no argument of the method."),
        "UnknownMethod": response("The service has no such method."),
        "Application": response("The service's own error."),
        "Other": response("The call was refused or came to nothing: why, and when to come back."),
    })
}

/// RFC 9457, and what is said of refusals.
fn problem() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "The service's own words, where it has said them."},
            "reason": {"type": "string", "description": "One stable word."},
            "code": {"type": "integer", "description": "The service's own number."},
            "policy": {"type": "string", "description": "The policy that refused the call."},
            "kind": {"type": "string", "description": "Which part of it did: rate_limit, breaker, ..."},
            "retry_after": {"type": "number", "description": "When to come back, in seconds."},
        },
        "required": ["type", "title", "status", "detail", "reason"],
    })
}

/// What every component but those of types is called; types of that name are told apart by a number.
const PROBLEM: &str = "Problem";

#[cfg(test)]
mod tests {
    use locum_wire::gob::{Field, OpaqueKind, Type, TypeId, Types};

    use super::*;

    fn field(name: &str, id: TypeId) -> Field {
        Field { name: name.into(), id }
    }

    /// A struct of fields of these names and types, the last of which may refer to it by the number given.
    fn structure(name: &str, fields: impl FnOnce(&mut Types, TypeId) -> Vec<Field>) -> Described {
        let mut types = Types::new();
        let id = types.reserve();
        let fields = fields(&mut types, id).into();
        assert!(types.define(id, Type::Struct { name: name.into(), fields }));
        Described { types: Arc::new(types), id }
    }

    fn built_in(id: TypeId) -> Described {
        Described { types: Arc::default(), id }
    }

    fn method(name: &str, args: Option<&Described>, reply: Option<&Described>) -> Method {
        Method { name: name.into(), args: args.cloned(), reply: reply.cloned() }
    }

    fn args() -> Described {
        let ints = |_: &mut Types, _| vec![field("A", TypeId::INT), field("B", TypeId::INT)];
        structure("Args", ints)
    }

    /// Every reference of a document leads somewhere in it.
    fn check_references(document: &Value, part: &Value) {
        match part {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                }
                members.values().for_each(|part| check_references(document, part));
            }
            Value::Array(parts) => parts.iter().for_each(|part| check_references(document, part)),
            _ => {}
        }
    }

    #[test]
    fn each_method_is_a_path_with_a_post() {
        let int = built_in(TypeId::INT);
        let methods =
            [method("Arith.Add", Some(&args()), Some(&int)), method("Echo.Say it", None, None)];
        let document = document("arith", "/rpc", &methods);
        check_references(&document, &document);
        assert_eq!(document["openapi"], "3.1.0");
        assert_eq!(document["info"]["title"], "arith");
        assert_eq!(document["servers"][0]["url"], "/rpc");

        let add = &document["paths"]["/Arith.Add"]["post"];
        assert_eq!(add["operationId"], "Arith.Add");
        assert_eq!(add["tags"], json!(["Arith"]));
        let request = &add["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(request, &json!({"$ref": "#/components/schemas/Args"}));
        let reply = &add["responses"]["200"]["content"]["application/json"]["schema"];
        assert_eq!(reply, &json!({"type": "integer", "format": "int64"}));
        let answers = add["responses"].as_object().unwrap().keys().map(String::as_str);
        assert_eq!(answers.collect::<Vec<_>>(), ["200", "400", "404", "422", "default"]);

        let say = &document["paths"]["/Echo.Say%20it"]["post"];
        let open = &say["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(open, &json!({}), "what is not known is left open");
    }

    #[test]
    fn types_are_described_as_they_are_shown() {
        let opaque = |types: &mut Types, name: &str, kind| {
            types.add(Type::Opaque { name: name.into(), kind })
        };
        let zoo = structure("Zoo", |types, own| {
            let list = types.add(Type::Slice { name: "".into(), elem: TypeId::STRING });
            let pair = types.add(Type::Array { name: "".into(), elem: TypeId::INT, len: 2 });
            let map =
                types.add(Type::Map { name: "".into(), key: TypeId::INT, elem: TypeId::FLOAT });
            let time = opaque(types, "Time", OpaqueKind::GobEncoder);
            let uuid = opaque(types, "UUID", OpaqueKind::BinaryMarshaler);
            let own_kind = opaque(types, "Secret", OpaqueKind::GobEncoder);
            vec![
                field("Bool", TypeId::BOOL),
                field("Int", TypeId::INT),
                field("Uint", TypeId::UINT),
                field("Float", TypeId::FLOAT),
                field("Text", TypeId::STRING),
                field("Bytes", TypeId::BYTES),
                field("Any", TypeId::INTERFACE),
                field("List", list),
                field("Pair", pair),
                field("Map", map),
                field("Time", time),
                field("Id", uuid),
                field("Own", own_kind),
                field("Next", own),
            ]
        });
        let document = document("zoo", "", &[method("Zoo.Feed", Some(&zoo), None)]);
        check_references(&document, &document);
        assert!(document.get("servers").is_none());
        let next = json!({"anyOf": [{"$ref": "#/components/schemas/Zoo"}, {"type": "null"}]});
        let fields = json!({
            "Bool": {"type": "boolean"},
            "Int": {"type": "integer", "format": "int64"},
            "Uint": {"type": "integer", "minimum": 0},
            "Float": {"type": "number", "format": "double"},
            "Text": {"type": "string"},
            "Bytes": {"type": ["string", "null"], "contentEncoding": "base64"},
            "Any": {},
            "List": {"type": ["array", "null"], "items": {"type": "string"}},
            "Pair": {
                "type": ["array", "null"],
                "items": {"type": "integer", "format": "int64"},
                "minItems": 2,
                "maxItems": 2,
            },
            "Map": {
                "type": ["object", "null"],
                "additionalProperties": {"type": "number", "format": "double"},
            },
            "Time": {"type": "string", "format": "date-time"},
            "Id": {"type": "string", "format": "uuid"},
            "Own": {"type": ["string", "null"], "contentEncoding": "base64"},
            "Next": next,
        });
        assert_eq!(document["components"]["schemas"]["Zoo"]["properties"], fields);
    }

    #[test]
    fn what_is_made_the_same_way_is_there_once_and_others_are_numbered() {
        let other = structure("Args", |_, _| vec![field("A", TypeId::STRING)]);
        let problem = structure("Problem", |_, _| vec![]);
        let odd = structure("Pair[int,string]", |_, _| vec![]);
        let methods = [
            method("A.One", Some(&args()), Some(&problem)),
            method("A.Two", Some(&args()), Some(&odd)),
            method("A.Three", Some(&other), None),
        ];
        let document = document("a", "/rpc", &methods);
        check_references(&document, &document);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let names: Vec<_> = schemas.keys().map(String::as_str).collect();
        assert_eq!(names, ["Args", "Args_2", "Pair_int_string_", "Problem", "Problem_2"]);
        assert_eq!(schemas["Args_2"]["properties"], json!({"A": {"type": "string"}}));
    }

    #[test]
    fn types_without_end_come_to_one() {
        let mut types = Types::new();
        let id = types.reserve();
        assert!(types.define(id, Type::Slice { name: "".into(), elem: id }));
        let endless = Described { types: Arc::new(types), id };
        let document = document("a", "", &[method("A.B", Some(&endless), None)]);
        let mut schema = &document["paths"]["/A.B"]["post"]["requestBody"]["content"]["application/json"]
            ["schema"];
        let mut depth = 0;
        while let Some(items) = schema.get("items") {
            schema = items;
            depth += 1;
        }
        assert!((1..10).contains(&depth), "{depth}");
    }

    #[test]
    fn a_document_is_no_larger_than_anybody_reads() {
        let long = "Long".repeat(10_000);
        let structs: Vec<_> = (0..500)
            .map(|at| {
                structure(&format!("{long}{at}"), |types, _| {
                    let mut deep = TypeId::INT;
                    for _ in 0..50 {
                        deep = types.add(Type::Slice { name: "".into(), elem: deep });
                    }
                    (0..100).map(|field_at| field(&format!("F{at}_{field_at}"), deep)).collect()
                })
            })
            .collect();
        let methods: Vec<_> = structs
            .iter()
            .enumerate()
            .map(|(at, described)| method(&format!("A.M{at}"), Some(described), None))
            .collect();
        let document = document("a", "", &methods);
        check_references(&document, &document);
        assert_eq!(document["paths"].as_object().map(Map::len), Some(500));
        let schemas = document["components"]["schemas"].as_object().unwrap();
        assert!(schemas.keys().all(|name| name.len() < 70));
        let length = document.to_string().len();
        assert!(length < 4 << 20, "{length}");
    }
}
