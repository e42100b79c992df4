//! Everything that somebody who is to help wants to know, in one JSON value without secrets.

use std::env;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use crate::cli::session::Session;
use crate::client::Client;
use crate::sys::topology::{Topology, Tree};

/// Variables whose values are shown; of all others only that they are set.
const SHOWN: [&str; 9] = [
    "BADBATCH_AUTH_ENABLED",
    "BADBATCH_BIND",
    "BADBATCH_CONFIG",
    "BADBATCH_CONTEXT",
    "BADBATCH_DATA_DIR",
    "BADBATCH_ENDPOINT",
    "BADBATCH_LOG",
    "BADBATCH_OUTPUT",
    "BADBATCH_TIMEOUT",
];

/// What is asked of the server, by name.
const ASKED: [(&str, &str); 7] = [
    ("version", "/api/v1/version"),
    ("process", "/api/v1/server"),
    ("config", "/api/v1/config"),
    ("metrics", "/api/v1/metrics"),
    ("disruptors", "/api/v1/disruptor?limit=500"),
    ("cluster", "/api/v1/cluster"),
    ("prometheus", "/metrics?format=text"),
];

/// `health` is what a server has said already, if there is one.
pub fn gather(doctor: &Value, health: Option<&Value>, session: &Session) -> Value {
    json!({
        "created_at": humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        "version": env!("CARGO_PKG_VERSION"),
        "doctor": doctor,
        "machine": {
            "system": format!("{} {}", env::consts::OS, env::consts::ARCH),
            "topology": Topology::detect().map_or_else(|error| error.to_string(), |found| found.to_string()),
            "tree": Tree::load(Path::new("/sys/devices/system")).to_string(),
        },
        "client": {
            "settings": session.profile.to_json(),
            "environment": environment(env::vars()),
        },
        "server": health.map(|health| server(health, &session.client)),
    })
}

/// The program's own variables.
fn environment(variables: impl Iterator<Item = (String, String)>) -> Value {
    let own = variables.filter(|(name, _)| name.starts_with("BADBATCH_"));
    let shown = own.map(|(name, value)| {
        // An endpoint with a password is not taken, and may be there all the same.
        let is_shown = SHOWN.contains(&name.as_str()) && !value.contains('@');
        (name, json!(if is_shown { value.as_str() } else { "(not shown)" }))
    });
    Value::Object(shown.collect::<Map<_, _>>())
}

fn server(health: &Value, client: &Client) -> Value {
    const PATIENCE: Duration = Duration::from_secs(2);
    let mut told = Map::from_iter([("health".to_owned(), health.clone())]);
    for (name, path) in ASKED {
        let value = match client.request("GET", path, None, PATIENCE) {
            Ok(answer) => serde_json::from_slice(&answer.body)
                .unwrap_or_else(|_| json!(String::from_utf8_lossy(&answer.body))),
            Err(error) => json!({"error": error.to_string()}),
        };
        told.insert(name.to_owned(), value);
    }
    Value::Object(told)
}

#[cfg(test)]
mod tests {
    use super::environment;
    use serde_json::json;

    #[test]
    fn only_variables_that_are_no_secrets_are_shown() {
        let variables = [
            ("BADBATCH_TOKEN", "hidden"),
            ("BADBATCH_API_KEYS", "hidden"),
            ("BADBATCH_NEW", "hidden"),
            ("BADBATCH_ENDPOINT", "http://key:hidden@h"),
            ("BADBATCH_LOG", "info"),
            ("PASSWORD", "hidden"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let hidden = "(not shown)";
        assert_eq!(
            environment(variables.into_iter()),
            json!({"BADBATCH_TOKEN": hidden, "BADBATCH_API_KEYS": hidden, "BADBATCH_NEW": hidden,
                "BADBATCH_ENDPOINT": hidden, "BADBATCH_LOG": "info"})
        );
    }
}
