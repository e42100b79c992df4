//! A cluster, watched: its numbers and its members at a tick, as a line, as a row for programs, and as a picture.

use std::time::{Duration, SystemTime};

use ratatui::style::Style;
use ratatui::text::{Line, Span};
use serde_json::{Map, Value, json};

use super::super::output;
use super::figures::{count, seconds};
use super::sample::{list, rate};
use super::screen::{Palette, word};
use super::state::State;
use super::views::{Column, fitting, table};
use crate::client::{Client, ClientError};

const PATH: &str = "/api/v1/cluster";

/// What a tick has in a form for programs with columns.
pub const TICK: output::View<'_> = output::View {
    rows: None,
    columns: &[
        ("TIMESTAMP", "/timestamp"),
        ("HEALTH", "/health"),
        ("NODE", "/node_id"),
        ("ALIVE", "/alive"),
        ("SUSPECT", "/suspect"),
        ("DEAD", "/dead"),
        ("LEFT", "/left"),
        ("AWARENESS", "/awareness"),
        ("REFUSED_PER_SECOND", "/refused_per_second"),
        ("REFUSED", "/refused_total"),
        ("PASSING", "/services/passing"),
        ("WARNING", "/services/warning"),
        ("CRITICAL", "/services/critical"),
    ],
    wide: &[],
    name: "/health",
};

/// The cluster, its members and how many services each offers.
pub fn ask(client: &Client) -> Result<Value, ClientError> {
    let all = |list: &str| {
        let (mut items, mut offset) = (Vec::new(), Some(0));
        while let Some(from) = offset {
            let page = client.json("GET", &format!("{PATH}/{list}?limit=500&offset={from}"), None)?;
            items.extend(page["items"].as_array().into_iter().flatten().cloned());
            offset = page["next"].as_u64();
        }
        Ok(items)
    };
    let mut answer = client.json("GET", PATH, None)?;
    answer["items"] = json!(all("members")?);
    answer["offers"] = json!(all("services")?);
    Ok(answer)
}

/// The tick that an answer makes, as [`tick`](super::sample::tick).
pub fn tick(endpoint: &str, answer: &Value, before: Option<(&Value, Duration)>) -> Value {
    let refused: u64 =
        answer["refusals"].as_object().into_iter().flat_map(Map::values).filter_map(Value::as_u64).sum();
    let old = before.map(|(tick, span)| (&tick["refused_total"], span));
    let now = time(&answer["timestamp"]);
    let members: Vec<Value> = list(&answer["items"])
        .iter()
        .map(|member| {
            let offers = list(&answer["offers"]).iter().filter(|offer| offer["node"] == member["id"]);
            let age = now.zip(time(&member["since"])).map(|(now, since)| now.saturating_sub(since).as_secs());
            json!({
                "name": member["id"], "status": member["state"], "seconds": age, "address": member["address"],
                "http": member["http"], "incarnation": member["incarnation"], "self": member["self"],
                "services": offers.count(),
            })
        })
        .collect();
    let health = &answer["health"];
    let verdict = match health["component"]["status"].as_str() {
        Some("ready") | None => health["cluster"]["status"].clone(),
        Some(other) => json!(other),
    };
    let states = &answer["members"];
    json!({
        "timestamp": answer["timestamp"],
        "endpoint": endpoint,
        "uptime_seconds": health["process"]["uptime_seconds"],
        "health": verdict,
        "reasons": health["cluster"]["reasons"],
        "seconds": before.map(|(_, span)| span.as_secs_f64()),
        "node_id": answer["node_id"],
        "name": answer["name"],
        "address": answer["address"],
        "encrypted": answer["encrypted"],
        "awareness": answer["awareness"],
        "alive": states["alive"],
        "suspect": states["suspect"],
        "dead": states["dead"],
        "left": states["left"],
        "services": answer["services"],
        "refused_total": refused,
        "refused_per_second": rate(&json!(refused), old),
        "members": members,
    })
}

/// Since 1970.
fn time(value: &Value) -> Option<Duration> {
    let time = humantime::parse_rfc3339(value.as_str()?).ok()?;
    time.duration_since(SystemTime::UNIX_EPOCH).ok()
}

/// A tick in one line.
pub fn line(tick: &Value) -> String {
    let text = |name: &str| tick[name].as_str().unwrap_or("-");
    let time = text("timestamp").split('.').next().unwrap_or_default();
    let number = |name: &str| count(&tick[name], false);
    format!(
        "{time}Z  {}  {}  {} alive  {} suspect  {} dead  {} left  awareness {}  refused {}/s",
        text("health"),
        text("node_id"),
        number("alive"),
        number("suspect"),
        number("dead"),
        number("left"),
        number("awareness"),
        number("refused_per_second"),
    )
}

/// The lines of the picture's head below the first one.
pub fn head(state: &State) -> [Vec<String>; 2] {
    let tick = &state.shown;
    let number = |name: &str| count(&tick[name], state.is_raw);
    let services = |status: &str| count(&tick["services"][status], state.is_raw);
    let refused = match state.shows_totals {
        true => format!("refused {}", number("refused_total")),
        false => format!("refused {}/s", number("refused_per_second")),
    };
    let encrypted = if tick["encrypted"] == true { "encrypted" } else { "in clear" };
    let counts = ["alive", "suspect", "dead", "left"].map(|name| format!("{} {name}", number(name)));
    let node = [
        format!("{} of {}", word(tick, "node_id"), word(tick, "name")),
        format!("at {}", word(tick, "address")),
        encrypted.to_owned(),
        format!("awareness {}", number("awareness")),
        refused,
    ];
    let offered = format!(
        "services {} passing  {} warning  {} critical",
        services("passing"),
        services("warning"),
        services("critical")
    );
    [counts.into_iter().chain([offered]).collect(), node.into()]
}

