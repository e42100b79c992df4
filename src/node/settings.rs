//! The settings of a node: where each value came from, and what is wrong with it. `settings/keys.rs` has every key.
//!
//! A value comes from a flag, else from the environment, else from the configuration file, else it is the default.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use thiserror::Error;

use super::tree::{self, Node, Tree};
use crate::engine::{Defaults, Definition, Fields, PRODUCER_TYPES, WAIT_STRATEGIES, whole_number};
use keys::{ALIASES, KEYS, Key, Kind, check, find, hint};

mod keys;

pub(crate) use keys::key_bytes;

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

#[cfg(test)]
mod tests;
