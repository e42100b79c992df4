//! Access keys: made, listed, revoked.

use serde_json::json;

use super::super::call::Call;
use super::super::problem::Problem;
use super::super::response::Response;
use crate::node::NewKey;

pub fn create(call: &mut Call<'_>) -> Result<Response, Problem> {
    let json = call.json()?;
    let new = NewKey::from_json(&json).map_err(Problem::invalid)?;
    let now = call.node().clock().unix_micros();
    let (mut shown, text) =
        call.node().keys().create(new, now).map_err(|error| Problem::new("too_many", error.to_string()))?;
    keep(call)?;
    // Here, and never again.
    shown["key"] = json!(text);
    let location = format!("/api/v1/key/{}", shown["id"].as_str().unwrap_or_default());
    Ok(Response::json(201, &shown).header("Location", location))
}

pub fn list(call: &mut Call<'_>) -> Result<Response, Problem> {
    let keys = call.node().keys().to_public_json();
    Ok(Response::json(200, &json!({"total": keys.len(), "items": keys, "next": null})))
}

pub fn revoke(call: &mut Call<'_>) -> Result<Response, Problem> {
    let id = &call.parameters[0];
    if !call.node().keys().revoke(id) {
        let shown: String = id.chars().take(80).collect();
        return Err(Problem::new("key_not_found", format!("there is no key `{shown}`")));
    }
    keep(call)?;
    Ok(Response::empty(204))
}

fn keep(call: &Call<'_>) -> Result<(), Problem> {
    call.node().keep_keys().map_err(|error| {
        log::error!(target: "node", "keys are not kept for the next start: {error}");
        Problem::new("internal", "the keys could not be kept on disk; the change holds until the next start")
    })
}
