//! Paths and queries, out of their percent signs.

use std::time::Duration;

use percent_encoding::percent_decode_str;

use super::problem::Problem;
use crate::base::nearest::nearest;
use crate::engine::FieldError;

/// A part of a path as it was meant; `None` if that is not UTF-8, or has a NUL.
pub fn decode(text: &str) -> Option<String> {
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    (!decoded.contains('\0')).then(|| decoded.into_owned())
}

/// The parameters of a request.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the question mark. Every parameter must be among `known`, and comes once.
    ///
    /// Errors: what is wrong.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let plain = |part: &str| {
                let part = part.replace('+', " ");
                percent_decode_str(&part).decode_utf8().ok().map(std::borrow::Cow::into_owned)
            };
            let (Some(name), Some(value)) = (plain(name), plain(value)) else {
                return Err(Problem::field("query", "a parameter is not UTF-8"));
            };
            if !known.contains(&name.as_str()) {
                let shown: String = name.chars().take(80).collect();
                let error = FieldError::new(shown.clone(), "is not a parameter of this path");
                let error = match nearest(&shown, known.iter().copied()) {
                    Some(near) => error.hint(format!("did you mean {near}?")),
                    None => error.hint(format!("known are {}", known.join(", "))),
                };
                return Err(Problem::invalid(vec![error]));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(Problem::field(&name, "is given twice"));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A whole number between the bounds.
    pub fn integer(&self, name: &str, least: u64, most: u64) -> Result<Option<u64>, Problem> {
        let number = |text: &str| {
            let number = text.parse().ok().filter(|number| (least..=most).contains(number));
            number.filter(|_| text.bytes().all(|digit| digit.is_ascii_digit()))
        };
        self.read(name, number, &format!("a whole number from {least} to {most}"))
    }

    /// `true` or `false`; a parameter without a value is true.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, Problem> {
        let switch = |text: &str| if text.is_empty() { Some(true) } else { text.parse().ok() };
        self.read(name, switch, "true or false")
    }

    /// A span of time up to a bound.
    pub fn span(&self, name: &str, most: Duration) -> Result<Option<Duration>, Problem> {
        let span = |text: &str| {
            let millis = text.parse().ok().map(Duration::from_millis);
            millis.or_else(|| humantime::parse_duration(text).ok()).filter(|span| *span <= most)
        };
        self.read(
            name,
            span,
            &format!("a span of time up to {}, such as 250ms", humantime::format_duration(most)),
        )
    }

    fn read<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Option<T>,
        wanted: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let shown: String = text.chars().take(80).collect();
        read(text).map(Some).ok_or_else(|| Problem::field(name, format!("`{shown}` is not {wanted}")))
    }
}
