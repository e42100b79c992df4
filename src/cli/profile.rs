//! What commands are told besides their own arguments, and by whom: a flag, else the environment, else the context,
//! else the configuration file, else nobody.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Globals;
use super::contexts::Contexts;
use super::exit::Failure;
use super::output::Format;

/// What a context, or the section `client` of the configuration file, says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Section {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_secs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verbose: Option<bool>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// The configuration file, of which the rest is the server's.
#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    client: Option<Section>,
}

/// Who told a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Flag(&'static str),
    Environment(&'static str),
    Context(String),
    File(PathBuf),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Context(name) => write!(f, "context {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and who told it.
#[derive(Clone, Debug)]
pub struct Told<T> {
    pub value: T,
    pub origin: Origin,
}

/// Everything that a command is told so.
pub struct Profile {
    pub endpoint: Told<String>,
    /// The access key. It is never shown.
    pub token: Option<Told<String>>,
    pub timeout: Told<Duration>,
    pub format: Told<Format>,
    pub is_verbose: Told<bool>,
    pub headers: Told<BTreeMap<String, String>>,
    pub context: Option<Told<String>>,
}

pub const ENDPOINT: &str = "http://127.0.0.1:8080";
const TIMEOUT: Duration = Duration::from_secs(30);

impl Profile {
    /// Puts together what is told.
    ///
    /// Errors: a value that is wrong, with who told it.
    pub fn gather(globals: &Globals) -> Result<Self, Failure> {
        let context = named_context(globals)?;
        let (file, section) = match config_path(globals) {
            Some(path) => (Origin::File(path.value.clone()), read(&path)?),
            None => (Origin::Default, Section::default()),
        };
        let below: Vec<(Origin, &Section)> = context
            .iter()
            .map(|(name, section)| (Origin::Context(name.value.clone()), section))
            .chain([(file, &section)])
            .collect();
        let sources = Sources { below: &below };
        let token_file = sources
            .text("--token-file", globals.token_file.as_ref(), None, |section| section.token_file.clone());
        let token = match (&globals.token_file, variable("BADBATCH_TOKEN")) {
            (None, Some(token)) => Some(Told { value: token, origin: Origin::Environment("BADBATCH_TOKEN") }),
            _ => token_file.map(read_token).transpose()?,
        };
        let timeout = sources
            .text("--timeout", globals.timeout.as_ref(), Some("BADBATCH_TIMEOUT"), |section| {
                section.timeout_secs.map(|seconds| format!("{seconds}s"))
            })
            .map(|told| told.parse(span))
            .transpose()?;
        let format = sources
            .text("--output", globals.output.as_ref(), Some("BADBATCH_OUTPUT"), |section| {
                section.output_format.clone()
            })
            .map(|told| told.parse(str::parse))
            .transpose()?;
        let headers = below
            .iter()
            .find(|(_, section)| !section.headers.is_empty())
            .map(|(origin, section)| Told { value: section.headers.clone(), origin: origin.clone() });
        let verbose = below
            .iter()
            .find_map(|(origin, section)| Some(Told { value: section.verbose?, origin: origin.clone() }));
        let is_verbose = match globals.verbose {
            true => Some(Told { value: true, origin: Origin::Flag("--verbose") }),
            false => verbose,
        };
        Ok(Self {
            endpoint: sources
                .text("--endpoint", globals.endpoint.as_ref(), Some("BADBATCH_ENDPOINT"), |section| {
                    section.endpoint.clone()
                })
                .unwrap_or_else(|| default(ENDPOINT.to_owned())),
            token,
            timeout: timeout.unwrap_or_else(|| default(TIMEOUT)),
            format: format.unwrap_or_else(|| default(Format::Table)),
            is_verbose: is_verbose.unwrap_or_else(|| default(false)),
            headers: headers.unwrap_or_else(|| default(BTreeMap::new())),
            context: context.map(|(name, _)| name),
        })
    }

    /// Every setting with its origin; of secrets, whether they are there.
    pub fn to_json(&self) -> Value {
        let row = |key: &str, value: Value, origin: &Origin| json!({"key": format!("client.{key}"), "value": value, "origin": origin.to_string()});
        let hidden = |is_there: bool| if is_there { json!("(not shown)") } else { Value::Null };
        let origin = |told: Option<&Origin>| told.cloned().unwrap_or(Origin::Default);
        let context = self.context.as_ref();
        let token = self.token.as_ref();
        json!([
            row("context", json!(context.map(|told| &told.value)), &origin(context.map(|told| &told.origin))),
            row("endpoint", json!(self.endpoint.value), &self.endpoint.origin),
            row("token", hidden(token.is_some()), &origin(token.map(|told| &told.origin))),
            row(
                "timeout",
                json!(humantime::format_duration(self.timeout.value).to_string()),
                &self.timeout.origin
            ),
            row("output", json!(self.format.value.word()), &self.format.origin),
            row("verbose", json!(self.is_verbose.value), &self.is_verbose.origin),
            row("headers", hidden(!self.headers.value.is_empty()), &self.headers.origin),
        ])
    }
}

fn default<T>(value: T) -> Told<T> {
    Told { value, origin: Origin::Default }
}

impl Told<String> {
    fn parse<T, E: fmt::Display>(self, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<Told<T>, Failure> {
        match parse(&self.value) {
            Ok(value) => Ok(Told { value, origin: self.origin }),
            Err(error) => Err(Failure::usage(format!("{}: {error}", self.origin))),
        }
    }
}

/// What lies below flags and environment, first what counts more.
struct Sources<'s> {
    below: &'s [(Origin, &'s Section)],
}