/// All members, a line each, and what is wrong with the whole.
pub fn members(state: &State, palette: &Palette, width: usize, height: usize) -> Vec<Line<'static>> {
    let rows = state.rows();
    let widest = |name: &str, least: usize, most: usize| {
        rows.iter().map(|row| word(row, name).len()).max().unwrap_or(0).clamp(least, most)
    };
    let mut columns = vec![
        Column {
            heading: "NODE",
            width: widest("name", 4, 32),
            is_number: false,
            cell: |_, _, row| Span::raw(word(row, "name").to_owned()),
        },
        Column {
            heading: "STATE",
            width: 8,
            is_number: false,
            cell: |_, palette, row| {
                Span::styled(word(row, "status").to_owned(), palette.of(word(row, "status")))
            },
        },
        Column {
            heading: "FOR",
            width: 7,
            is_number: true,
            cell: |_, _, row| Span::raw(row["seconds"].as_u64().map_or("-".to_owned(), seconds)),
        },
        Column {
            heading: "SERV",
            width: 5,
            is_number: true,
            cell: |state, _, row| Span::raw(count(&row["services"], state.is_raw)),
        },
        Column {
            heading: "INC",
            width: 5,
            is_number: true,
            cell: |state, _, row| Span::raw(count(&row["incarnation"], state.is_raw)),
        },
        Column {
            heading: "ADDRESS",
            width: widest("address", 7, 47),
            is_number: false,
            cell: |_, _, row| Span::raw(word(row, "address").to_owned()),
        },
        Column {
            heading: "HTTP",
            width: widest("http", 4, 47),
            is_number: false,
            cell: |_, _, row| Span::raw(row["http"].as_str().unwrap_or("-").to_owned()),
        },
    ];
    columns.truncate(fitting(&columns, width));
    let reasons = list(&state.shown["reasons"]);
    let room = height.saturating_sub(reasons.len());
    let mut lines = table(state, palette, &columns, &rows, room, "no node");
    let style = palette.of(word(&state.shown, "health"));
    lines.extend(reasons.iter().map(|reason| reason_line(reason, style)));
    lines
}

fn reason_line(reason: &Value, style: Style) -> Line<'static> {
    Line::styled(format!(" {}", reason.as_str().unwrap_or_default()), style)
}

#[cfg(test)]
pub mod tests {
    use super::{line, tick};
    use serde_json::{Value, json};
    use std::time::Duration;

    /// A server's answer with three members, of which one is dead.
    pub fn answer(refused: u64) -> Value {
        let member = |id: &str, state: &str, since: &str, is_self: bool| {
            json!({
                "id": id, "state": state, "since": since, "address": "10.0.0.1:7946", "http": "10.0.0.1:8080",
                "incarnation": 2, "self": is_self,
            })
        };
        json!({
            "node_id": "a", "name": "badbatch", "address": "10.0.0.1:7946", "encrypted": true, "awareness": 1,
            "members": {"alive": 2, "suspect": 0, "dead": 1, "left": 0},
            "services": {"passing": 1, "warning": 0, "critical": 1},
            "refusals": {"wrong_key": refused, "foreign": 1},
            "health": {
                "process": {"status": "live", "uptime_seconds": 761},
                "component": {"status": "ready"},
                "cluster": {"status": "degraded", "reasons": ["1 of 3 members are dead"]},
            },
            "items": [
                member("a", "alive", "2026-01-02T03:00:00Z", true),
                member("b", "alive", "2026-01-02T03:04:00Z", false),
                member("c", "dead", "2026-01-01T03:04:05Z", false),
            ],
            "offers": [{"node": "b"}, {"node": "b"}],
            "timestamp": "2026-01-02T03:04:05.678901Z",
        })
    }

    pub fn second_tick() -> Value {
        let first = tick("http://h:1", &answer(3), None);
        tick("http://h:1", &answer(7), Some((&first, Duration::from_millis(500))))
    }

    #[test]
    fn a_tick_has_members_with_their_ages_and_services() {
        let second = second_tick();
        let check = |at: &str, expected: Value| assert_eq!(second.pointer(at), Some(&expected), "{at}");
        check("/refused_total", json!(8));
        check("/refused_per_second", json!(8.0));
        check("/health", json!("degraded"));
        check(
            "/members/1",
            json!({"name": "b", "status": "alive", "seconds": 5, "address": "10.0.0.1:7946",
            "http": "10.0.0.1:8080", "incarnation": 2, "self": false, "services": 2}),
        );
        check("/members/2/seconds", json!(86_400));
        let mut leaving = answer(0);
        leaving["health"]["component"]["status"] = json!("leaving");
        assert_eq!(tick("http://h:1", &leaving, None)["health"], "leaving");
        let empty = tick("http://h:1", &json!({"items": [{}]}), None);
        assert!(empty["health"].is_null() && empty["members"][0]["seconds"].is_null());
    }

    #[test]
    fn a_tick_is_a_line() {
        let expected =
            "2026-01-02T03:04:05Z  degraded  a  2 alive  0 suspect  1 dead  0 left  awareness 1  refused 8/s";
        assert_eq!(line(&second_tick()), expected);
    }
}
