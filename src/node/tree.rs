//! A configuration file as a tree whose nodes know their lines. JSON is read as the YAML that it is.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::Spanned;

/// A value and the line it begins on, from 1.
#[derive(Debug)]
pub struct Node {
    pub line: u64,
    pub value: Tree,
}

#[derive(Debug)]
pub enum Tree {
    Leaf(Value),
    List(Vec<Node>),
    /// Names with their lines.
    Map(Vec<(String, u64, Node)>),
}

/// Largest file in bytes.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// Reads a file's text.
///
/// Errors: what is wrong, with the line and the column.
pub fn parse(text: &str) -> Result<Node, String> {
    if text.len() > FILE_BYTES_MAX {
        return Err(format!("{} bytes, at most {FILE_BYTES_MAX} are read", text.len()));
    }
    if text.trim().is_empty() {
        return Ok(Node { line: 1, value: Tree::Map(Vec::new()) });
    }
    serde_saphyr::from_str::<Spanned<Tree>>(text)
        .map(Node::from)
        .map_err(|error| first_line(&error.to_string()))
}

/// The parser shows the place in the text below its message; the message has the line.
fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

impl Node {
    /// The tree without its lines.
    pub fn to_json(&self) -> Value {
        match &self.value {
            Tree::Leaf(value) => value.clone(),
            Tree::List(items) => items.iter().map(Self::to_json).collect(),
            Tree::Map(members) => {
                members.iter().map(|(name, _, node)| (name.clone(), node.to_json())).collect()
            }
        }
    }
}

impl From<Spanned<Tree>> for Node {
    fn from(spanned: Spanned<Tree>) -> Self {
        Self { line: spanned.referenced.line(), value: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::Null))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::Bool(value)))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::Number(value.into())))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::Number(value.into())))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
                Ok(Tree::Leaf(Number::from_f64(value).map_or(Value::Null, Value::Number)))
            }

            fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
                Ok(Tree::Leaf(Value::String(value.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element::<Spanned<Tree>>()? {
                    items.push(item.into());
                }
                Ok(Tree::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<Spanned<String>, Spanned<Tree>>()? {
                    members.push((name.value, name.referenced.line(), value.into()));
                }
                Ok(Tree::Map(members))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use serde_json::json;

    #[test]
    fn yaml_and_json_are_the_same_tree() {
        let expected = json!({"a": {"b": [1, "x", true, null, -1.5]}, "c": "0.0.0.0:80"});
        assert_eq!(
            parse("a:\n  b: [1, x, true, null, -1.5]\nc: 0.0.0.0:80\n").expect("yaml").to_json(),
            expected
        );
        assert_eq!(parse(&expected.to_string()).expect("json").to_json(), expected);
        assert_eq!(parse(&format!("{expected:#}")).expect("json").to_json(), expected);
        assert_eq!(parse(" \n").expect("empty").to_json(), json!({}));
    }

    #[test]
    fn hostile_files_are_refused() {
        let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(parse(&deep).is_err());
        let mut laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        (1..12).for_each(|level| {
            let row = vec![format!("*a{}", level - 1); 10].join(",");
            laughs.push_str(&format!("a{level}: &a{level} [{row}]\n"));
        });
        assert!(parse(&laughs).is_err());
        let error = parse("a: 1\nb: [2\n").expect_err("not closed");
        assert!(error.contains("line"), "{error}");
    }
}