impl Sources<'_> {
    fn text(
        &self,
        flag: &'static str,
        given: Option<&String>,
        name: Option<&'static str>,
        member: impl Fn(&Section) -> Option<String>,
    ) -> Option<Told<String>> {
        let flag = given.map(|value| Told { value: value.clone(), origin: Origin::Flag(flag) });
        let environment = || {
            let name = name?;
            Some(Told { value: variable(name)?, origin: Origin::Environment(name) })
        };
        let below = || {
            let mut values = self.below.iter();
            values
                .find_map(|(origin, section)| Some(Told { value: member(section)?, origin: origin.clone() }))
        };
        flag.or_else(environment).or_else(below)
    }
}

/// The context that was asked for, or the one in use.
fn named_context(globals: &Globals) -> Result<Option<(Told<String>, Section)>, Failure> {
    let asked = match (&globals.context, variable("BADBATCH_CONTEXT")) {
        (Some(name), _) => Some(Told { value: name.clone(), origin: Origin::Flag("--context") }),
        (None, Some(name)) => Some(Told { value: name, origin: Origin::Environment("BADBATCH_CONTEXT") }),
        (None, None) => None,
    };
    let contexts = Contexts::load()?;
    match asked {
        Some(asked) => {
            let section = contexts.find(&asked.value)?.clone();
            Ok(Some((asked, section)))
        }
        None => Ok(contexts.current().map(|(name, section)| {
            let told = Told { value: name.to_owned(), origin: Origin::File(contexts.path().to_owned()) };
            (told, section.clone())
        })),
    }
}

/// The configuration file that is read, if there is one: the one that was asked for, or the one in its usual place.
pub fn config_path(globals: &Globals) -> Option<Told<PathBuf>> {
    let usual = || folder().map(|folder| folder.join("config.yaml")).filter(|path| path.is_file());
    match (&globals.config, variable("BADBATCH_CONFIG")) {
        (Some(path), _) => Some(Told { value: path.into(), origin: Origin::Flag("--config") }),
        (None, Some(path)) => {
            Some(Told { value: path.into(), origin: Origin::Environment("BADBATCH_CONFIG") })
        }
        (None, None) => usual().map(default),
    }
}

/// The folder of files of this user. Source: XDG Base Directory Specification.
pub fn folder() -> Option<PathBuf> {
    let base = variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".config"));
    Some(base.or_else(home)?.join("badbatch"))
}

fn read(path: &Told<PathBuf>) -> Result<Section, Failure> {
    let wrong = |error: &dyn fmt::Display| {
        Failure::usage(format!("{}: {}: {error}", path.origin, path.value.display()))
    };
    let text = fs::read_to_string(&path.value).map_err(|error| wrong(&error))?;
    section(&text).map_err(|error| wrong(&error))
}

/// The client's section of a configuration.
///
/// Errors: what is wrong with it, and in which line.
pub fn section(text: &str) -> Result<Section, String> {
    if text.trim().is_empty() {
        return Ok(Section::default());
    }
    let file: File = serde_saphyr::from_str(text)
        .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())?;
    Ok(file.client.unwrap_or_default())
}

fn read_token(path: Told<String>) -> Result<Told<String>, Failure> {
    let read = match path.value.as_str() {
        "-" | "@-" => io::read_to_string(io::stdin()),
        file => fs::read_to_string(file),
    };
    match read {
        Ok(token) => Ok(Told { value: token.trim().to_owned(), origin: path.origin }),
        Err(error) => Err(Failure::usage(format!("{}: {}: {error}", path.origin, path.value))),
    }
}

/// A variable of the environment, unless it is empty.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// A span of time, as `10s` or `250ms`.
pub fn span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is not a span of time such as 10s or 250ms"))
}
