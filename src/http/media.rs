//! The forms in which bodies come and go: JSON, YAML, MessagePack, lines, and each of them compressed.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::Deserialize;
use serde_json::Value;

use super::problem::Problem;
use super::response::{JSON, PROBLEM, Response};
use super::server::Head;

/// A form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    Json,
    Yaml,
    MessagePack,
    /// JSON texts, one per line.
    Lines,
    Text,
    Bytes,
    /// Server-sent events.
    Events,
    Html,
}

const NAMES: &[(Media, &str, &str)] = &[
    (Media::Json, "application/json", "json"),
    (Media::Yaml, "application/yaml", "yaml"),
    (Media::MessagePack, "application/msgpack", "msgpack"),
    (Media::Lines, "application/x-ndjson", "ndjson"),
    (Media::Text, "text/plain", "text"),
    (Media::Bytes, "application/octet-stream", "bytes"),
    (Media::Events, "text/event-stream", "sse"),
    (Media::Html, "text/html", "html"),
];

/// Other names for the same.
const ALIASES: &[(&str, Media)] = &[
    ("application/x-yaml", Media::Yaml),
    ("text/yaml", Media::Yaml),
    ("application/x-msgpack", Media::MessagePack),
    ("application/vnd.msgpack", Media::MessagePack),
    ("application/ndjson", Media::Lines),
    ("application/jsonl", Media::Lines),
];

impl Media {
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find_map(|(media, name, _)| (*media == self).then_some(*name))
            .expect("every form has a name")
    }

    fn from_name(name: &str) -> Option<Self> {
        let name = name.split(';').next().unwrap_or_default().trim();
        let known = NAMES.iter().map(|(media, name, _)| (*name, *media)).chain(ALIASES.iter().copied());
        let named =
            known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, media)| media);
        named.or_else(|| name.to_ascii_lowercase().ends_with("+json").then_some(Self::Json))
    }

    /// The form of a request's body, among those that can be sent here; JSON if it is not said.
    pub fn of_request(head: &Head, taken: &[Self]) -> Result<Self, Problem> {
        let Some(name) = head.header("content-type").filter(|name| !name.is_empty()) else {
            return Ok(taken.first().copied().unwrap_or(Self::Json));
        };
        Self::from_name(name).filter(|media| taken.contains(media)).ok_or_else(|| {
            let shown: String = name.chars().take(80).collect();
            let names: Vec<_> = taken.iter().map(|media| media.name()).collect();
            let detail = format!(
                "`{shown}` cannot be sent here; send {}, as with curl -H 'content-type: {}'",
                names.join(", "),
                names.first().unwrap_or(&JSON)
            );
            Problem::new("unsupported_media_type", detail)
        })
    }

    /// The form that a client wants most, among those that can be had here, the usual one first.
    pub fn of_response(head: &Head, format: Option<&str>, offered: &[Self]) -> Result<Self, Problem> {
        let names = || offered.iter().map(|media| media.name()).collect::<Vec<_>>().join(", ");
        if let Some(format) = format {
            let named = NAMES.iter().find(|(_, _, short)| *short == format).map(|(media, ..)| *media);
            return named.filter(|media| offered.contains(media)).ok_or_else(|| {
                let shown: String = format.chars().take(80).collect();
                Problem::new(
                    "not_acceptable",
                    format!("there is no format `{shown}` here; there are {}", names()),
                )
            });
        }
        let mut wishes: Vec<(f32, &str)> = Vec::new();
        for wish in head.headers("accept").flat_map(|value| value.split(',')) {
            let mut parts = wish.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let weight =
                parts.find_map(|part| part.strip_prefix("q=")).and_then(|weight| weight.parse().ok());
            wishes.push((weight.unwrap_or(1.0), name));
        }
        wishes.retain(|(weight, name)| *weight > 0.0 && !name.is_empty());
        if wishes.is_empty() {
            return Ok(offered[0]);
        }
        wishes.sort_by(|one, two| two.0.total_cmp(&one.0));
        let fits = |wish: &str, media: Self| match wish.split_once('/') {
            Some(("*", "*")) => true,
            Some((kind, "*")) => media.name().split('/').next() == Some(kind),
            _ => {
                Self::from_name(wish) == Some(media)
                    || (wish.eq_ignore_ascii_case(PROBLEM) && media == Self::Json)
            }
        };
        let found =
            wishes.iter().find_map(|(_, wish)| offered.iter().copied().find(|media| fits(wish, *media)));
        found.ok_or_else(|| {
            Problem::new("not_acceptable", format!("there is none of these here; there are {}", names()))
        })
    }
}

