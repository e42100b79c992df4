//! Events as JSON: how a producer writes them, and how a reader sees them.

use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;
use std::str;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::event::{ContentType, Draft, Event};
use super::fields::FieldError;

/// Takes what other encoders write, and writes what all decoders take.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

impl<'a> Draft<'a> {
    /// Reads what a producer sends as JSON. An object that has `data` or `data_base64`, and besides them nothing but
    /// `content_type`, `metadata` and `correlation_id`, describes an event; any other value is the event's data.
    ///
    /// Errors: what is wrong, by field.
    pub fn from_json(text: &'a [u8]) -> Result<Self, FieldError> {
        let text = super::event::utf8(text)?.trim_ascii();
        let not_json = |error| FieldError::new("body", format!("is not JSON: {error}"));
        let draft = if text.starts_with('{') {
            let members: Members<'a> = serde_json::from_str(text).map_err(not_json)?;
            members.into_draft(text.as_bytes())?
        } else {
            let _checked: IgnoredAny = serde_json::from_str(text).map_err(not_json)?;
            Draft::bare(ContentType::Json, text.as_bytes())
        };
        draft.check_limits()?;
        match &*draft.payload {
            b"null" if draft.content_type == ContentType::Json => Err(super::event::null()),
            _ => Ok(draft),
        }
    }
}

/// The members of an object, as far as they may describe an event.
#[derive(Default)]
struct Members<'a> {
    data: Option<&'a RawValue>,
    data_base64: Option<&'a RawValue>,
    content_type: Option<&'a RawValue>,
    metadata: Option<&'a RawValue>,
    correlation_id: Option<&'a RawValue>,
    has_others: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Members::default();
                while let Some(name) = map.next_key::<Name<'de>>()? {
                    let member = match &*name.0 {
                        "data" => &mut members.data,
                        "data_base64" => &mut members.data_base64,
                        "content_type" => &mut members.content_type,
                        "metadata" => &mut members.metadata,
                        "correlation_id" => &mut members.correlation_id,
                        _ => {
                            members.has_others = true;
                            let _skipped: IgnoredAny = map.next_value()?;
                            continue;
                        }
                    };
                    *member = Some(map.next_value()?);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// A text that is borrowed if it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Members<'a> {
    fn into_draft(self, text: &'a [u8]) -> Result<Draft<'a>, FieldError> {
        if self.has_others || (self.data.is_none() && self.data_base64.is_none()) {
            return Ok(Draft::bare(ContentType::Json, text));
        }
        let kind = match optional(self.content_type, "content_type", "a text")? {
            None => None,
            Some(Name(name)) => Some(ContentType::from_name(&name).ok_or_else(|| {
                let known = "take application/json, text/plain or application/octet-stream";
                FieldError::new("content_type", format!("`{name}` is not a kind of payload")).hint(known)
            })?),
        };
        let (content_type, payload) = match (self.data, self.data_base64) {
            (Some(_), Some(_)) => {
                return Err(
                    FieldError::new("data_base64", "is given besides data").hint("leave one of them out")
                );
            }
            (Some(data), None) => match kind {
                None | Some(ContentType::Json) => (ContentType::Json, Cow::Borrowed(data.get().as_bytes())),
                Some(kind) => {
                    let Name(text) = required(data, "data", &format!("a text, as {} needs", kind.name()))?;
                    let bytes = match text {
                        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
                    };
                    (kind, bytes)
                }
            },
            (None, data) => {
                let Name(text) = required(data.expect("one of both is there"), "data_base64", "a text")?;
                let bytes = BASE64.decode(text.as_bytes());
                let bytes = bytes.map_err(|error| FieldError::new("data_base64", error.to_string()))?;
                if let Some(kind) = kind.filter(|kind| *kind != ContentType::Bytes) {
                    let message = format!("holds application/octet-stream, not {}", kind.name());
                    return Err(FieldError::new("data_base64", message).hint("send text and JSON as data"));
                }
                (ContentType::Bytes, Cow::Owned(bytes))
            }
        };
        let metadata: Option<Pairs<'a>> = optional(self.metadata, "metadata", "an object of texts")?;
        let correlation_id =
            optional(self.correlation_id, "correlation_id", "a text")?.map(|Name(text)| text);
        // The payload has been checked as a part of the whole text.
        Ok(Draft { content_type, payload, metadata: metadata.unwrap_or_default().0, correlation_id })
    }
}

