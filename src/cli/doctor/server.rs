//! Checks of the server that the session points at.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::Value;

use super::check::Check;
use crate::client::{Client, ClientError};

/// Who is at an endpoint.
pub enum Answer {
    /// No connection.
    Nobody(String),
    /// Somebody who does not answer.
    Silence,
    /// Somebody who answers otherwise.
    Stranger(String),
    /// A server, and how it does.
    Badbatch(Value),
}

pub fn probe(client: &Client) -> Answer {
    match client.health() {
        Ok(health) if health["version"].is_string() && health["status"].is_string() => {
            Answer::Badbatch(health)
        }
        Ok(_) => Answer::Stranger("its /health says something else".to_owned()),
        Err(ClientError::TimedOut { .. }) => Answer::Silence,
        Err(ClientError::Unreachable { cause, .. }) if listens(client.endpoint()) => Answer::Stranger(cause),
        Err(ClientError::Unreachable { cause, .. }) => Answer::Nobody(cause),
        Err(ClientError::Garbage { what, .. }) => Answer::Stranger(what),
        Err(error) => Answer::Stranger(error.to_string()),
    }
}

/// Whether a connection can be had.
fn listens(endpoint: &str) -> bool {
    let host = endpoint.trim_start_matches("http://");
    let host =
        if host.ends_with(']') || !host.contains(':') { format!("{host}:80") } else { host.to_owned() };
    let connects = |address| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
    host.to_socket_addrs().into_iter().flatten().any(connects)
}

pub fn checks(answer: &Answer, endpoint: &str) -> [Check; 2] {
    [server(answer, endpoint), version(answer)]
}

fn server(answer: &Answer, endpoint: &str) -> Check {
    const NAME: &str = "server";
    const OTHER: &str = "name another one: --endpoint or BADBATCH_ENDPOINT";
    match answer {
        Answer::Nobody(cause) => {
            Check::note(NAME, format!("none at {endpoint} ({cause})"), "start one: badbatch server")
        }
        Answer::Silence => Check::failed(
            NAME,
            format!("{endpoint} takes a connection and does not answer"),
            format!("look at its log and its load; {OTHER}"),
        ),
        Answer::Stranger(what) => {
            Check::failed(NAME, format!("{endpoint} is no badbatch server: {what}"), OTHER)
        }
        Answer::Badbatch(health) => {
            let word = health["status"].as_str().unwrap_or_default();
            let up = Duration::from_secs(health["uptime_seconds"].as_u64().unwrap_or_default());
            let found = format!(
                "{word} at {endpoint}, up {}, {} disruptors running",
                humantime::format_duration(up),
                health["active_disruptors"]
            );
            let parts = health["components"].as_array().into_iter().flatten();
            let reasons = parts.flat_map(|part| part["reasons"].as_array().into_iter().flatten());
            let cluster = health["cluster"]["status"].as_str().filter(|status| *status != "healthy");
            let cluster = cluster.map(|status| format!("the cluster is {status}"));
            let reasons = reasons.filter_map(Value::as_str).map(str::to_owned).chain(cluster);
            let reasons: Vec<_> = reasons.collect();
            let advice = match reasons.is_empty() {
                true => {
                    "which one, and why: badbatch disruptor list, badbatch disruptor health NAME".to_owned()
                }
                false => reasons.join("; "),
            };
            match word {
                "healthy" if health["draining"] == true => Check::warning(NAME, found, "it is about to end"),
                "healthy" => Check::ok(NAME, found),
                "degraded" => Check::warning(NAME, found, advice),
                _ => Check::failed(NAME, found, advice),
            }
        }
    }
}

fn version(answer: &Answer) -> Check {
    const NAME: &str = "version";
    let own = env!("CARGO_PKG_VERSION");
    let Answer::Badbatch(health) = answer else { return Check::ok(NAME, own) };
    match health["version"].as_str() {
        Some(other) if other != own => Check::warning(
            NAME,
            format!("this program is {own}, the server {other}"),
            "take the same version on both sides",
        ),
        _ => Check::ok(NAME, format!("{own}, as the server")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::{Answer, checks};
    use serde_json::json;

    #[test]
    fn a_server_is_judged_by_its_health_and_its_version() {
        let check = |status: &str, draining: bool, version: &str, verdicts: [Verdict; 2]| {
            let health = json!({"status": status, "version": version, "draining": draining, "uptime_seconds": 61,
                "active_disruptors": 1, "components": [{"reasons": ["sink `x`: away"]}]});
            let [server, version] = checks(&Answer::Badbatch(health), "http://h");
            assert_eq!([server.verdict, version.verdict], verdicts, "{server:?} {version:?}");
            assert!(server.found.contains("up 1m 1s"), "{server:?}");
            server.advice
        };
        let own = env!("CARGO_PKG_VERSION");
        assert_eq!(check("healthy", false, own, [Verdict::Ok, Verdict::Ok]), "");
        check("healthy", true, own, [Verdict::Warning, Verdict::Ok]);
        check("healthy", false, "0.0.0", [Verdict::Ok, Verdict::Warning]);
        assert_eq!(check("degraded", false, own, [Verdict::Warning, Verdict::Ok]), "sink `x`: away");
        check("unhealthy", false, own, [Verdict::Failed, Verdict::Ok]);
        let [server, _] = checks(&Answer::Nobody("refused".to_owned()), "http://h");
        assert_eq!(server.verdict, Verdict::Note);
    }
}
