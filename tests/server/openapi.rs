//! The description and the server are of one mind, both ways.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::Running;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

#[test]
fn every_described_operation_is_there_and_no_other_is() {
    let server = Running::start("");
    let mut client = server.client();
    let document = client.get("/openapi.json").json();
    let paths = document["paths"].as_object().expect("there are paths");
    assert!(paths.len() > 25);
    for (path, item) in paths {
        let real = path
            .replace("{id}", "main")
            .replace("{sequence}", "0")
            .replace("{code}", "x")
            .replace("{key_id}", "x")
            .replace("{member_id}", "x")
            .replace("{service_id}", "x")
            .replace("{cluster_key_id}", "x");
        let answer = client.ask("OPTIONS", &real, &[], b"");
        assert_eq!(answer.status, 204, "{path}");
        let told: BTreeSet<_> = answer.header("allow").split(", ").map(str::to_lowercase).collect();
        let described: BTreeSet<_> = item.as_object().expect("an item").keys().cloned().collect();
        let described: BTreeSet<_> =
            METHODS.map(str::to_owned).into_iter().filter(|method| described.contains(method)).collect();
        let told: BTreeSet<_> =
            METHODS.map(str::to_owned).into_iter().filter(|method| told.contains(method)).collect();
        assert_eq!(told, described, "{path}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_is_complete() {
    let document = Running::start("").client().get("/openapi.json").json();
    let schemas = document["components"]["schemas"].as_object().expect("there are schemas");
    let mut references = BTreeSet::new();
    gather(&document, &mut references);
    for reference in &references {
        let name = reference.strip_prefix("#/components/schemas/").expect("references are to schemas");
        assert!(schemas.contains_key(name), "{reference}");
    }
    for name in schemas.keys() {
        let is_used = references.contains(&format!("#/components/schemas/{name}"));
        assert!(is_used, "{name} is used nowhere");
    }
    for (path, item) in document["paths"].as_object().expect("there are paths") {
        for (method, operation) in item.as_object().expect("an item") {
            let responses = operation["responses"].as_object().expect("there are responses");
            assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path}");
            assert!(
                operation["summary"].is_string() && operation["operationId"].is_string(),
                "{method} {path}"
            );
        }
    }
}

fn gather(value: &Value, references: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| match value {
            Value::String(text) if name == "$ref" => drop(references.insert(text.clone())),
            value => gather(value, references),
        }),
        Value::Array(items) => items.iter().for_each(|value| gather(value, references)),
        _ => {}
    }
}
