//! What a named disruptor is made of, as users write it down.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::fields::{FieldError, Fields};
use crate::disruptor::NamedWaitStrategy;

/// How many producers the ring is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProducerType {
    /// One: publishers take turns at a lock.
    Single,
    /// Many: publishers claim side by side.
    Multi,
}

/// When a published event is acknowledged, by how many nodes have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// The home has it.
    Any,
    /// One follower has it as well.
    One,
    /// A majority of the replicas has it, the home included.
    Quorum,
    /// All replicas have it.
    All,
}

impl Consistency {
    /// How many followers must have an event, of a disruptor with so many replicas.
    pub fn followers_needed(self, replicas: usize) -> usize {
        match self {
            Self::Any => 0,
            Self::One => 1.min(replicas.saturating_sub(1)),
            Self::Quorum => replicas / 2,
            Self::All => replicas.saturating_sub(1),
        }
    }

    /// The level's name, as users see it.
    pub fn name(self) -> &'static str {
        word(&CONSISTENCIES, self)
    }
}

/// A named disruptor's definition, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// 1 to 64 of `A-Z a-z 0-9 . _ -`, unique in an engine.
    pub name: String,
    /// Slots: a power of two from 2 to 1048576. As many events stay readable.
    pub buffer_size: usize,
    /// How many producers the ring is made for.
    pub producer_type: ProducerType,
    /// How its consumers wait.
    pub wait_strategy: NamedWaitStrategy,
    /// What the events go to. At least one, because a ring without consumers has nothing to tell.
    pub sinks: Vec<SinkDefinition>,
    /// Whether it appears in the metrics page, and measures latency.
    pub enable_metrics: bool,
    /// Whether each event is logged, besides what the sinks do.
    pub enable_logging: bool,
    /// What producers may publish per second, all together; 0 for no limit.
    pub max_events_per_second: u64,
    /// How long events stay readable at most, in seconds; 0 for as long as the ring holds them.
    pub retention_seconds: u64,
    /// How many nodes have the events, 1 to 7: the home, which takes them, and its followers.
    pub replicas: usize,
    /// How many of them have an event when it is acknowledged.
    pub consistency: Consistency,
    /// How long publishing waits for them.
    pub replication_timeout: Duration,
}

/// A built-in consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkDefinition {
    /// Unique among the disruptor's sinks; the kind, and perhaps a number, if it was not given.
    pub name: String,
    /// The sinks that must have had an event before this one gets it.
    pub after: Vec<String>,
    /// What it does.
    pub kind: SinkKind,
}

/// What a sink does with an event.
#[derive(Clone, Debug, PartialEq)]
pub enum SinkKind {
    /// Counts it.
    Count,
    /// Writes it to the program's log.
    Log,
    /// Appends it to a file, one JSON object per line.
    File {
        /// The file; relative to the node's folder of files.
        path: String,
        /// Above this size the file is renamed to `path.1`, and `path.1` to `path.2`.
        rotate_bytes: u64,
        /// How many renamed files are kept.
        keep: u32,
    },
    /// Posts it to a web server, in batches of NDJSON that another node takes at its bulk endpoint.
    Webhook {
        /// Where to.
        url: String,
        /// Headers, such as a key. Never shown again.
        headers: Vec<(String, String)>,
        /// Events per request at most.
        batch: usize,
        /// How long a request may take.
        timeout: Duration,
        /// How often a request is tried; 0 for until it succeeds.
        attempts: u32,
        /// Whether the events are left out, and counted as errors, when the attempts are used up. Otherwise the
        /// disruptor fails.
        skip: bool,
    },
    /// Publishes it to another disruptor of this node.
    Forward {
        /// The other disruptor.
        to: String,
        /// Only events that have all of these in their metadata.
        only: Vec<(String, String)>,
    },
}

/// What is taken for what a definition leaves out.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    /// Slots.
    pub buffer_size: usize,
    /// Producers.
    pub producer_type: ProducerType,
    /// Waiting.
    pub wait_strategy: NamedWaitStrategy,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            buffer_size: 1024,
            producer_type: ProducerType::Single,
            wait_strategy: NamedWaitStrategy::Blocking,
        }
    }
}

pub const PRODUCER_TYPES: [(&str, ProducerType); 2] =
    [("single", ProducerType::Single), ("multi", ProducerType::Multi)];
