//! Every setting of a node: its key, where its value came from, and what is wrong with it.
//!
//! A value comes from a flag, else from the environment, else from the configuration file, else it is the default.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use thiserror::Error;

use super::tree::{self, Node, Tree};
use crate::base::nearest::nearest;
use crate::engine::{
    Defaults, Definition, Fields, PRODUCER_TYPES, WAIT_STRATEGIES, check_name, check_size, whole_number,
};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The configuration file, on this line.
    File(u64),
    /// The same, by another name of the key.
    Alias(u64, &'static str),
    /// This variable of the environment.
    Environment(&'static str),
    /// This flag of the command line.
    Flag(&'static str),
    /// A client, while the node ran.
    Api,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(line) => write!(f, "file, line {line}"),
            Self::Alias(line, name) => write!(f, "file, line {line}, {name}"),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::Flag(name) => write!(f, "flag, {name}"),
            Self::Api => f.write_str("api"),
        }
    }
}

/// What is wrong with a setting.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{place}: {message}")]
pub struct SettingError {
    /// The line of the file, the variable or the flag.
    pub place: String,
    /// The value that was given, the limit, and the mend.
    pub message: String,
}

/// What a value must be.
enum Kind {
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

struct Key {
    path: &'static str,
    kind: Kind,
    default: &'static str,
    environment: Option<&'static str>,
    is_secret: bool,
    /// Whether a running node takes a new value.
    is_live: bool,
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

const PRODUCERS: &[&str] = &["single", "multi"];
const WAITS: &[&str] =
    &["blocking", "yielding", "busy-spin", "sleeping", "timeout-blocking", "phased-backoff"];
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];

/// The longest span of time.
const SPAN_MAX: Duration = Duration::from_secs(86_400);

/// Every key. Defaults are JSON.
const KEYS: &[Key] = &[
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
const ALIASES: &[(&str, &str, u64)] = &[
    ("server.cluster_mode", "cluster.enabled", 1),
    ("server.cluster_bind_addr", "cluster.bind_addr", 1),
    ("server.seed_nodes", "cluster.seed_nodes", 1),
    ("cluster.probe_interval_secs", "cluster.probe_interval_ms", 1000),
    ("disruptor.default_buffer_size", "defaults.buffer_size", 1),
    ("disruptor.default_wait_strategy", "defaults.wait_strategy", 1),
];

/// What goes with each node is 512 bytes at most, and some are for what the server says itself.
const METADATA_BYTES_MAX: usize = 448;

/// The section of the file that holds definitions of disruptors.
const DISRUPTORS: &str = "disruptors";
/// The section of the file that is for the command line, and read there.
const CLIENT: &str = "client";

#[derive(Clone, Debug, PartialEq)]
struct Setting {
    value: Value,
    origin: Origin,
}

/// The settings of a node, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    values: BTreeMap<&'static str, Setting>,
    definitions: Vec<Definition>,
    /// What was understood, and might surprise.
    pub notices: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let default = |key: &Key| {
            let value = serde_json::from_str(key.default).expect("defaults are JSON");
            (key.path, Setting { value, origin: Origin::Default })
        };
        Self { values: KEYS.iter().map(default).collect(), definitions: Vec::new(), notices: Vec::new() }
    }
}

