//! Every key of the settings: its default, its variable, and what its value must be.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::base::nearest::nearest;
use crate::engine::{check_name, check_size, whole_number};

/// What a value must be.
pub enum Kind {
    Text,
    Address,
    Switch,
    Number(u64, u64),
    Span,
    Word(&'static [&'static str]),
    Texts,
    Pairs,
    Size,
    /// A name of a node or a cluster.
    Name,
    /// Hosts with ports.
    Hosts,
    /// 32 bytes in base64.
    Secret,
}

pub struct Key {
    pub path: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    pub environment: Option<&'static str>,
    pub is_secret: bool,
    /// Whether a running node takes a new value.
    pub is_live: bool,
}

const fn key(path: &'static str, kind: Kind, default: &'static str) -> Key {
    Key { path, kind, default, environment: None, is_secret: false, is_live: false }
}

impl Key {
    const fn from(mut self, variable: &'static str) -> Self {
        self.environment = Some(variable);
        self
    }

    const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    const fn live(mut self) -> Self {
        self.is_live = true;
        self
    }
}

pub const PRODUCERS: &[&str] = &["single", "multi"];
pub const WAITS: &[&str] =
    &["blocking", "yielding", "busy-spin", "sleeping", "timeout-blocking", "phased-backoff"];
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// The longest span of time.
const SPAN_MAX: Duration = Duration::from_secs(86_400);

/// Every key. Defaults are JSON.
pub const KEYS: &[Key] = &[
    key("server.bind_addr", Kind::Address, "\"127.0.0.1:8080\"").from("BADBATCH_BIND"),
    key("server.data_dir", Kind::Text, "null").from("BADBATCH_DATA_DIR"),
    key("server.main", Kind::Switch, "true"),
    key("server.insecure", Kind::Switch, "false"),
    key("server.cors_origins", Kind::Texts, "[]").live(),
    key("server.drain_timeout", Kind::Span, "\"10s\"").live(),
    key("server.requests_per_second", Kind::Number(0, 1_000_000_000), "0").live(),
    key("server.max_connections", Kind::Number(8, 1_000_000), "1024"),
    key("server.max_connections_per_address", Kind::Number(1, 1_000_000), "1024"),
    key("server.max_streams", Kind::Number(1, 4096), "64"),
    key("server.max_streams_per_address", Kind::Number(1, 4096), "64"),
    key("server.max_disruptors", Kind::Number(1, 10_000), "256"),
    key("server.tls_certificate", Kind::Text, "null"),
    key("server.tls_key", Kind::Text, "null"),
    key("server.metadata", Kind::Pairs, "{}"),
    key("auth.enabled", Kind::Word(&["auto", "true", "false"]), "\"auto\"").from("BADBATCH_AUTH_ENABLED"),
    key("auth.api_keys", Kind::Texts, "[]").from("BADBATCH_API_KEYS").secret(),
    key("cluster.enabled", Kind::Switch, "false").from("BADBATCH_CLUSTER"),
    key("cluster.node_id", Kind::Name, "null").from("BADBATCH_NODE_ID"),
    key("cluster.name", Kind::Name, "\"badbatch\"").from("BADBATCH_CLUSTER_NAME"),
    key("cluster.bind_addr", Kind::Address, "\"0.0.0.0:7946\"").from("BADBATCH_CLUSTER_BIND"),
    key("cluster.advertise_addr", Kind::Address, "null").from("BADBATCH_CLUSTER_ADVERTISE"),
    key("cluster.seed_nodes", Kind::Hosts, "[]").from("BADBATCH_SEED"),
    key("cluster.gossip_interval_ms", Kind::Number(50, 60_000), "200"),
    key("cluster.probe_interval_ms", Kind::Number(100, 3_600_000), "1000"),
    key("cluster.probe_timeout_ms", Kind::Number(10, 3_600_000), "500"),
    key("cluster.indirect_probes", Kind::Number(0, 16), "3"),
    key("cluster.suspicion_mult", Kind::Number(1, 100), "4"),
    key("cluster.fanout", Kind::Number(1, 64), "3"),
    key("cluster.push_pull_interval_secs", Kind::Number(1, 86_400), "30"),
    key("cluster.packet_bytes_max", Kind::Number(512, 65_507), "1400"),
    key("cluster.members_max", Kind::Number(1, 65_536), "65536"),
    key("cluster.enable_compression", Kind::Switch, "true"),
    key("cluster.enable_encryption", Kind::Switch, "false").from("BADBATCH_CLUSTER_ENCRYPTION"),
    key("cluster.encryption_key", Kind::Secret, "null").from("BADBATCH_CLUSTER_KEY").secret(),
    key("cluster.metadata", Kind::Pairs, "{}"),
    key("defaults.buffer_size", Kind::Size, "1024"),
    key("defaults.producer_type", Kind::Word(PRODUCERS), "\"single\""),
    key("defaults.wait_strategy", Kind::Word(WAITS), "\"blocking\""),
    key("defaults.batch_size", Kind::Number(1, 10_000), "100"),
    key("logging.level", Kind::Word(LEVELS), "\"info\"").from("BADBATCH_LOG").live(),
    key("logging.format", Kind::Word(&["auto", "text", "json"]), "\"auto\""),
];