pub const WAIT_STRATEGIES: [(&str, NamedWaitStrategy); 6] = [
    ("blocking", NamedWaitStrategy::Blocking),
    ("yielding", NamedWaitStrategy::Yielding),
    ("busy-spin", NamedWaitStrategy::BusySpin),
    ("sleeping", NamedWaitStrategy::Sleeping),
    ("timeout-blocking", NamedWaitStrategy::TimeoutBlocking),
    ("phased-backoff", NamedWaitStrategy::PhasedBackoff),
];
pub const CONSISTENCIES: [(&str, Consistency); 4] = [
    ("any", Consistency::Any),
    ("one", Consistency::One),
    ("quorum", Consistency::Quorum),
    ("all", Consistency::All),
];
const SIZE_MAX: u64 = 1 << 20;
const REPLICAS_MAX: u64 = 7;
/// As long as a request may wait for anything.
const REPLICATION_TIMEOUT_MAX_MS: u64 = 60_000;
const REPLICATION_TIMEOUT_MS: u64 = 5_000;
const SINKS_MAX: usize = 16;

impl Definition {
    /// Reads a definition; `name` is given where the place already tells it.
    ///
    /// Errors: all that is wrong, with its place.
    pub fn from_json(
        value: &Value,
        name: Option<&str>,
        defaults: &Defaults,
    ) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(value, "");
        let given = fields.text("name");
        let name = match (given, name) {
            (Some(given), Some(name)) if given != name => {
                fields.refuse("name", format!("`{given}` is not `{name}`, which the path says"));
                name
            }
            (given, name) => match given.or(name) {
                Some(name) => name,
                None => {
                    if fields.errors.is_empty() {
                        fields.missing("name", "1 to 64 of A-Z a-z 0-9 . _ -");
                    }
                    ""
                }
            },
        };
        if (!name.is_empty() || given.is_some())
            && let Err(message) = check_name(name)
        {
            fields.refuse("name", message);
        }
        let buffer_size = fields.integer("buffer_size", 0, u64::MAX).map(|size| {
            if let Err(message) = check_size(size) {
                fields.refuse("buffer_size", message);
            }
            size as usize
        });
        let producer_type = fields.choice("producer_type", &PRODUCER_TYPES);
        let wait_strategy = fields.choice("wait_strategy", &WAIT_STRATEGIES);
        let sinks = fields.list("sinks").map(|list| sinks(list, &mut fields.errors));
        let replicas = fields.integer("replicas", 1, REPLICAS_MAX);
        let consistency = fields.choice("consistency", &CONSISTENCIES);
        let timeout = fields.integer("replication_timeout_ms", 1, REPLICATION_TIMEOUT_MAX_MS);
        let config = fields.value("config");
        let mut errors = fields.finish();
        let no_config = json!({});
        let mut config = Fields::of(config.unwrap_or(&no_config), "config");
        let mut definition = Self {
            name: name.to_owned(),
            buffer_size: buffer_size.unwrap_or(defaults.buffer_size),
            producer_type: producer_type.unwrap_or(defaults.producer_type),
            wait_strategy: wait_strategy.unwrap_or(defaults.wait_strategy),
            sinks: sinks.unwrap_or_default(),
            enable_metrics: config.boolean("enable_metrics").unwrap_or(true),
            enable_logging: config.boolean("enable_logging").unwrap_or(false),
            max_events_per_second: config.integer("max_events_per_second", 0, 1_000_000_000).unwrap_or(0),
            retention_seconds: config.integer("retention_seconds", 0, 1 << 32).unwrap_or(0),
            replicas: replicas.unwrap_or(1) as usize,
            consistency: consistency.unwrap_or(Consistency::Quorum),
            replication_timeout: Duration::from_millis(timeout.unwrap_or(REPLICATION_TIMEOUT_MS)),
        };
        errors.extend(config.finish());
        if definition.sinks.is_empty() {
            let count = SinkDefinition { name: "count".to_owned(), after: Vec::new(), kind: SinkKind::Count };
            definition.sinks.push(count);
        }
        if errors.is_empty() { Ok(definition) } else { Err(errors) }
    }

    /// What [`from_json`](Self::from_json) reads, with everything that has a default. Secrets are left in: who
    /// shows it to a user takes [`to_public_json`](Self::to_public_json).
    pub fn to_json(&self) -> Value {
        self.json(|secret| secret.to_owned())
    }

    /// As [`to_json`](Self::to_json), without the values of headers.
    pub fn to_public_json(&self) -> Value {
        self.json(|_| "(not shown)".to_owned())
    }

    fn json(&self, shown: impl Fn(&str) -> String) -> Value {
        json!({
            "name": self.name,
            "buffer_size": self.buffer_size,
            "producer_type": word(&PRODUCER_TYPES, self.producer_type),
            "wait_strategy": word(&WAIT_STRATEGIES, self.wait_strategy),
            "sinks": self.sinks.iter().map(|sink| sink.json(&shown)).collect::<Vec<_>>(),
            "replicas": self.replicas,
            "consistency": self.consistency.name(),
            "replication_timeout_ms": self.replication_timeout.as_millis() as u64,
            "config": {
                "enable_metrics": self.enable_metrics,
                "enable_logging": self.enable_logging,
                "max_events_per_second": self.max_events_per_second,
                "retention_seconds": self.retention_seconds,
            },
        })
    }
}

