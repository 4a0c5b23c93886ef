//! From what was traced to the types that a stream defines.

use super::super::schema::{Field, Node, NodeId};
use super::super::{self as gob, SchemaError, Type, TypeId, Types, spelling};

/// The types of `nodes`, and which of them `root` is.
pub(super) fn describe(nodes: &[Node], root: NodeId) -> Result<(Types, TypeId), SchemaError> {
    let mut described = Described { ids: vec![None; nodes.len()], nodes, types: Types::new() };
    let id = described.describe(root)?;
    Ok((described.types, id))
}

/// The types as a stream defines them.
struct Described<'a> {
    ids: Vec<Option<TypeId>>,
    nodes: &'a [Node],
    types: Types,
}

impl Described<'_> {
    fn describe(&mut self, node: NodeId) -> Result<TypeId, SchemaError> {
        let name = Box::default;
        let built_in = match &self.nodes[node] {
            Node::Bool => TypeId::BOOL,
            Node::Int => TypeId::INT,
            Node::Uint | Node::Byte => TypeId::UINT,
            Node::Float => TypeId::FLOAT,
            Node::Bytes => TypeId::BYTES,
            Node::String => TypeId::STRING,
            Node::Complex => TypeId::COMPLEX,
            Node::Interface => TypeId::INTERFACE,
            made => {
                if let Some(id) = self.ids[node] {
                    return Ok(id);
                }
                if self.types.len() + 1 >= Types::MOST {
                    return Err(SchemaError("it is made of too many types".to_owned()));
                }
                let id = self.types.reserve();
                self.ids[node] = Some(id);
                let kind = match made {
                    Node::Array { elem, len } => {
                        Type::Array { name: name(), elem: self.describe(*elem)?, len: *len as u64 }
                    }
                    Node::Slice { elem } => {
                        Type::Slice { name: name(), elem: self.describe(*elem)? }
                    }
                    Node::Map { key, elem } => Type::Map {
                        name: name(),
                        key: self.describe(*key)?,
                        elem: self.describe(*elem)?,
                    },
                    Node::Opaque { name, kind } => {
                        Type::Opaque { name: (*name).into(), kind: *kind }
                    }
                    Node::Struct { name, fields } => {
                        Type::Struct { name: (*name).into(), fields: self.fields(name, fields)? }
                    }
                    _ => unreachable!("those that are built in have gone"),
                };
                let defined = self.types.define(id, kind);
                debug_assert!(defined, "the number was just reserved");
                id
            }
        };
        Ok(built_in)
    }

    fn fields(&mut self, of: &str, fields: &[Field]) -> Result<Box<[gob::Field]>, SchemaError> {
        let mut described = Vec::<gob::Field>::with_capacity(fields.len());
        for field in fields {
            let name = spelling::go(field.name);
            if name.is_empty() || described.iter().any(|it| *it.name == *name) {
                return Err(SchemaError(format!(
                    "field `{}` of `{of}` would be called `{name}` in gob, which \
                     {}; give it another name by #[serde(rename = \"…\")]",
                    field.name,
                    if name.is_empty() { "is no name" } else { "another field is" },
                )));
            }
            described.push(gob::Field { name: name.into(), id: self.describe(field.node)? });
        }
        Ok(described.into_boxed_slice())
    }
}