impl Settings {
    /// Puts together what the file, the environment and the flags say. Flags are given by key.
    ///
    /// Errors: everything that is wrong.
    pub fn gather(
        file: Option<&str>,
        environment: impl Fn(&str) -> Option<String>,
        flags: &[(&'static str, &'static str, String)],
    ) -> Result<Self, Vec<SettingError>> {
        let mut settings = Self::default();
        let mut errors = Vec::new();
        let root = file.map(tree::parse).transpose();
        let root = root.unwrap_or_else(|message| {
            errors.push(SettingError { place: "file".to_owned(), message });
            None
        });
        let mut definitions = None;
        if let Some(root) = &root {
            definitions = settings.read_file(root, &mut errors);
        }
        let variables = KEYS.iter().filter_map(|key| Some((key, key.environment?)));
        for (key, variable) in variables {
            if let Some(text) = environment(variable) {
                settings.set_text(key, &text, Origin::Environment(variable), &mut errors);
            }
        }
        for (path, flag, text) in flags {
            let key = find(path).expect("flags name keys");
            settings.set_text(key, text, Origin::Flag(flag), &mut errors);
        }
        if errors.is_empty() {
            settings.check_cluster(&mut errors);
        }
        // With the defaults known.
        if let Some(definitions) = definitions {
            settings.read_definitions(definitions, &mut errors);
        }
        if errors.is_empty() { Ok(settings) } else { Err(errors) }
    }