impl SinkDefinition {
    fn json(&self, shown: impl Fn(&str) -> String) -> Value {
        let mut json = Map::new();
        json.insert("name".to_owned(), json!(self.name));
        json.insert("kind".to_owned(), json!(self.kind.word()));
        if !self.after.is_empty() {
            json.insert("after".to_owned(), json!(self.after));
        }
        let own = match &self.kind {
            SinkKind::Count | SinkKind::Log => json!({}),
            SinkKind::File { path, rotate_bytes, keep } => {
                json!({ "path": path, "rotate_bytes": rotate_bytes, "keep": keep })
            }
            SinkKind::Webhook { url, headers, batch, timeout, attempts, skip } => json!({
                "url": url,
                "headers": headers.iter().map(|(name, value)| (name.clone(), shown(value).into())).collect::<Map<_, _>>(),
                "batch": batch,
                "timeout_ms": timeout.as_millis() as u64,
                "attempts": attempts,
                "on_failure": if *skip { "skip" } else { "fail" },
            }),
            SinkKind::Forward { to, only } => json!({
                "to": to,
                "only": only.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>(),
            }),
        };
        json.extend(own.as_object().cloned().unwrap_or_default());
        Value::Object(json)
    }
}

impl SinkKind {
    fn word(&self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Log => "log",
            Self::File { .. } => "file",
            Self::Webhook { .. } => "webhook",
            Self::Forward { .. } => "forward",
        }
    }
}

