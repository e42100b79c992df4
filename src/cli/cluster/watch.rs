//! `badbatch cluster watch`: what becomes of nodes and services, as it happens.

use std::io::{self, Write};
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::super::exit::Failure;
use super::super::output::{self, Format, View, plain};
use super::super::session::Session;
use super::text;

/// Tell what becomes of nodes and services, and what notes say, a line each.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "watch", example = "badbatch cluster watch --from 0 --count 1")]
pub struct Watch {
    /// the first event, 0 for the oldest that is kept [default: the next one]
    #[argh(option)]
    from: Option<u64>,
    /// after how many events to end
    #[argh(option)]
    count: Option<u64>,
}

const PATH: &str = "/api/v1/cluster/events";
/// How long the server waits for an event.
const WAIT: Duration = Duration::from_secs(10);
const EVENTS: View<'_> = View {
    rows: Some("items"),
    columns: &[
        ("SEQUENCE", "/sequence"),
        ("AT", "/at"),
        ("EVENT", "/event"),
        ("NODE", "/member/id"),
        ("SERVICE", "/service/id"),
    ],
    wide: &[],
    name: "/sequence",
};

pub fn run(arguments: &Watch, session: &Session) -> Result<(), Failure> {
    let mut left = arguments.count.unwrap_or(u64::MAX);
    let mut next = match arguments.from {
        Some(from) => from,
        None => {
            let newest = session.ask("GET", &format!("{PATH}?from_sequence={}&limit=1", i64::MAX), None)?;
            newest["next_sequence"].as_u64().unwrap_or(0)
        }
    };
    let mut is_first = true;
    while left > 0 {
        let limit = left.min(100);
        let wait = WAIT.as_millis();
        let path = format!("{PATH}?from_sequence={next}&limit={limit}&wait={wait}ms");
        let answer = session
            .client
            .request("GET", &path, None, WAIT + Duration::from_secs(20))
            .map_err(|error| session.failed(&error))?;
        let answer: Value = serde_json::from_slice(&answer.body)
            .map_err(|error| Failure::failed(format!("the server's answer is not JSON: {error}")))?;
        for event in answer["items"].as_array().into_iter().flatten() {
            let sequence = event["sequence"].as_u64().unwrap_or(next);
            if sequence > next && (next > 0 || !is_first) {
                session.say(&format!("gap: events {next} to {} are no longer kept", sequence - 1));
            }
            show(session.format, event, is_first)?;
            is_first = false;
            left -= 1;
            next = sequence + 1;
        }
        // A server that was restarted counts anew.
        next = next.min(answer["next_sequence"].as_u64().unwrap_or(next));
    }
    Ok(())
}

fn show(format: Format, event: &Value, is_first: bool) -> Result<(), Failure> {
    let told = match format {
        Format::Table | Format::Wide => line(event) + "\n",
        Format::Json | Format::Ndjson => format!("{event}\n"),
        format => {
            let rows = output::text(format, &json!({"items": [event]}), &EVENTS);
            match format {
                Format::Csv if !is_first => {
                    rows.split_once('\n').map_or(String::new(), |(_, row)| row.to_owned())
                }
                Format::Yaml => format!("---\n{rows}"),
                _ => rows,
            }
        }
    };
    let mut out = io::stdout().lock();
    out.write_all(told.as_bytes())?;
    Ok(out.flush()?)
}

/// An event in one line.
fn line(event: &Value) -> String {
    let (member, service) = (&event["member"], &event["service"]);
    let what = match text(event, "event") {
        "note" => format!("{}: {}", text(event, "from"), text(event, "text")),
        "forgotten" => text(event, "id").to_owned(),
        "name_taken" => format!("{} uses this node's name", text(event, "address")),
        _ if service.is_object() => {
            let (id, node, status) = (text(service, "id"), text(service, "node"), text(service, "status"));
            format!("{id} of {node}, {status}: {}:{}", text(service, "address"), service["port"])
        }
        _ => format!("{} at {}", text(member, "id"), text(member, "address")),
    };
    let time = text(event, "at").split('.').next().unwrap_or_default();
    format!("{time}Z  {:<12}  {}", text(event, "event"), plain(&what))
}

#[cfg(test)]
mod tests {
    use super::line;
    use serde_json::json;

    #[test]
    fn an_event_is_a_line() {
        let check = |event: serde_json::Value, expected: &str| {
            let mut event = event;
            event["at"] = json!("2026-01-02T03:04:05.678901Z");
            assert_eq!(line(&event), format!("2026-01-02T03:04:05Z  {expected}"));
        };
        check(
            json!({"event": "joined", "member": {"id": "b", "address": "127.0.0.1:1"}}),
            "joined        b at 127.0.0.1:1",
        );
        check(
            json!({"event": "changed", "service": {"id": "web", "node": "b", "status": "warning", "address": "h", "port": 80}}),
            "changed       web of b, warning: h:80",
        );
        check(json!({"event": "note", "from": "b", "text": "a\nb\u{1b}"}), "note          b: a\\nb\\u{1b}");
        check(json!({"event": "forgotten", "id": "b"}), "forgotten     b");
        check(json!({"event": "name_taken", "address": "h:1"}), "name_taken    h:1 uses this node's name");
    }
}
