//! What a watch has seen at a tick: the server's numbers as one JSON value, with rates since the tick before.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::cluster;
use crate::client::{Client, ClientError, disruptor_path};

/// What is watched: the whole server, a disruptor, or the cluster.
#[derive(Clone, Debug)]
pub enum Subject {
    System,
    Disruptor(String),
    Cluster,
}

impl Subject {
    /// One request for everything, and some more for a cluster. A key that is for one disruptor only can ask for that one.
    pub fn ask(&self, client: &Client) -> Result<Value, ClientError> {
        match self {
            Self::System => client.json("GET", "/api/v1/metrics", None),
            Self::Cluster => cluster::ask(client),
            Self::Disruptor(id) => {
                let numbers = client.json("GET", &format!("{}/metrics", disruptor_path(id)), None)?;
                let mut all = numbers.as_object().cloned().unwrap_or_default();
                all.retain(|name, _| SHARED.contains(&name.as_str()));
                all.insert("disruptors".to_owned(), json!([numbers]));
                Ok(Value::Object(all))
            }
        }
    }

    /// The tick that an answer makes.
    pub fn tick(&self, endpoint: &str, answer: &Value, before: Option<(&Value, Duration)>) -> Value {
        match self {
            Self::System | Self::Disruptor(_) => tick(endpoint, answer, before),
            Self::Cluster => cluster::tick(endpoint, answer, before),
        }
    }
}

/// What a disruptor's numbers and the server's have in common.
const SHARED: [&str; 9] = [
    "health",
    "total_events_published",
    "total_events_processed",
    "p50_latency_micros",
    "p95_latency_micros",
    "p99_latency_micros",
    "error_count",
    "rejected",
    "timestamp",
];

/// The tick that an answer makes. `before` is the tick before, with how long ago it was seen; without it, and where a
/// number has begun anew since, a rate is null.
pub fn tick(endpoint: &str, answer: &Value, before: Option<(&Value, Duration)>) -> Value {
    let old = |name: &str| before.map(|(tick, span)| (&tick[name], span));
    let disruptors: Vec<Value> = list(&answer["disruptors"])
        .iter()
        .map(|now| {
            let same = |(tick, span): (&'_ Value, Duration)| {
                let found = list(&tick["disruptors"]).iter().find(|old| old["id"] == now["disruptor_id"]);
                found.cloned().map(|old| (old, span))
            };
            let old = before.and_then(same);
            disruptor(now, old.as_ref().map(|(old, span)| (old, *span)))
        })
        .collect();
    let worst = |name: &str| disruptors.iter().filter_map(|one| one[name].as_f64()).fold(0.0, f64::max);
    let cpu = &answer["process"]["cpu_seconds"];
    let mut tick = json!({
        "timestamp": answer["timestamp"],
        "endpoint": endpoint,
        "version": answer["version"],
        "uptime_seconds": answer["uptime_seconds"],
        "health": answer["health"],
        "seconds": before.map(|(_, span)| span.as_secs_f64()),
        "lag": worst("lag") as u64,
        "fill": worst("fill"),
        "cpu_seconds": cpu,
        "cpu_percent": rate(cpu, old("cpu_seconds")).map(|share| 100.0 * share),
        "resident_bytes": answer["process"]["resident_bytes"],
    });
    let members = tick.as_object_mut().expect("it is an object");
    common(members, answer, before);
    members.insert("disruptors".to_owned(), json!(disruptors));
    tick
}

fn disruptor(now: &Value, before: Option<(&Value, Duration)>) -> Value {
    let (size, used) = (now["buffer_size"].as_f64().unwrap_or(1.0), now["ring_used"].as_f64().unwrap_or(0.0));
    let sinks: Vec<Value> = list(&now["sinks"])
        .iter()
        .map(|sink| {
            let old = before.and_then(|(old, span)| {
                let found = list(&old["sinks"]).iter().find(|old| old["name"] == sink["name"]);
                Some((&found?["handled"], span))
            });
            let mut sink = sink.clone();
            sink["per_second"] = json!(rate(&sink["handled"], old));
            sink
        })
        .collect();
    let mut one = json!({
        "id": now["disruptor_id"],
        "name": now["name"],
        "status": now["status"],
        "health": now["health"],
        "reasons": now["reasons"],
        "buffer_size": now["buffer_size"],
        "ring_used": now["ring_used"],
        "fill": used / size,
        "lag": sinks.iter().filter_map(|sink| sink["lag"].as_u64()).max().unwrap_or(0),
    });
    let members = one.as_object_mut().expect("it is an object");
    common(members, now, before);
    members.insert("sinks".to_owned(), json!(sinks));
    one
}