/// The word of a value in a table of choices.
pub fn word<T: PartialEq>(choices: &[(&'static str, T)], value: T) -> &'static str {
    choices
        .iter()
        .find_map(|(word, choice)| (*choice == value).then_some(*word))
        .expect("every choice has a word")
}

/// Whether a disruptor, or a sink, may be called so.
///
/// Errors: what is wrong with the name.
pub fn check_name(name: &str) -> Result<(), String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_path = name == "." || name == "..";
    if (1..=64).contains(&name.len()) && name.bytes().all(is_allowed) && !is_path {
        return Ok(());
    }
    let shown: String = name.chars().take(80).collect();
    Err(format!("`{shown}` is not a name; take 1 to 64 of A-Z a-z 0-9 . _ -"))
}

/// Whether a ring may have this many slots.
///
/// Errors: the limit, or the nearest numbers.
pub fn check_size(size: u64) -> Result<(), String> {
    match size {
        2..=SIZE_MAX if size.is_power_of_two() => Ok(()),
        2..=SIZE_MAX => {
            let above = size.next_power_of_two();
            Err(format!("{size} is not a power of two; nearest are {} and {above}", above / 2))
        }
        _ => Err(format!("{size} is not between 2 and {SIZE_MAX}")),
    }
}

fn sinks(list: &[Value], errors: &mut Vec<FieldError>) -> Vec<SinkDefinition> {
    if list.len() > SINKS_MAX {
        errors
            .push(FieldError::new("sinks", format!("{} sinks, at most {SINKS_MAX} are allowed", list.len())));
        return Vec::new();
    }
    let mut names = BTreeSet::new();
    let mut sinks = Vec::new();
    for (place, value) in list.iter().enumerate() {
        let mut fields = Fields::of(value, format!("sinks[{place}]"));
        let is_named = value.get("name").is_some_and(|name| !name.is_null());
        let Some(mut sink) = sink(&mut fields) else {
            errors.append(&mut fields.errors);
            continue;
        };
        if !is_named {
            // log, log-2, log-3
            let word = sink.kind.word();
            let numbered = (2..).map(|number| format!("{word}-{number}"));
            let free = |name: &String| !names.contains(name);
            sink.name =
                std::iter::once(word.to_owned()).chain(numbered).find(free).expect("numbers do not end");
        }
        if !names.insert(sink.name.clone()) {
            fields.refuse("name", format!("two sinks are called `{}`", sink.name));
        }
        // Only sinks further up: so the graph has no cycle, and is made in the order in which it is written.
        for other in &sink.after {
            if *other == sink.name || !names.contains(other) {
                fields.refuse("after", format!("no sink further up is called `{other}`"));
            }
        }
        errors.extend(fields.finish());
        sinks.push(sink);
    }
    sinks
}

/// `None` if there is no telling which fields such a sink has.
fn sink(fields: &mut Fields<'_>) -> Option<SinkDefinition> {
    const KINDS: [(&str, &str); 5] = [
        ("count", "count"),
        ("log", "log"),
        ("file", "file"),
        ("webhook", "webhook"),
        ("forward", "forward"),
    ];
    let name = fields.text("name");
    let after = fields.texts("after").unwrap_or_default();
    let Some(word) = fields.choice("kind", &KINDS) else {
        if fields.errors.is_empty() {
            fields.missing("kind", "count, log, file, webhook or forward");
        }
        return None;
    };
    let name = name.unwrap_or(word).to_owned();
    if let Err(message) = check_name(&name) {
        fields.refuse("name", message);
    }
    let kind = match word {
        "count" => SinkKind::Count,
        "log" => SinkKind::Log,
        "file" => file(fields),
        "webhook" => webhook(fields),
        _ => forward(fields),
    };
    Some(SinkDefinition { name, after, kind })
}

fn file(fields: &mut Fields<'_>) -> SinkKind {
    let path = fields.text("path").unwrap_or_default().to_owned();
    if path.is_empty() {
        fields.missing("path", "the file to append to");
    }
    SinkKind::File {
        path,
        rotate_bytes: fields.integer("rotate_bytes", 1 << 10, 1 << 50).unwrap_or(256 << 20),
        keep: fields.integer("keep", 0, 1000).unwrap_or(5) as u32,
    }
}

fn webhook(fields: &mut Fields<'_>) -> SinkKind {
    let url = fields.text("url").unwrap_or_default().to_owned();
    match url.split_once("://") {
        Some(("http", rest)) if !rest.is_empty() && !rest.contains('@') => {}
        Some(("https", _)) => fields.refuse(
            "url",
            "this program sends plain HTTP only; take a proxy on this machine for what is beyond it",
        ),
        Some((_, rest)) if rest.contains('@') => {
            fields.refuse("url", "a URL with a password would show it; send it in `headers`");
        }
        _ if url.is_empty() => fields.missing("url", "http://host:port/path"),
        _ => fields.refuse("url", format!("`{url}` is not a URL; write http://host:port/path")),
    }
    let headers = fields.pairs("headers").unwrap_or_default();
    let is_plain = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if headers.iter().any(|(name, value)| {
        name.is_empty() || !is_plain(name) || name.contains([':', ' ']) || !is_plain(value)
    }) {
        fields.refuse("headers", "a header's name or value has characters that no header can have");
    }
    SinkKind::Webhook {
        url,
        headers,
        batch: fields.integer("batch", 1, 10_000).unwrap_or(100) as usize,
        timeout: fields.duration("timeout_ms").unwrap_or(Duration::from_secs(10)).max(Duration::from_secs(1)),
        attempts: fields.integer("attempts", 0, 1_000_000).unwrap_or(0) as u32,
        skip: fields.choice("on_failure", &[("fail", false), ("skip", true)]).unwrap_or(false),
    }
}

fn forward(fields: &mut Fields<'_>) -> SinkKind {
    let to = fields.text("to").unwrap_or_default().to_owned();
    if let Err(message) = check_name(&to) {
        fields.refuse("to", message);
    }
    SinkKind::Forward { to, only: fields.pairs("only").unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::{Consistency, Defaults, Definition, SinkKind};
    use serde_json::{Value, json};

    fn read(value: &Value) -> Result<Definition, String> {
        let errors =
            |errors: Vec<super::FieldError>| errors.iter().map(|error| format!("{error}\n")).collect();
        Definition::from_json(value, None, &Defaults::default()).map_err(errors)
    }

    #[test]
    fn a_name_is_enough_and_what_is_written_is_read_again() {
        let bare = read(&json!({"name": "a"})).expect("read");
        assert_eq!((bare.buffer_size, &bare.sinks[0].kind), (1024, &SinkKind::Count));
        let full = json!({
            "name": "b.1", "buffer_size": "64", "producer_type": "multi", "wait_strategy": "busy_spin",
            "sinks": [
                {"kind": "log"},
                {"kind": "file", "path": "x.ndjson", "after": ["log"]},
                {"kind": "webhook", "url": "http://127.0.0.1:1/x", "headers": {"x-key": "s"}, "on_failure": "skip"},
                {"kind": "forward", "to": "a", "only": {"k": "v"}},
            ],
            "replicas": 3, "consistency": "all", "replication_timeout_ms": 250,
            "config": {"max_events_per_second": 5, "retention_seconds": 60},
        });
        let full = read(&full).expect("read");
        assert_eq!(read(&full.to_json()), Ok(full.clone()));
        assert!(!full.to_public_json().to_string().contains("\"s\""));
    }

    #[test]
    fn every_mistake_is_told_with_its_place_and_its_mend() {
        let check = |value: Value, message: &str| {
            let errors = read(&value).expect_err("refused");
            assert!(errors.lines().any(|error| error == message), "{errors}");
        };
        let size = "buffer_size: 1000 is not a power of two; nearest are 512 and 1024";
        check(json!({"name": "a", "buffer_size": 1000}), size);
        check(
            json!({"name": "a", "bufer_size": 8}),
            "bufer_size: is not a known field; did you mean buffer_size?",
        );
        check(
            json!({"name": "a", "buffer_size": -1}),
            "buffer_size: -1 is not a whole number from 0 to 18446744073709551615",
        );
        check(json!({"name": "a", "buffer_size": 1}), "buffer_size: 1 is not between 2 and 1048576");
        check(json!({"name": "a", "replicas": 8}), "replicas: 8 is not a whole number from 1 to 7");
        check(
            json!({"name": "a", "consistency": "quorun"}),
            "consistency: \"quorun\" is not one of any, one, quorum, all; did you mean quorum?",
        );
        check(json!({"name": "a/b"}), "name: `a/b` is not a name; take 1 to 64 of A-Z a-z 0-9 . _ -");
        check(json!({"name": ".."}), "name: `..` is not a name; take 1 to 64 of A-Z a-z 0-9 . _ -");
        check(json!({}), "name: is missing; 1 to 64 of A-Z a-z 0-9 . _ -");
        check(json!([]), "body: [] is not an object");
        check(
            json!({"name": "a", "wait_strategy": "blockin"}),
            "wait_strategy: \"blockin\" is not one of blocking, yielding, busy-spin, sleeping, timeout-blocking, phased-backoff; did you mean blocking?",
        );
        check(
            json!({"name": "a", "sinks": [{"kind": "log", "after": ["x"]}]}),
            "sinks[0].after: no sink further up is called `x`",
        );
        check(
            json!({"name": "a", "sinks": [{"kind": "log"}, {"kind": "count", "name": "log"}]}),
            "sinks[1].name: two sinks are called `log`",
        );
        check(
            json!({"name": "a", "sinks": [{}]}),
            "sinks[0].kind: is missing; count, log, file, webhook or forward",
        );
        check(
            json!({"name": "a", "sinks": [{"kind": "webhook", "url": "http://u:p@h/"}]}),
            "sinks[0].url: a URL with a password would show it; send it in `headers`",
        );
        check(
            json!({"name": "a", "config": {"retention": 1}}),
            "config.retention: is not a known field; known are enable_metrics, enable_logging, max_events_per_second, retention_seconds",
        );
    }

    #[test]
    fn a_level_needs_so_many_followers() {
        let needed = |level: Consistency| [1, 2, 3, 4, 5, 7].map(|replicas| level.followers_needed(replicas));
        assert_eq!(needed(Consistency::Any), [0; 6]);
        assert_eq!(needed(Consistency::One), [0, 1, 1, 1, 1, 1]);
        assert_eq!(needed(Consistency::Quorum), [0, 1, 1, 2, 2, 3]);
        assert_eq!(needed(Consistency::All), [0, 1, 2, 3, 4, 6]);
    }
}
