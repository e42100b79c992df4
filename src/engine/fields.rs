//! Reading a JSON object field by field, so that a mistake is told with its place and its mend.

use crate::base::nearest::nearest;
use serde_json::{Map, Value};

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The path, as in `sinks[0].url`.
    pub field: String,
    /// The value that was given, and the limit.
    pub message: String,
    /// The mend, if one is known.
    pub hint: Option<String>,
}

impl FieldError {
    /// Without a hint.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), hint: None }
    }

    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, "; {hint}"))
    }
}

/// A whole number. JSON has one kind of number, and some clients write whole ones as 5.0.
pub fn whole_number(value: &Value) -> Option<u64> {
    let whole =
        |number: f64| (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64);
    value.as_u64().or_else(|| value.as_f64().and_then(whole))
}

/// An object that is being read. What is wrong gathers in `errors`, so that all of it is told at once.
#[derive(Debug)]
pub struct Fields<'v> {
    path: String,
    fields: Option<&'v Map<String, Value>>,
    asked: Vec<&'static str>,
    /// What was found to be wrong so far.
    pub errors: Vec<FieldError>,
}

impl<'v> Fields<'v> {
    /// Of the value at `path`, which is empty for the whole document.
    pub fn of(value: &'v Value, path: impl Into<String>) -> Self {
        let mut fields =
            Self { path: path.into(), fields: value.as_object(), asked: Vec::new(), errors: Vec::new() };
        if fields.fields.is_none() {
            let path = if fields.path.is_empty() { "body" } else { &fields.path };
            let error = FieldError::new(path, format!("{} is not an object", shown(value)));
            fields.errors.push(error);
        }
        fields
    }

    /// The value of a field, unless it is missing or null.
    pub fn value(&mut self, name: &'static str) -> Option<&'v Value> {
        self.asked.push(name);
        self.fields?.get(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub fn text(&mut self, name: &'static str) -> Option<&'v str> {
        let value = self.value(name)?;
        value.as_str().or_else(|| self.wrong(name, value, "a text"))
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, name: &'static str) -> Option<bool> {
        let value = self.value(name)?;
        value.as_bool().or_else(|| self.wrong(name, value, "true or false"))
    }

    /// A whole number between the bounds, both included. A text of digits is taken as well, for numbers that
    /// JavaScript cannot hold.
    pub fn integer(&mut self, name: &'static str, least: u64, most: u64) -> Option<u64> {
        let value = self.value(name)?;
        let number = whole_number(value).or_else(|| value.as_str()?.parse().ok());
        let number = number.filter(|number| (least..=most).contains(number));
        number.or_else(|| self.wrong(name, value, &format!("a whole number from {least} to {most}")))
    }

    /// A span of time: a number of milliseconds, or a text such as `5s`.
    pub fn duration(&mut self, name: &'static str) -> Option<std::time::Duration> {
        let value = self.value(name)?;
        let millis = whole_number(value).map(std::time::Duration::from_millis);
        let span = millis.or_else(|| humantime::parse_duration(value.as_str()?).ok());
        span.or_else(|| self.wrong(name, value, "a number of milliseconds or a text such as \"5s\""))
    }

    /// One of several words; `_` and `-` are the same.
    pub fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&'static str, T)]) -> Option<T> {
        let value = self.value(name)?;
        let word = value.as_str().map(|word| word.replace('_', "-").to_lowercase());
        let choice = word.and_then(|word| choices.iter().find(|(choice, _)| *choice == word));
        choice.map(|(_, chosen)| *chosen).or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            let error = FieldError::new(
                self.path(name),
                format!("{} is not one of {}", shown(value), names.join(", ")),
            );
            let near = value.as_str().and_then(|word| nearest(word, names.iter().copied()));
            self.errors.push(match near {
                Some(near) => error.hint(format!("did you mean {near}?")),
                None => error,
            });
            None
        })
    }

    /// A list.
    pub fn list(&mut self, name: &'static str) -> Option<&'v [Value]> {
        let value = self.value(name)?;
        value.as_array().map(Vec::as_slice).or_else(|| self.wrong(name, value, "a list"))
    }

    /// A list of texts.
    pub fn texts(&mut self, name: &'static str) -> Option<Vec<String>> {
        let value = self.value(name)?;
        let texts = value
            .as_array()
            .and_then(|list| list.iter().map(|text| text.as_str().map(str::to_owned)).collect());
        texts.or_else(|| self.wrong(name, value, "a list of texts"))
    }

    /// Names with texts.
    pub fn pairs(&mut self, name: &'static str) -> Option<Vec<(String, String)>> {
        let value = self.value(name)?;
        let pair = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        let pairs = value.as_object().and_then(|pairs| pairs.iter().map(pair).collect());
        pairs.or_else(|| self.wrong(name, value, "an object of texts"))
    }

    /// Tells that a field is missing.
    pub fn missing(&mut self, name: &str, hint: &str) {
        // An object that is none has been told of.
        if self.fields.is_some() {
            self.errors.push(FieldError::new(self.path(name), "is missing").hint(hint));
        }
    }

    /// Tells of a value that is wrong.
    pub fn refuse(&mut self, name: &str, message: impl Into<String>) {
        self.errors.push(FieldError::new(self.path(name), message));
    }

    /// The path of a field.
    pub fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Everything that was wrong, fields that nobody asked for included.
    pub fn finish(mut self) -> Vec<FieldError> {
        let names = self.fields.into_iter().flat_map(Map::keys);
        let unknown: Vec<_> = names.filter(|name| !self.asked.contains(&name.as_str())).collect();
        for name in unknown {
            let error = FieldError::new(self.path(name), "is not a known field");
            self.errors.push(match nearest(name, self.asked.iter().copied()) {
                Some(near) => error.hint(format!("did you mean {near}?")),
                None => error.hint(format!("known are {}", self.asked.join(", "))),
            });
        }
        self.errors
    }

    fn wrong<T>(&mut self, name: &str, value: &Value, wanted: &str) -> Option<T> {
        self.refuse(name, format!("{} is not {wanted}", shown(value)));
        None
    }
}

/// A value as it is told in an error: not the whole of a large one.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        None => text,
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}
