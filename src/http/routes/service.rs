//! What the nodes of the cluster offer: registered, reported on, looked up; and notes to all nodes.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::problem::Problem;
use super::super::response::Response;
use super::cluster::{of, present};
use crate::base::nearest::nearest;
use crate::cluster::swim::{NoteError, Offer, Service, ServiceError, Status};
use crate::cluster::{Check, Choice, Cluster};
use crate::engine::{FieldError, Fields};

const STATUSES: [(&str, Status); 3] =
    [("passing", Status::Passing), ("warning", Status::Warning), ("critical", Status::Critical)];
const CHOICES: [(&str, Choice); 3] =
    [("random", Choice::Random), ("round_robin", Choice::RoundRobin), ("least_loaded", Choice::LeastLoaded)];
const CHECKS: [(&str, Kind); 3] = [("ttl", Kind::Ttl), ("tcp", Kind::Tcp), ("http", Kind::Http)];
const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone, Copy)]
enum Kind {
    Ttl,
    Tcp,
    Http,
}

/// A service as it is told of.
pub fn info(offer: &Offer) -> Value {
    let Offer { node, service, status, load, note } = offer;
    json!({
        "id": service.id, "name": service.name, "node": node.as_str(),
        "address": service.address, "port": service.port,
        "tags": service.tags, "metadata": service.metadata,
        "status": status.name(), "load": load, "note": note,
    })
}

/// Those that fit, the best first; or one of them.
pub fn list(call: &mut Call<'_>) -> Result<Response, Problem> {
    let cluster = of(call.node())?;
    let limit = call.query.integer("limit", 1, 500)?.unwrap_or(50) as usize;
    let offset = call.query.integer("offset", 0, 1_000_000)?.unwrap_or(0) as usize;
    let (name, tag) = (call.query.text("name"), call.query.text("tag"));
    let node = call.query.text("node");
    let is_healthy = call.query.boolean("healthy")?.unwrap_or(false);
    let mut found = match (choice(call)?, name) {
        (Some(choice), Some(name)) => cluster.pick(name, tag, choice).into_iter().collect(),
        (Some(_), None) => {
            return Err(Problem::field("choose", "is for services of one name; say which: name"));
        }
        (None, Some(name)) => cluster.lookup(name, tag),
        (None, None) => {
            let mut all = cluster.services();
            all.retain(|offer| tag.is_none_or(|tag| offer.service.tags.iter().any(|own| own == tag)));
            all
        }
    };
    found.retain(|offer| {
        node.is_none_or(|node| offer.node.as_str() == node)
            && (!is_healthy || offer.status != Status::Critical)
    });
    let total = found.len();
    let items: Vec<_> = found.iter().skip(offset).take(limit).map(info).collect();
    let end = offset.saturating_add(limit);
    let next = (end < total).then_some(end);
    let body = json!({"items": items, "total": total, "offset": offset, "limit": limit, "next": next});
    Ok(Response::json(200, &body))
}

fn choice(call: &Call<'_>) -> Result<Option<Choice>, Problem> {
    let Some(text) = call.query.text("choose") else { return Ok(None) };
    let word = text.replace('-', "_");
    match CHOICES.iter().find(|(known, _)| *known == word) {
        Some((_, choice)) => Ok(Some(*choice)),
        None => {
            let shown: String = text.chars().take(80).collect();
            let known = CHOICES.map(|(known, _)| known).join(", ");
            Err(Problem::field("choose", format!("`{shown}` is not one of {known}")))
        }
    }
}

/// A service of this node.
pub fn read(call: &mut Call<'_>) -> Result<Response, Problem> {
    Ok(Response::json(200, &info(&own(call)?)))
}

/// The service of this node that the path names.
fn own(call: &Call<'_>) -> Result<Offer, Problem> {
    let cluster = of(call.node())?;
    let id = &call.parameters[0];
    let mut own = cluster.services();
    own.retain(|offer| offer.node == *cluster.id());
    match own.iter().position(|offer| offer.service.id == *id) {
        Some(place) => Ok(own.swap_remove(place)),
        None => Err(missing(id, own.iter().map(|offer| offer.service.id.as_str()))),
    }
}

fn missing<'k>(id: &str, known: impl Iterator<Item = &'k str>) -> Problem {
    let shown: String = id.chars().take(80).collect();
    let detail = format!("no service `{shown}` is registered on this node");
    Problem::new(
        "service_not_found",
        match nearest(id, known) {
            Some(near) => format!("{detail}; did you mean `{near}`?"),
            None => detail,
        },
    )
}

/// Offers a service on this node, or describes it anew.
pub fn register(call: &mut Call<'_>) -> Result<Response, Problem> {
    let body = call.json()?;
    let cluster = present(call.node())?;
    let (service, check) = described(&body, cluster).map_err(Problem::invalid)?;
    let id = service.id.clone();
    let is_known = offered(cluster, &id).is_some();
    cluster.register(service, check).map_err(refused)?;
    let status = if is_known { 200 } else { 201 };
    let offer = offered(cluster, &id).ok_or_else(|| missing(&id, std::iter::empty()))?;
    Ok(Response::json(status, &info(&offer)).header("Location", format!("/api/v1/cluster/services/{id}")))
}

fn offered(cluster: &Cluster, id: &str) -> Option<Offer> {
    let mut all = cluster.services().into_iter();
    all.find(|offer| offer.node == *cluster.id() && offer.service.id == id)
}