#[derive(Default)]
struct Pairs<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs: Vec<(Cow<str>, Cow<str>)> = Vec::new();
                while let Some((Name(name), Name(value))) = map.next_entry()? {
                    match pairs.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, known)) => *known = value,
                        None => pairs.push((name, value)),
                    }
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

fn required<'a, T: Deserialize<'a>>(raw: &'a RawValue, field: &str, wanted: &str) -> Result<T, FieldError> {
    serde_json::from_str(raw.get()).map_err(|_| {
        let shown: String = raw.get().chars().take(80).collect();
        FieldError::new(field, format!("{shown} is not {wanted}"))
    })
}

fn optional<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    field: &str,
    wanted: &str,
) -> Result<Option<T>, FieldError> {
    match raw {
        Some(raw) if raw.get() != "null" => required(raw, field, wanted).map(Some),
        _ => Ok(None),
    }
}

/// Writes an event as readers see it: one JSON object without line breaks of its own, unless its data has some.
pub fn write_event(out: &mut Vec<u8>, sequence: u64, event: &Event) {
    let created_at = rfc3339(event.unix_micros());
    write!(out, "{{\"id\":\"{}\",\"sequence\":{sequence},\"created_at\":\"{created_at}\",", event.id())
        .expect("a vector takes every byte");
    write_content(out, event);
}

/// Writes an event as a producer would have sent it.
pub fn write_draft(out: &mut Vec<u8>, event: &Event) {
    out.push(b'{');
    write_content(out, event);
}

/// The members that a draft has as well, and the end of the object.
fn write_content(out: &mut Vec<u8>, event: &Event) {
    out.extend_from_slice(b"\"content_type\":\"");
    out.extend_from_slice(event.content_type().name().as_bytes());
    match event.content_type() {
        ContentType::Json => {
            out.extend_from_slice(b"\",\"data\":");
            write_on_one_line(out, event.payload());
        }
        ContentType::Text => {
            out.extend_from_slice(b"\",\"data\":");
            let text = str::from_utf8(event.payload()).expect("a text's payload has been checked");
            write_json_string(out, text);
        }
        ContentType::Bytes => {
            out.extend_from_slice(b"\",\"data_base64\":\"");
            out.extend_from_slice(BASE64.encode(event.payload()).as_bytes());
            out.push(b'"');
        }
    }
    out.extend_from_slice(b",\"metadata\":{");
    for (place, (name, value)) in event.metadata().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_json_string(out, name);
        out.push(b':');
        write_json_string(out, value);
    }
    out.extend_from_slice(b"},\"correlation_id\":");
    match event.correlation_id() {
        Some(text) => write_json_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}

/// JSON may have line breaks between its tokens, and nowhere else; blanks mean the same.
fn write_on_one_line(out: &mut Vec<u8>, json: &[u8]) {
    let start = out.len();
    out.extend_from_slice(json);
    out[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
}

/// A time as RFC 3339 writes it, in UTC.
pub fn rfc3339(unix_micros: u64) -> impl fmt::Display {
    humantime::format_rfc3339_micros(UNIX_EPOCH + Duration::from_micros(unix_micros))
}

/// Writes a text with its quotation marks.
pub fn write_json_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a text is JSON, and a vector takes every byte");
}

#[cfg(test)]
mod tests {
    use super::{write_draft, write_event};
    use crate::base::ulid::Ulid;
    use crate::engine::{ContentType, Draft, Event};