/// Other names of keys, from before there was one name for each, and by what a number there is multiplied.
pub const ALIASES: &[(&str, &str, u64)] = &[
    ("server.cluster_mode", "cluster.enabled", 1),
    ("server.cluster_bind_addr", "cluster.bind_addr", 1),
    ("server.seed_nodes", "cluster.seed_nodes", 1),
    ("cluster.probe_interval_secs", "cluster.probe_interval_ms", 1000),
    ("disruptor.default_buffer_size", "defaults.buffer_size", 1),
    ("disruptor.default_wait_strategy", "defaults.wait_strategy", 1),
];

pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

pub fn hint<'c>(name: &str, known: impl IntoIterator<Item = &'c str>) -> String {
    nearest(name, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// The value in the form in which it is kept.
///
/// Errors: what is wrong with it. A secret is not repeated.
pub fn check(key: &Key, value: Value) -> Result<Value, String> {
    let shown = if key.is_secret { "the value".to_owned() } else { value.to_string() };
    let wrong = |wanted: &str| Err(format!("{}: {shown} is not {wanted}", key.path));
    match &key.kind {
        Kind::Text => value.as_str().map(|text| json!(text)).map_or_else(|| wrong("a text"), Ok),
        Kind::Address => match value.as_str().map(str::parse::<SocketAddr>) {
            Some(Ok(_)) => Ok(value),
            _ => wrong("an address such as 127.0.0.1:8080"),
        },
        Kind::Switch => value.as_bool().map(Value::Bool).map_or_else(|| wrong("true or false"), Ok),
        Kind::Number(least, most) => match whole_number(&value) {
            Some(number) if (*least..=*most).contains(&number) => Ok(json!(number)),
            _ => wrong(&format!("a whole number from {least} to {most}")),
        },
        Kind::Size => match whole_number(&value).map(|size| check_size(size).map(|()| size)) {
            Some(Ok(size)) => Ok(json!(size)),
            Some(Err(message)) => Err(format!("{}: {message}", key.path)),
            None => wrong("a whole number"),
        },
        Kind::Span => {
            let text = whole_number(&value)
                .map_or_else(|| value.as_str().map(str::to_owned), |ms| Some(format!("{ms}ms")));
            match text.as_deref().map(humantime::parse_duration) {
                Some(Ok(span)) if span <= SPAN_MAX => Ok(json!(text)),
                _ => wrong("a span of time up to a day, such as \"10s\""),
            }
        }
        Kind::Word(words) => {
            let word = value
                .as_bool()
                .map_or_else(|| value.as_str().map(str::to_owned), |switch| Some(switch.to_string()));
            let word = word.map(|word| word.replace('_', "-").to_lowercase());
            match word.as_deref().filter(|word| words.contains(word)) {
                Some(word) => Ok(json!(word)),
                None => {
                    let hint = hint(word.as_deref().unwrap_or_default(), words.iter().copied());
                    wrong(&format!("one of {}{hint}", words.join(", ")))
                }
            }
        }
        Kind::Texts => {
            let is_list = value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
            if is_list { Ok(value) } else { wrong("a list of texts") }
        }
        Kind::Name => match value.as_str().is_some_and(|text| check_name(text).is_ok()) {
            true => Ok(value),
            false => wrong("a name of 1 to 64 letters, digits, `.`, `_` and `-`"),
        },
        Kind::Hosts => {
            let list = value.as_array().filter(|list| list.iter().all(Value::is_string));
            let Some(list) = list else { return wrong("a list of texts") };
            match list.iter().filter_map(Value::as_str).find(|text| !is_host_and_port(text)) {
                None => Ok(value),
                Some(text) => Err(format!(
                    "{}: \"{text}\" is not a host and a port such as node-1.example.org:7946",
                    key.path
                )),
            }
        }
        Kind::Secret => match value.as_str().and_then(key_bytes) {
            Some(_) => Ok(value),
            None => wrong("32 bytes in base64; `badbatch cluster keygen` makes one"),
        },
        Kind::Pairs => {
            let is_map = value.as_object().is_some_and(|pairs| pairs.values().all(Value::is_string));
            if is_map { Ok(value) } else { wrong("a map of texts") }
        }
    }
}

/// The 32 bytes of a key, if the text is theirs in base64.
pub fn key_bytes(text: &str) -> Option<[u8; 32]> {
    BASE64.decode(text.trim()).ok()?.try_into().ok()
}

/// Whether a text is a host and a port.
fn is_host_and_port(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0))
}