/// What the server as a whole and each disruptor have.
fn common(members: &mut Map<String, Value>, now: &Value, before: Option<(&Value, Duration)>) {
    let reasons = now["rejected"].as_object().into_iter().flat_map(Map::values);
    let rejected_total = json!(reasons.filter_map(Value::as_u64).sum::<u64>());
    for (total, per_second, value) in [
        ("published", "in_per_second", &now["total_events_published"]),
        ("processed", "out_per_second", &now["total_events_processed"]),
        ("rejected_total", "rejected_per_second", &rejected_total),
        ("errors", "errors_per_second", &now["error_count"]),
    ] {
        let old = before.map(|(old, span)| (&old[total], span));
        members.insert(per_second.to_owned(), json!(rate(value, old)));
        members.insert(total.to_owned(), value.clone());
    }
    for name in ["rejected", "p50_latency_micros", "p95_latency_micros", "p99_latency_micros"] {
        members.insert(name.to_owned(), now[name].clone());
    }
}

/// How fast a number grows. One that has become smaller was begun anew.
pub fn rate(now: &Value, before: Option<(&Value, Duration)>) -> Option<f64> {
    let (old, span) = before?;
    let grown = now.as_f64()? - old.as_f64()?;
    (grown >= 0.0 && !span.is_zero()).then(|| grown / span.as_secs_f64())
}

/// A list's items; none of anything else.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
pub mod tests {
    use super::{list, tick};
    use serde_json::{Value, json};
    use std::time::Duration;

    /// A server's answer with two disruptors, after so many events.
    pub fn answer(events: u64) -> Value {
        let one = |name: &str, id: &str, events: u64, used: u64| {
            json!({
                "disruptor_id": id, "name": name, "status": "running", "health": "healthy", "reasons": [],
                "buffer_size": 1024, "ring_used": used,
                "total_events_published": events, "total_events_processed": events - used,
                "p50_latency_micros": 1.5, "p95_latency_micros": 40.0, "p99_latency_micros": 2500.0,
                "error_count": 0, "rejected": {"ring_full": events / 10, "rate_limited": 0, "wrong_state": 0},
                "sinks": [{"name": "count", "lag": used, "handled": events - used, "errors": 0, "trouble": null,
                    "stalled": false}],
            })
        };
        json!({
            "version": "0.1.0", "uptime_seconds": 761, "health": "healthy",
            "process": {"cpu_seconds": events as f64 / 1000.0, "resident_bytes": 48 << 20},
            "total_events_published": 2 * events, "total_events_processed": 2 * events - 1024,
            "p50_latency_micros": 1.5, "p95_latency_micros": 40.0, "p99_latency_micros": 2500.0, "error_count": 0,
            "rejected": {"ring_full": events / 5, "rate_limited": 0, "wrong_state": 0},
            "disruptors": [one("main", "1", events, 0), one("orders", "2", events, 1024)],
            "timestamp": "2026-01-02T03:04:05.678901Z",
        })
    }

    /// The second of two ticks, half a second apart, at 4000 events a second for each disruptor.
    pub fn second_tick() -> Value {
        let first = tick("http://h:1", &answer(2000), None);
        tick("http://h:1", &answer(4000), Some((&first, Duration::from_millis(500))))
    }

    #[test]
    fn rates_come_from_two_ticks() {
        let first = tick("http://h:1", &answer(2000), None);
        assert!(first["in_per_second"].is_null() && first["disruptors"][0]["out_per_second"].is_null());
        let second = second_tick();
        let check = |at: &str, expected: Value| assert_eq!(second.pointer(at), Some(&expected), "{at}");
        check("/in_per_second", json!(8000.0));
        check("/out_per_second", json!(8000.0));
        check("/rejected_per_second", json!(800.0));
        check("/cpu_percent", json!(400.0));
        check("/published", json!(8000));
        check("/rejected_total", json!(800));
        check("/lag", json!(1024));
        check("/fill", json!(1.0));
        check("/seconds", json!(0.5));
        check("/disruptors/1/in_per_second", json!(4000.0));
        check("/disruptors/1/sinks/0/per_second", json!(4000.0));
        let names = |tick: &Value| tick.as_object().expect("it is one").keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&first), names(&second));
        assert_eq!(names(&first["disruptors"][0]), names(&second["disruptors"][1]));
    }

    #[test]
    fn a_number_that_began_anew_has_no_rate_until_it_was_seen_twice() {
        let before = second_tick();
        let restarted = tick("http://h:1", &answer(1500), Some((&before, Duration::from_secs(1))));
        assert!(restarted["in_per_second"].is_null() && restarted["cpu_percent"].is_null());
        let next = tick("http://h:1", &answer(1600), Some((&restarted, Duration::from_secs(1))));
        assert_eq!(next["in_per_second"], 200.0);
        let mut other = answer(5000);
        other["disruptors"][0]["disruptor_id"] = json!("3");
        let replaced = tick("http://h:1", &other, Some((&before, Duration::from_secs(1))));
        assert!(replaced["disruptors"][0]["in_per_second"].is_null());
        assert_eq!(replaced["disruptors"][1]["in_per_second"], 1000.0);
    }

    #[test]
    fn an_answer_without_numbers_is_a_tick_without_numbers() {
        let tick = tick("http://h:1", &json!({"disruptors": [{}]}), None);
        assert!(tick["health"].is_null() && list(&tick["disruptors"]).len() == 1);
    }
}
