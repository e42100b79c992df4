//! Lines made from events: `{sequence} {data.user}`, in the way of kcat and rpk.

use serde_json::Value;

use super::exit::Failure;

/// A text with places for members of a value.
#[derive(Debug)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    /// Where the value is, as a JSON pointer.
    Place(String),
}

impl Template {
    /// Reads `{member}`, `{member.of.it}`, `\n`, `\t`, `\\`, and `{{` and `}}` for braces.
    ///
    /// Errors: a brace without its other half, or nothing between them.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |what: &str| {
            Failure::usage(format!("--template: {what} in `{text}`; write {{sequence}} {{data.user}}"))
        };
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars().peekable();
        while let Some(letter) = rest.next() {
            match (letter, rest.peek()) {
                ('{', Some('{')) | ('}', Some('}')) | ('\\', Some('\\')) => plain.extend(rest.next()),
                ('\\', Some('n')) => plain.extend(rest.next().map(|_| '\n')),
                ('\\', Some('t')) => plain.extend(rest.next().map(|_| '\t')),
                ('{', _) => {
                    let mut path = String::new();
                    loop {
                        match rest.next() {
                            Some('}') => break,
                            Some(letter) if letter != '{' => path.push(letter),
                            _ => return Err(wrong("a { without its }")),
                        }
                    }
                    if path.is_empty() {
                        return Err(wrong("nothing between { and }"));
                    }
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    pieces.push(Piece::Place(format!("/{}", path.replace('.', "/"))));
                }
                ('}', _) => return Err(wrong("a } without its {")),
                (letter, _) => plain.push(letter),
            }
        }
        pieces.push(Piece::Text(plain));
        Ok(Self { pieces })
    }

    /// The text with what the value has in its places; nothing where it has nothing.
    pub fn fill(&self, value: &Value) -> String {
        let fill = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Place(at) => match value.pointer(at) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            },
        };
        self.pieces.iter().map(fill).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Template;
    use serde_json::json;

    #[test]
    fn members_stand_in_their_places() {
        let value = json!({"sequence": 7, "data": {"user": "ann", "tags": ["a", "b"]}, "id": null});
        let check = |template: &str, line: &str| {
            assert_eq!(
                Template::parse(template).expect("it is well formed").fill(&value),
                line,
                "{template}"
            );
        };
        check("{sequence} {data.user}", "7 ann");
        check(r"{data.tags.1}\t{{{sequence}}}\n", "b\t{7}\n");
        check("{data}", r#"{"tags":["a","b"],"user":"ann"}"#);
        check("<{id}{absent}>", "<>");
        check("", "");
        for wrong in ["{", "{a", "a}", "{}", "{a{b}}"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }
}
