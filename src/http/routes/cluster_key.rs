//! The keys with which the cluster's messages are closed and opened: listed by their fingerprints, and rotated.

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::problem::Problem;
use super::super::response::Response;
use super::cluster::of;
use crate::cluster::{KeyError, Keyring};
use crate::engine::Fields;
use crate::node::{KeyChangeError, Node, key_bytes};

pub fn list(call: &mut Call<'_>) -> Result<Response, Problem> {
    Ok(Response::json(200, &ring(call.node())?))
}

fn ring(node: &Node) -> Result<Value, Problem> {
    let ids = of(node)?.keyring().ids();
    let keys: Value = ids.iter().enumerate().map(|(place, id)| key(id, place == 0)).collect();
    Ok(json!({"items": keys, "total": ids.len(), "next": null}))
}

fn key(id: &str, closes: bool) -> Value {
    json!({"id": id, "primary": closes})
}

/// Opens messages with one more key.
pub fn add(call: &mut Call<'_>) -> Result<Response, Problem> {
    let body = call.json()?;
    of(call.node())?;
    let mut fields = Fields::of(&body, "");
    let given = fields.text("key").and_then(key_bytes);
    if given.is_none() && fields.errors.is_empty() {
        // A secret is not repeated.
        fields.refuse("key", "is not 32 bytes in base64; `badbatch cluster keygen` makes one");
    }
    let errors = fields.finish();
    let given = match given {
        Some(given) if errors.is_empty() => given,
        _ => return Err(Problem::invalid(errors)),
    };
    let id = change(call.node(), |ring| ring.add(given))?;
    let closes = of(call.node())?.keyring().ids().first() == Some(&id);
    let location = format!("/api/v1/cluster/keys/{id}");
    Ok(Response::json(201, &key(&id, closes)).header("Location", location))
}

/// Closes messages with this key from now on.
pub fn prefer(call: &mut Call<'_>) -> Result<Response, Problem> {
    let id = &call.parameters[0];
    change(call.node(), |ring| ring.prefer(id))?;
    list(call)
}

/// Opens messages with this key no more.
pub fn remove(call: &mut Call<'_>) -> Result<Response, Problem> {
    let id = &call.parameters[0];
    change(call.node(), |ring| ring.remove(id))?;
    Ok(Response::empty(204))
}

fn change<T>(node: &Node, change: impl FnOnce(&mut Keyring) -> Result<T, KeyError>) -> Result<T, Problem> {
    of(node)?;
    node.change_cluster_keys(change).map_err(|error| match error {
        KeyChangeError::Key(error) => {
            let code = match error {
                KeyError::Clear => "cluster_not_encrypted",
                KeyError::InUse => "key_in_use",
                KeyError::TooMany => "too_many",
                _ => "key_not_found",
            };
            let detail: String = error.to_string().chars().take(200).collect();
            Problem::new(code, detail)
        }
        KeyChangeError::Store(error) => {
            log::error!(target: "node", "the cluster's keys are not kept for the next start: {error}");
            let detail = "the keys could not be kept on disk; the change holds until the next start";
            Problem::new("internal", detail)
        }
    })
}