    fn read_file<'n>(&mut self, root: &'n Node, errors: &mut Vec<SettingError>) -> Option<&'n Node> {
        let Tree::Map(sections) = &root.value else {
            let message = "the file is not a map of sections".to_owned();
            errors.push(SettingError { place: format!("line {}", root.line), message });
            return None;
        };
        let mut definitions = None;
        // They are read when it is known whether the key itself is there.
        let mut aliases = Vec::new();
        for (section, line, node) in sections {
            let place = format!("line {line}");
            if section == DISRUPTORS {
                definitions = Some(node);
                continue;
            }
            if section == CLIENT {
                continue;
            }
            let mut names: Vec<&'static str> =
                KEYS.iter().map(|key| key.path).chain(ALIASES.iter().map(|alias| alias.0)).collect();
            let sections: Vec<&str> = names.iter().filter_map(|path| path.split('.').next()).collect();
            if !sections.contains(&section.as_str()) {
                let hint = hint(section, sections.into_iter().chain([DISRUPTORS, CLIENT]));
                errors.push(SettingError {
                    place,
                    message: format!("`{section}` is not a known section{hint}"),
                });
                continue;
            }
            let members = match &node.value {
                Tree::Map(members) => members,
                Tree::Leaf(Value::Null) => continue,
                _ => {
                    errors.push(SettingError { place, message: format!("`{section}` is not a map of keys") });
                    continue;
                }
            };
            names.retain(|path| path.split('.').next() == Some(section));
            for (name, line, node) in members {
                let path = format!("{section}.{name}");
                let place = format!("line {line}");
                if let Some(key) = find(&path) {
                    self.set(key, node.to_json(), Origin::File(*line), place, errors);
                } else if let Some(alias) = ALIASES.iter().find(|(alias, ..)| *alias == path) {
                    aliases.push((*alias, *line, node));
                } else {
                    let known = names.iter().filter_map(|path| path.split_once('.').map(|(_, name)| name));
                    let hint = hint(name, known);
                    errors
                        .push(SettingError { place, message: format!("`{path}` is not a known key{hint}") });
                }
            }
        }
        for ((alias, path, factor), line, node) in aliases {
            let key = find(path).expect("aliases are of keys");
            let place = format!("line {line}");
            if self.values[key.path].origin != Origin::Default {
                let notice = format!("{place}: `{path}` is used, and not `{alias}`, which means the same");
                self.notices.push(notice);
                continue;
            }
            self.notices.push(format!("{place}: `{alias}` is understood as `{path}`"));
            let value = node.to_json();
            let value = match whole_number(&value).and_then(|number| number.checked_mul(factor)) {
                Some(number) => json!(number),
                None => value,
            };
            self.set(key, value, Origin::Alias(line, alias), place, errors);
        }
        definitions
    }

    fn read_definitions(&mut self, node: &Node, errors: &mut Vec<SettingError>) {
        let Tree::List(items) = &node.value else {
            let message = format!("`{DISRUPTORS}` is not a list of definitions");
            errors.push(SettingError { place: format!("line {}", node.line), message });
            return;
        };
        for item in items {
            let place = || format!("line {}", item.line);
            match Definition::from_json(&item.to_json(), None, &self.defaults()) {
                Ok(definition) if self.definitions.iter().any(|known| known.name == definition.name) => {
                    let message = format!("two disruptors are called `{}`", definition.name);
                    errors.push(SettingError { place: place(), message });
                }
                Ok(definition) => self.definitions.push(definition),
                Err(wrong) => errors.extend(
                    wrong.iter().map(|error| SettingError { place: place(), message: error.to_string() }),
                ),
            }
        }
    }

    /// A value written as text, in the environment or a flag: lists have commas.
    fn set_text(&mut self, key: &Key, text: &str, origin: Origin, errors: &mut Vec<SettingError>) {
        let value = match &key.kind {
            Kind::Switch => text.parse().map_or_else(|_| json!(text), |switch: bool| json!(switch)),
            Kind::Number(..) | Kind::Size => {
                text.parse().map_or_else(|_| json!(text), |number: u64| json!(number))
            }
            Kind::Texts | Kind::Hosts => {
                text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
            }
            _ => json!(text),
        };
        let place = match &origin {
            Origin::Flag(name) => (*name).to_owned(),
            Origin::Environment(name) => (*name).to_owned(),
            other => other.to_string(),
        };
        self.set(key, value, origin, place, errors);
    }

    fn set(
        &mut self,
        key: &Key,
        value: Value,
        origin: Origin,
        place: String,
        errors: &mut Vec<SettingError>,
    ) {
        // An empty value in the file is no value.
        if value.is_null() {
            return;
        }
        match check(key, value) {
            Ok(value) => drop(self.values.insert(key.path, Setting { value, origin })),
            Err(message) => errors.push(SettingError { place, message }),
        }
    }

    /// What no key of the cluster shows alone.
    fn check_cluster(&self, errors: &mut Vec<SettingError>) {
        let mut refuse = |path: &str, message: String| {
            let place = match &self.values[path].origin {
                Origin::File(line) | Origin::Alias(line, _) => format!("line {line}"),
                Origin::Environment(name) | Origin::Flag(name) => (*name).to_owned(),
                other => other.to_string(),
            };
            errors.push(SettingError { place, message: format!("{path}: {message}") });
        };
        let (timeout, interval) =
            (self.number("cluster.probe_timeout_ms"), self.number("cluster.probe_interval_ms"));
        if timeout >= interval {
            let given = ["cluster.probe_timeout_ms", "cluster.probe_interval_ms"]
                .into_iter()
                .find(|path| self.values[path].origin != Origin::Default);
            let message = format!(
                "a probe's time-out of {timeout} ms is not below the interval of {interval} ms; set probe_timeout_ms below probe_interval_ms"
            );
            refuse(given.unwrap_or("cluster.probe_timeout_ms"), message);
        }
        match (self.is_on("cluster.enable_encryption"), self.text("cluster.encryption_key").is_some()) {
            (true, false) => refuse(
                "cluster.enable_encryption",
                "there is no cluster.encryption_key; `badbatch cluster keygen` makes one".to_owned(),
            ),
            (false, true) => refuse(
                "cluster.encryption_key",
                "there is a key, and cluster.enable_encryption is false; set it to true, or leave the key out".to_owned(),
            ),
            _ => {}
        }
        if let Some(address) = self.address("cluster.advertise_addr")
            && (address.ip().is_unspecified() || address.port() == 0)
        {
            let message = format!(
                "{address} is no address that others can reach; give an address and a port of this machine"
            );
            refuse("cluster.advertise_addr", message);
        }
        let pairs = self.pairs("cluster.metadata");
        let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        if bytes > METADATA_BYTES_MAX {
            let message = format!(
                "{bytes} bytes, counting 2 more for each pair; at most {METADATA_BYTES_MAX} go with each node"
            );
            refuse("cluster.metadata", message);
        }
        let is_flag = |path: &&&str| matches!(self.values[**path].origin, Origin::Flag(_));
        let flags = KEYS.iter().map(|key| &key.path).filter(|path| path.starts_with("cluster."));
        if !self.is_on("cluster.enabled") {
            for path in flags.filter(is_flag).filter(|path| **path != "cluster.enabled") {
                refuse(path, "this node is in no cluster; add --cluster".to_owned());
            }
        }
    }

    /// Changes values while the node runs.
    ///
    /// Errors: keys that are unknown or need a restart, and values that are wrong; then nothing is changed.
    pub fn change(&mut self, changes: &Value, origin: &Origin) -> Result<(), Vec<crate::engine::FieldError>> {
        let mut new = self.clone();
        let mut errors = Vec::new();
        let empty = Fields::of(changes, "").errors;
        errors.extend(empty);
        let sections = changes.as_object().into_iter().flatten();
        let paths = sections.flat_map(|(section, value)| match value.as_object() {
            Some(members) if KEYS.iter().any(|key| key.path.split('.').next() == Some(section)) => {
                members.iter().map(|(name, value)| (format!("{section}.{name}"), value)).collect()
            }
            _ => vec![(section.clone(), value)],
        });
        for (path, value) in paths {
            let error = |message: String| crate::engine::FieldError::new(path.clone(), message);
            match find(&path) {
                None => errors.push(error(format!(
                    "is not a known key{}",
                    hint(&path, KEYS.iter().map(|key| key.path))
                ))),
                Some(key) if !key.is_live => {
                    let live: Vec<_> = KEYS.iter().filter(|key| key.is_live).map(|key| key.path).collect();
                    errors.push(
                        error("needs a restart".to_owned()).hint(format!("live are {}", live.join(", "))),
                    );
                }
                Some(key) => match check(key, value.clone()) {
                    Ok(value) => drop(new.values.insert(key.path, Setting { value, origin: origin.clone() })),
                    Err(message) => {
                        // The path is said apart.
                        let message = message.split_once(": ").map_or(message.as_str(), |(_, rest)| rest);
                        errors.push(error(message.to_owned()));
                    }
                },
            }
        }
        if errors.is_empty() {
            *self = new;
            return Ok(());
        }
        Err(errors)
    }

    /// Takes the live values of another set. Tells which of them differed, and which other keys differ and wait for a
    /// restart.
    pub fn reload(&mut self, new: &Self) -> (Vec<&'static str>, Vec<&'static str>) {
        let (mut taken, mut waiting) = (Vec::new(), Vec::new());
        for key in KEYS {
            let (old, new) = (&self.values[key.path], &new.values[key.path]);
            if old.value != new.value {
                if key.is_live { taken.push(key.path) } else { waiting.push(key.path) }
            }
            if key.is_live {
                self.values.insert(key.path, new.clone());
            }
        }
        self.definitions.clone_from(&new.definitions);
        (taken, waiting)
    }

    /// Every key with its value and its origin; secrets are not shown.
    pub fn to_public_json(&self) -> Value {
        let setting = |key: &Key| {
            let Setting { value, origin } = &self.values[key.path];
            let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            let hides = key.is_secret && !is_empty && value.as_object().is_none_or(|pairs| !pairs.is_empty());
            let value = if hides { json!("(not shown)") } else { value.clone() };
            json!({ "key": key.path, "value": value, "origin": origin.to_string(), "live": key.is_live })
        };
        let definitions: Vec<_> = self.definitions.iter().map(Definition::to_public_json).collect();
        json!({ "settings": KEYS.iter().map(setting).collect::<Vec<_>>(), "disruptors": definitions })
    }

    /// The disruptors that the file defines.
    pub fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    /// What definitions leave out.
    pub fn defaults(&self) -> Defaults {
        let choice = |path: &str| self.text(path).unwrap_or_default().replace('_', "-");
        let by_word =
            |word: &str| WAIT_STRATEGIES.iter().find(|(known, _)| *known == word).map(|(_, wait)| *wait);
        let producer = PRODUCER_TYPES.iter().find(|(known, _)| *known == choice("defaults.producer_type"));
        let unchanged = Defaults::default();
        Defaults {
            buffer_size: self.number("defaults.buffer_size") as usize,
            producer_type: producer.map_or(unchanged.producer_type, |(_, kind)| *kind),
            wait_strategy: by_word(&choice("defaults.wait_strategy")).unwrap_or(unchanged.wait_strategy),
        }
    }

    /// Where the server listens.
    pub fn bind_addr(&self) -> SocketAddr {
        self.address("server.bind_addr").expect("it has a default")
    }

    /// The value of a key that is an address, unless there is none.
    pub fn address(&self, path: &str) -> Option<SocketAddr> {
        self.text(path).map(|text| text.parse().expect("it was checked to be an address"))
    }

    /// Where the node keeps what must outlive it.
    pub fn data_dir(&self) -> Option<PathBuf> {
        self.text("server.data_dir").map(PathBuf::from)
    }

    /// How long draining may take at the end.
    pub fn drain_timeout(&self) -> Duration {
        self.text("server.drain_timeout")
            .and_then(|text| humantime::parse_duration(text).ok())
            .expect("it was checked to be a span of time")
    }

    /// The value of a key that is a text, unless there is none.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.values[path].value.as_str()
    }

    /// The value of a key that is a number.
    pub fn number(&self, path: &str) -> u64 {
        self.values[path].value.as_u64().expect("it was checked to be a number")
    }

    /// The value of a key that is true or false.
    pub fn is_on(&self, path: &str) -> bool {
        self.values[path].value == true
    }

    /// The value of a key that is a list of texts.
    pub fn texts(&self, path: &str) -> Vec<String> {
        let list = self.values[path].value.as_array().into_iter().flatten();
        list.filter_map(|text| Some(text.as_str()?.to_owned())).collect()
    }

    /// The value of a key that is a map of texts.
    pub fn pairs(&self, path: &str) -> BTreeMap<String, String> {
        let pairs = self.values[path].value.as_object().into_iter().flatten();
        pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
    }

    /// The value of a key that is 32 bytes in base64, unless there is none.
    pub fn secret(&self, path: &str) -> Option<[u8; 32]> {
        self.text(path).map(|text| key_bytes(text).expect("it was checked to be 32 bytes"))
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

fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

fn hint<'c>(name: &str, known: impl IntoIterator<Item = &'c str>) -> String {
    nearest(name, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// The value in the form in which it is kept.
///
/// Errors: what is wrong with it. A secret is not repeated.
fn check(key: &Key, value: Value) -> Result<Value, String> {
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

#[cfg(test)]
mod tests {
    use super::{Origin, PRODUCER_TYPES, PRODUCERS, Settings, WAIT_STRATEGIES, WAITS};
    use crate::engine::word;
    use serde_json::json;
    use std::time::Duration;

    fn gather(file: &str) -> Result<Settings, Vec<String>> {
        let told = |errors: Vec<super::SettingError>| errors.iter().map(ToString::to_string).collect();
        Settings::gather(Some(file), |_| None, &[]).map_err(told)
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let file = "server:\n  bind_addr: 127.0.0.1:1\n  data_dir: file\nlogging: {level: warn}\n";
        let environment = |name: &str| match name {
            "BADBATCH_BIND" => Some("127.0.0.1:2".to_owned()),
            "BADBATCH_DATA_DIR" => Some("environment".to_owned()),
            _ => None,
        };
        let flags = [("server.bind_addr", "--bind", "127.0.0.1:3".to_owned())];
        let settings = Settings::gather(Some(file), environment, &flags).expect("well formed");
        assert_eq!(settings.bind_addr().port(), 3);
        assert_eq!(settings.text("server.data_dir"), Some("environment"));
        assert_eq!(settings.text("logging.level"), Some("warn"));
        let origins = ["server.bind_addr", "server.data_dir", "logging.level", "auth.enabled"];
        let origins = origins.map(|path| settings.values[path].origin.to_string());
        assert_eq!(origins, ["flag, --bind", "environment, BADBATCH_DATA_DIR", "file, line 4", "default"]);
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_its_mend() {
        let check =
            |file: &str, message: &str| assert_eq!(gather(file).expect_err(file), [message], "{file}");
        check(
            "server:\n  bind_adr: x\n",
            "line 2: `server.bind_adr` is not a known key; did you mean `bind_addr`?",
        );
        check("\nsever: {}\n", "line 2: `sever` is not a known section; did you mean `server`?");
        check(
            "server:\n  bind_addr: here\n",
            "line 2: server.bind_addr: \"here\" is not an address such as 127.0.0.1:8080",
        );
        check("server: [1]", "line 1: `server` is not a map of keys");
        check("- 1", "line 1: the file is not a map of sections");
        check(
            "disruptors:\n  - name: a\n    buffer_size: 1000\n",
            "line 2: buffer_size: 1000 is not a power of two; nearest are 512 and 1024",
        );
        check("disruptors:\n- name: a\n- name: a\n", "line 3: two disruptors are called `a`");
        check("auth: {api_keys: 5}", "line 1: auth.api_keys: the value is not a list of texts");
        check(
            "logging: {level: inf}",
            "line 1: logging.level: \"inf\" is not one of off, error, warn, info, debug, trace; did you mean `info`?",
        );
        assert!(gather("a: [").expect_err("broken")[0].starts_with("file: "));
    }

    #[test]
    fn old_names_are_understood_and_the_new_ones_win() {
        let settings = gather("disruptor:\n  default_buffer_size: 64\n").expect("well formed");
        assert_eq!(settings.defaults().buffer_size, 64);
        assert_eq!(
            settings.notices,
            ["line 2: `disruptor.default_buffer_size` is understood as `defaults.buffer_size`"]
        );
        let (new, old) = ("cluster: {seed_nodes: ['a:1']}\n", "server: {seed_nodes: ['b:1']}\n");
        for both in [format!("{new}{old}"), format!("{old}{new}")] {
            let settings = gather(&both).expect("well formed");
            assert_eq!(settings.texts("cluster.seed_nodes"), ["a:1"]);
            assert_eq!(settings.notices.len(), 1);
            assert!(
                settings.notices[0].contains("`cluster.seed_nodes` is used, and not `server.seed_nodes`")
            );
        }
        let settings =
            gather("server: {cluster_mode: true}\ncluster: {probe_interval_secs: 2}").expect("well formed");
        assert!(settings.is_on("cluster.enabled"));
        assert_eq!(settings.number("cluster.probe_interval_ms"), 2000);
        let origins = ["cluster.enabled", "cluster.probe_interval_ms"];
        let origins = origins.map(|path| settings.values[path].origin.to_string());
        assert_eq!(
            origins,
            ["file, line 1, server.cluster_mode", "file, line 2, cluster.probe_interval_secs"]
        );
    }

    #[test]
    fn what_a_cluster_is_told_fits_together() {
        let check = |file: &str, message: &str| {
            assert_eq!(gather(&format!("cluster: {{{file}}}")).expect_err(file), [message], "{file}");
        };
        check(
            "probe_timeout_ms: 1000",
            "line 1: cluster.probe_timeout_ms: a probe's time-out of 1000 ms is not below the interval of 1000 ms; set probe_timeout_ms below probe_interval_ms",
        );
        check(
            "probe_interval_ms: 400",
            "line 1: cluster.probe_interval_ms: a probe's time-out of 500 ms is not below the interval of 400 ms; set probe_timeout_ms below probe_interval_ms",
        );
        check(
            "packet_bytes_max: 100",
            "line 1: cluster.packet_bytes_max: 100 is not a whole number from 512 to 65507",
        );
        check(
            "enable_encryption: true",
            "line 1: cluster.enable_encryption: there is no cluster.encryption_key; `badbatch cluster keygen` makes one",
        );
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        check(
            &format!("encryption_key: {key}"),
            "line 1: cluster.encryption_key: there is a key, and cluster.enable_encryption is false; set it to true, or leave the key out",
        );
        check(
            "enable_encryption: true, encryption_key: hidden",
            "line 1: cluster.encryption_key: the value is not 32 bytes in base64; `badbatch cluster keygen` makes one",
        );
        check(
            "seed_nodes: [a]",
            "line 1: cluster.seed_nodes: \"a\" is not a host and a port such as node-1.example.org:7946",
        );
        check(
            "node_id: 'a b'",
            "line 1: cluster.node_id: \"a b\" is not a name of 1 to 64 letters, digits, `.`, `_` and `-`",
        );
        check(
            "advertise_addr: '0.0.0.0:7946'",
            "line 1: cluster.advertise_addr: 0.0.0.0:7946 is no address that others can reach; give an address and a port of this machine",
        );
        check(
            &format!("metadata: {{a: {}}}", "x".repeat(500)),
            "line 1: cluster.metadata: 503 bytes, counting 2 more for each pair; at most 448 go with each node",
        );
        let flags = [("cluster.seed_nodes", "--seed", "a:1".to_owned())];
        let errors = Settings::gather(None, |_| None, &flags).expect_err("alone");
        assert_eq!(
            errors[0].to_string(),
            "--seed: cluster.seed_nodes: this node is in no cluster; add --cluster"
        );
        let settings = gather(&format!("cluster: {{enable_encryption: true, encryption_key: {key}}}"));
        let settings = settings.expect("both");
        assert_eq!(settings.secret("cluster.encryption_key").map(|key| key[31]), Some(31));
        assert!(!settings.to_public_json().to_string().contains(key));
    }

    #[test]
    fn defaults_reach_definitions() {
        let file = "disruptors: [{name: a}]\ndefaults: {buffer_size: 64, producer_type: multi, wait_strategy: busy_spin}";
        let settings = gather(file).expect("well formed");
        let definition = settings.definitions()[0].to_json();
        assert_eq!(definition["buffer_size"], 64);
        assert_eq!(
            (&definition["producer_type"], &definition["wait_strategy"]),
            (&json!("multi"), &json!("busy-spin"))
        );
        assert_eq!(PRODUCER_TYPES.map(|(_, kind)| word(&PRODUCER_TYPES, kind)), *PRODUCERS);
        assert_eq!(WAIT_STRATEGIES.map(|(_, wait)| word(&WAIT_STRATEGIES, wait)), *WAITS);
    }

    #[test]
    fn a_running_node_takes_what_is_live_and_nothing_by_halves() {
        let mut settings = Settings::default();
        settings.change(&json!({"server": {"drain_timeout": "3s"}}), &Origin::Api).expect("it is live");
        assert_eq!(settings.drain_timeout(), Duration::from_secs(3));
        let both = json!({"server": {"drain_timeout": "4s", "bind_addr": "127.0.0.1:1"}});
        let errors = settings.change(&both, &Origin::Api).expect_err("one needs a restart");
        assert_eq!((errors.len(), errors[0].message.as_str()), (1, "needs a restart"));
        assert_eq!(settings.drain_timeout(), Duration::from_secs(3));
        assert!(settings.change(&json!({"server": {"drain_timeot": 1}}), &Origin::Api).is_err());
    }

    #[test]
    fn secrets_are_not_shown() {
        let settings =
            gather("auth: {api_keys: [hidden]}\nclient: {headers: {a: hidden}}").expect("well formed");
        let shown = settings.to_public_json().to_string();
        assert!(!shown.contains("hidden") && shown.contains("(not shown)"), "{shown}");
        let error = gather("cluster: {encryption_key: [hidden]}").expect_err("not a text");
        assert!(!error[0].contains("hidden"), "{error:?}");
    }
}