    fn read(json: &str) -> Draft<'_> {
        Draft::from_json(json.as_bytes()).unwrap_or_else(|error| panic!("{json}: {error}"))
    }

    #[test]
    fn an_object_describes_an_event_or_is_one() {
        let check =
            |json: &str, payload: &str| assert_eq!(&*read(json).payload, payload.as_bytes(), "{json}");
        check(r#"{"data": [1, 2]}"#, "[1, 2]");
        check(r#"{"data": 1, "metadata": {"k": "v"}}"#, "1");
        check(r#"{"data": "a\nb", "content_type": "text/plain"}"#, "a\nb");
        check(r#"{"data_base64": "YWI="}"#, "ab");
        check(r#"{"message": "x"}"#, r#"{"message": "x"}"#);
        check(r#"{"data": 1, "more": 2}"#, r#"{"data": 1, "more": 2}"#);
        check(r#"{"metadata": {}}"#, r#"{"metadata": {}}"#);
        check(" [1]\n", "[1]");
        check("\"text\"", "\"text\"");
    }

    #[test]
    fn what_is_wrong_is_told_by_field() {
        let check = |json: &str, message: &str| {
            assert_eq!(Draft::from_json(json.as_bytes()).expect_err(json).to_string(), message);
        };
        check(r#"{"data": null}"#, "data: null is not an event; send any other JSON value");
        check("null", "data: null is not an event; send any other JSON value");
        check(r#"{"data": 1, "metadata": [1]}"#, "metadata: [1] is not an object of texts");
        check(r#"{"data": 1, "metadata": {"a": 1}}"#, "metadata: {\"a\": 1} is not an object of texts");
        check(r#"{"data": 1, "correlation_id": 5}"#, "correlation_id: 5 is not a text");
        check(r#"{"data": 1, "content_type": "text/plain"}"#, "data: 1 is not a text, as text/plain needs");
        check(
            r#"{"data": 1, "data_base64": ""}"#,
            "data_base64: is given besides data; leave one of them out",
        );
        assert!(Draft::from_json(b"{").is_err() && Draft::from_json(b"").is_err());
        assert!(Draft::from_json(b"\"\xff\"").is_err() && Draft::from_json(b"{} {}").is_err());
    }

    #[test]
    fn what_a_reader_sees_can_be_published_again() {
        fn property(data: Vec<u8>, text: String, name: String, correlation: Option<String>) {
            let mut drafts =
                [Draft::bare(ContentType::Bytes, &data), Draft::bare(ContentType::Text, text.as_bytes())];
            for draft in &mut drafts {
                let name: String = name.chars().take(20).collect();
                draft.metadata.push((format!("n{name}").into(), text.as_str().into()));
                draft.correlation_id =
                    correlation.as_deref().filter(|text| text.len() <= 256).map(Into::into);
                let mut out = Vec::new();
                let event = Event::new(draft, Ulid(1), 0);
                write_draft(&mut out, &event);
                let again = Draft::from_json(&out).expect("it was written by us");
                assert_eq!((again.content_type, &again.payload), (draft.content_type, &draft.payload));
                assert_eq!(
                    (&again.metadata, &again.correlation_id),
                    (&draft.metadata, &draft.correlation_id)
                );
                out.clear();
                write_event(&mut out, 5, &event);
                let seen: serde_json::Value = serde_json::from_slice(&out).expect("it is JSON");
                assert_eq!(
                    (&seen["sequence"], &seen["created_at"]),
                    (&5.into(), &"1970-01-01T00:00:00.000000Z".into())
                );
            }
        }
        quickcheck::quickcheck(property as fn(_, String, String, _));
    }

    #[test]
    fn line_breaks_between_tokens_do_not_break_lines() {
        let mut out = Vec::new();
        write_draft(&mut out, &Event::new(&Draft::bare(ContentType::Json, b"{\n\"a\":\r\n1}"), Ulid(0), 0));
        assert!(!out.contains(&b'\n') && !out.contains(&b'\r'));
    }
}