/// A body in a form that means the same as JSON, as JSON.
///
/// Errors: it is not what its head says.
pub fn to_json(media: Media, body: Vec<u8>) -> Result<Vec<u8>, Problem> {
    let wrong = |form: &str, error: String| {
        let first = error.lines().next().unwrap_or_default().to_owned();
        Problem::field("body", format!("is not {form}: {first}"))
    };
    let value: Value = match media {
        Media::Yaml => {
            let text = std::str::from_utf8(&body).map_err(|error| wrong("YAML", error.to_string()))?;
            serde_saphyr::from_str(text).map_err(|error| wrong("YAML", error.to_string()))?
        }
        Media::MessagePack => {
            let mut reader = rmp_serde::Deserializer::new(body.as_slice());
            reader.set_max_depth(DEPTH_MAX);
            let value =
                Value::deserialize(&mut reader).map_err(|error| wrong("MessagePack", error.to_string()))?;
            if !reader.get_ref().is_empty() {
                return Err(wrong("MessagePack", "something follows the value".to_owned()));
            }
            value
        }
        _ => return Ok(body),
    };
    Ok(value.to_string().into_bytes())
}

const DEPTH_MAX: usize = 128;

/// A JSON response in another form.
///
/// Errors: it holds what only JSON can say, such as a number beyond all others.
pub fn convert(response: Response, media: Media, is_pretty: bool) -> Result<Response, Problem> {
    if response.header_value("content-type") != Some(JSON) || (media == Media::Json && !is_pretty) {
        return Ok(response);
    }
    let cannot = |error: String| {
        let detail = format!("this can be had as {JSON} only, without `pretty`: {error}");
        Problem::new("not_acceptable", detail)
    };
    let value: Value = serde_json::from_slice(&response.body).map_err(|error| cannot(error.to_string()))?;
    let body = match media {
        Media::Yaml => {
            serde_saphyr::to_string(&value).map(String::into_bytes).map_err(|error| error.to_string())
        }
        Media::MessagePack => rmp_serde::to_vec_named(&value).map_err(|error| error.to_string()),
        _ => serde_json::to_vec_pretty(&value).map_err(|error| error.to_string()),
    };
    let name = if matches!(media, Media::Yaml | Media::MessagePack) { media.name() } else { JSON };
    let mut converted = Response::new(response.status, name, body.map_err(cannot)?);
    let others = response.headers.into_iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
    converted.headers.extend(others);
    Ok(converted)
}

/// A body that came compressed, up to so many bytes.
///
/// Errors: it is larger, or not what its head says.
pub fn decompress(head: &Head, body: Vec<u8>, max: usize) -> Result<Vec<u8>, Problem> {
    match head.header("content-encoding").map(str::trim) {
        None | Some("" | "identity") => Ok(body),
        Some(encoding) if encoding.eq_ignore_ascii_case("gzip") => {
            let mut out = Vec::new();
            let mut decoder = MultiGzDecoder::new(body.as_slice()).take(max as u64 + 1);
            let read = decoder.read_to_end(&mut out);
            if out.len() > max {
                let detail = format!("the body has more than {max} bytes once it is decompressed");
                return Err(Problem::new("payload_too_large", detail).with("max", max));
            }
            read.map_err(|error| Problem::field("body", format!("is not gzip: {error}")))?;
            Ok(out)
        }
        Some(other) => {
            let shown: String = other.chars().take(80).collect();
            let detail = format!("the encoding `{shown}` cannot be sent; send gzip or none");
            Err(Problem::new("unsupported_media_type", detail))
        }
    }
}

/// Below this a response is not worth compressing.
const COMPRESSED_BYTES_MIN: usize = 1024;

/// Compresses a response if the client takes that.
pub fn compress(head: &Head, mut response: Response) -> Response {
    let is_one = |value: &str| {
        let mut parts = value.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        is_gzip && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    };
    if response.body.len() < COMPRESSED_BYTES_MIN || response.header_value("content-encoding").is_some() {
        return response;
    }
    if !head.headers("accept-encoding").flat_map(|value| value.split(',')).any(is_one) {
        return response;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let compressed = encoder.write_all(&response.body).and_then(|()| encoder.finish());
    // A vector takes every byte.
    if let Ok(body) = compressed {
        response.body = body;
        response = response.header("Content-Encoding", "gzip");
    }
    response
}
