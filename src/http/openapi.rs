//! The interface described for programs, made of the table by which requests are dispatched.
//!
//! Source: OpenAPI 3.1. The schemas of bodies are in `schemas.json`.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::media::Media;
use super::response::PROBLEM;
use super::routes::{ROUTES, Route, Success};
use crate::api;

const SCHEMAS: &str = include_str!("schemas.json");
/// What may be wrong on every path.
const EVERYWHERE: &[&str] =
    &["malformed_request", "cross_origin", "not_acceptable", "bad_host", "headers_too_large", "internal"];
/// What else may be wrong where a key may be needed.
const WITH_KEY: &[&str] = &["unauthorized", "forbidden", "rate_limited"];

/// The document. Made once.
pub fn document() -> Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(make).clone()
}

fn make() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let item = paths.entry(route.path).or_insert_with(|| json!({}));
        item[route.method.to_lowercase()] = operation(route);
    }
    let schemas: Value = serde_json::from_str(SCHEMAS).expect("our own schemas are JSON");
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "badbatch",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Named disruptors behind REST. Events are volatile: a disruptor keeps the last ones, as many as its ring has slots.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "disruptor", "description": "Making, starting, stopping and watching disruptors."},
            {"name": "event", "description": "Publishing, reading and following events."},
            {"name": "node", "description": "The server itself."},
            {"name": "cluster", "description": "The nodes that this one knows, and how they do."},
            {"name": "key", "description": "Who may do what."},
            {"name": "health", "description": "Open to everybody."},
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    for name in route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        let (schema, about) = match name {
            "id" if route.method == "PUT" => {
                (json!({"$ref": "#/components/schemas/Name"}), "The disruptor's name.")
            }
            "id" => (json!({"type": "string", "minLength": 1}), "The disruptor's name or identifier."),
            "sequence" => {
                (json!({"type": "integer", "minimum": 0, "maximum": i64::MAX}), "The event's number.")
            }
            "member_id" => (json!({"$ref": "#/components/schemas/Name"}), "The node's name."),
            "service_id" => {
                (json!({"$ref": "#/components/schemas/Name"}), "The service's identifier on this node.")
            }
            "cluster_key_id" => {
                (json!({"type": "string", "pattern": "^[0-9a-f]{16}$"}), "The key's fingerprint.")
            }
            "code" => (json!({"type": "string", "minLength": 1}), "The `code` of a problem."),
            _ => (json!({"type": "string", "minLength": 1}), "The key's identifier."),
        };
        parameters.push(
            json!({"name": name, "in": "path", "required": true, "schema": schema, "description": about}),
        );
    }
    for parameter in route.query {
        let schema: Value = serde_json::from_str(parameter.schema).expect("our own schemas are JSON");
        parameters.push(
            json!({"name": parameter.name, "in": "query", "schema": schema, "description": parameter.about}),
        );
    }
    if route.is_idempotent {
        let schema = json!({"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$"});
        let about = "Names this request, so that it is done once however often it comes within ten minutes.";
        parameters
            .push(json!({"name": "Idempotency-Key", "in": "header", "schema": schema, "description": about}));
    }
    let mut operation = json!({
        "operationId": route.id,
        "tags": [route.tag],
        "summary": route.about,
        "parameters": parameters,
        "responses": responses(route),
    });
    if let Some(body) = &route.body {
        let schema = json!({"$ref": format!("#/components/schemas/{}", body.schema)});
        let media = body.media.iter().map(|media| (media.name().to_owned(), content(*media, &schema)));
        operation["requestBody"] =
            json!({"required": body.is_required, "content": media.collect::<Map<_, _>>()});
    }
    match route.role {
        None => operation["security"] = json!([]),
        Some(role) => {
            operation["security"] = json!([{}, {"bearer": []}, {"header": []}, {"basic": []}]);
            operation["x-role"] = json!(role.name());
        }
    }
    operation
}

fn content(media: Media, schema: &Value) -> Value {
    match media {
        Media::Text | Media::Lines | Media::Events | Media::Html => json!({"schema": {"type": "string"}}),
        Media::Bytes => json!({"schema": {"type": "string", "format": "binary"}}),
        Media::Json | Media::Yaml | Media::MessagePack => json!({"schema": schema}),
    }
}

fn responses(route: &Route) -> Value {
    let mut responses: Map<String, Value> = Map::new();
    for success in route.success {
        responses.insert(success.status.to_string(), response(success));
    }
    let mut codes: Vec<&str> = EVERYWHERE.to_vec();
    codes.push("invalid_request");
    codes.extend(route.problems);
    if route.role.is_some() {
        codes.extend(WITH_KEY);
    }
    if route.body.is_some() {
        codes.extend(["payload_too_large", "unsupported_media_type", "request_timeout", "too_many_streams"]);
    }
    for code in codes {
        let kind = api::explain(code).expect("every code is in the table");
        let entry = responses
            .entry(kind.status.to_string())
            .or_insert_with(|| json!({"description": "", "content": {}}));
        let described = entry["description"].as_str().unwrap_or_default();
        if !described.contains(kind.code) {
            let separator = if described.is_empty() { "" } else { " " };
            entry["description"] = json!(format!("{described}{separator}{}: {}.", kind.code, kind.title));
            entry["content"][PROBLEM] = json!({"schema": {"$ref": "#/components/schemas/Problem"}});
        }
    }
    Value::Object(responses)
}

fn response(success: &Success) -> Value {
    let schema = json!({"$ref": format!("#/components/schemas/{}", success.schema)});
    let media = success.media.iter().map(|media| (media.name().to_owned(), content(*media, &schema)));
    let mut response = json!({"description": success.about});
    if !success.media.is_empty() {
        response["content"] = json!(media.collect::<Map<_, _>>());
    }
    if success.status == 201 {
        response["headers"] = json!({"Location": {"schema": {"type": "string"}, "description": "Where it is, if it has a place."}});
    }
    response
}