fn described(body: &Value, cluster: &Cluster) -> Result<(Service, Option<Check>), Vec<FieldError>> {
    let mut fields = Fields::of(body, "");
    let name = fields.text("name").unwrap_or_default().to_owned();
    if body.get("name").is_none_or(Value::is_null) {
        fields.missing("name", "what the service is, the same wherever it is offered");
    }
    let port = fields.integer("port", 1, 65_535);
    if body.get("port").is_none_or(Value::is_null) {
        fields.missing("port", "where it listens, 1 to 65535");
    }
    let service = Service {
        id: fields.text("id").map_or_else(|| name.clone(), str::to_owned),
        name,
        address: match fields.text("address") {
            Some(address) => address.to_owned(),
            None => cluster.advertised().ip().to_string(),
        },
        port: port.unwrap_or_default() as u16,
        tags: fields.texts("tags").unwrap_or_default(),
        metadata: fields.pairs("metadata").unwrap_or_default().into_iter().collect(),
    };
    let check = fields.value("check").map(check);
    let mut errors = Vec::new();
    let check = match check {
        Some(Ok(check)) => Some(check),
        Some(Err(wrong)) => {
            errors = wrong;
            None
        }
        None => None,
    };
    errors.extend(fields.finish());
    if errors.is_empty() { Ok((service, check)) } else { Err(errors) }
}

fn check(value: &Value) -> Result<Check, Vec<FieldError>> {
    let mut fields = Fields::of(value, "check");
    let kind = fields.choice("kind", &CHECKS);
    let check = match kind {
        Some(Kind::Ttl) => {
            let ttl = fields.duration("ttl");
            if value.get("ttl").is_none_or(Value::is_null) {
                fields.missing("ttl", "how long a report is good, such as \"30s\"");
            }
            ttl.map(Check::Ttl)
        }
        Some(kind) => {
            let interval = fields.duration("interval").unwrap_or(INTERVAL);
            let timeout = fields.duration("timeout").unwrap_or(TIMEOUT.min(interval));
            Some(match kind {
                Kind::Http => {
                    let path = fields.text("path").unwrap_or("/").to_owned();
                    Check::Http { path, interval, timeout }
                }
                _ => Check::Tcp { interval, timeout },
            })
        }
        None => {
            if value.get("kind").is_none_or(Value::is_null) {
                fields.missing("kind", "ttl, tcp or http");
            }
            None
        }
    };
    let is_kind = kind.is_some();
    let mut errors = fields.finish();
    if !is_kind {
        // What else is there belongs to a kind that is not known.
        errors.retain(|error| error.field == "check.kind" || error.field == "check");
    }
    match check {
        Some(check) if errors.is_empty() => Ok(check),
        _ => Err(errors),
    }
}

/// Says how well a service of this node is, and how busy.
pub fn report(call: &mut Call<'_>) -> Result<Response, Problem> {
    let body = call.json()?;
    let cluster = of(call.node())?;
    let mut fields = Fields::of(&body, "");
    let status = fields.choice("status", &STATUSES);
    let note = fields.text("note").map(str::to_owned);
    let load = fields.integer("load", 0, u64::from(u32::MAX)).map(|load| load as u32);
    if fields.errors.is_empty() && status.is_none() && (load.is_none() || note.is_some()) {
        fields.missing("status", "passing, warning or critical; without one, say the load");
    }
    let errors = fields.finish();
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    own(call)?;
    let id = &call.parameters[0];
    if let Some(status) = status {
        cluster.report(id, status, note.as_deref().unwrap_or_default()).map_err(refused)?;
    }
    if let Some(load) = load {
        cluster.report_load(id, load).map_err(refused)?;
    }
    read(call)
}

/// Offers a service of this node no longer.
pub fn deregister(call: &mut Call<'_>) -> Result<Response, Problem> {
    own(call)?;
    of(call.node())?.deregister(&call.parameters[0]).map_err(refused)?;
    Ok(Response::empty(204))
}

fn refused(error: ServiceError) -> Problem {
    let detail = error.to_string();
    match error {
        ServiceError::Name(_, field) => Problem::field(field, detail),
        ServiceError::Address(_) => Problem::field("address", detail),
        ServiceError::Port => Problem::field("port", detail),
        ServiceError::Note(_) => Problem::field("note", detail),
        ServiceError::Check(_) => Problem::field("check", detail),
        ServiceError::TooMany => Problem::new("too_many", detail),
        ServiceError::Unknown(_) => Problem::new("service_not_found", detail),
        ServiceError::Checked(_) => Problem::new("service_checked", detail),
        ServiceError::Leaving => Problem::new("cluster_left", detail),
        _ => Problem::field("body", detail),
    }
}

/// Says something to all other nodes.
pub fn note(call: &mut Call<'_>) -> Result<Response, Problem> {
    let body = call.json()?;
    let cluster = present(call.node())?;
    let mut fields = Fields::of(&body, "");
    let text = fields.text("text").unwrap_or_default().to_owned();
    if fields.errors.is_empty() && text.is_empty() {
        fields.missing("text", "what to say to all nodes");
    }
    let errors = fields.finish();
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    cluster.send_note(text.as_bytes()).map_err(|error| match error {
        NoteError::TooMany => {
            Problem::new("rate_limited", error.to_string()).retry_after(Duration::from_secs(1))
        }
        _ => Problem::field("text", error.to_string()),
    })?;
    Ok(Response::json(202, &json!({"bytes": text.len()})))
}
