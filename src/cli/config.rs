//! `badbatch config`: settings, those of a file and those of a server.

use std::fs;
use std::io::Write;

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::Globals;
use super::contexts::Contexts;
use super::exit::Failure;
use super::output::{self, Format, View, print};
use super::profile::{self, Origin};
use super::serve;
use super::session::Session;
use crate::base::nearest::nearest;

/// Show and check settings.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "config")]
pub struct Arguments {
    #[argh(subcommand)]
    pub command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub enum Command {
    Show(Show),
    Get(Get),
    Path(Path),
    Example(Example),
    Validate(Validate),
}

/// Show what the command line is told, by flags, environment, context and file.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "show", example = "badbatch config show --origin\nbadbatch config show --server")]
pub struct Show {
    /// tell who told each value
    #[argh(switch)]
    origin: bool,
    /// show the server's settings instead
    #[argh(switch)]
    server: bool,
}

/// Tell which files are read.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "path", example = "badbatch config path")]
pub struct Path {}

/// Check a configuration file without a server.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "validate", example = "badbatch config validate badbatch.yaml")]
pub struct Validate {
    /// the file
    #[argh(positional)]
    file: String,
}

/// Print a configuration file to begin with, or write it.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "example", example = "badbatch config example badbatch.yaml")]
pub struct Example {
    /// the file, which must not be there yet [default: standard output]
    #[argh(positional)]
    file: Option<String>,
    /// whose settings [values: server, cluster, client, full] [default: server]
    #[argh(option, short = 't', long = "type", default = "String::from(\"server\")")]
    kind: String,
}

/// Show one setting: of the command line, if it begins with client, else of the server.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "get",
    example = "badbatch config get client.endpoint\nbadbatch config get server.drain_timeout"
)]
pub struct Get {
    /// the key, such as client.endpoint or logging.level
    #[argh(positional)]
    key: String,
}

const EXAMPLES: [(&str, &[&str]); 4] = [
    ("server", &[SERVER_EXAMPLE]),
    ("cluster", &[CLUSTER_EXAMPLE]),
    ("client", &[CLIENT_EXAMPLE]),
    ("full", &[SERVER_EXAMPLE, CLUSTER_EXAMPLE, CLIENT_EXAMPLE]),
];
const SERVER_EXAMPLE: &str = include_str!("examples/server.yaml");
const CLUSTER_EXAMPLE: &str = include_str!("examples/cluster.yaml");
const CLIENT_EXAMPLE: &str = include_str!("examples/client.yaml");
const WHOLE: View<'_> = View { rows: None, columns: &[("Configuration", "")], wide: &[], name: "" };

const SETTINGS: View<'_> = View {
    rows: Some("settings"),
    columns: &[("KEY", "/key"), ("VALUE", "/value")],
    wide: &[("ORIGIN", "/origin")],
    name: "/key",
};
const PATHS: View<'_> = View {
    rows: Some("files"),
    columns: &[("FILE", "/file"), ("PATH", "/path"), ("EXISTS", "/exists")],
    wide: &[("ORIGIN", "/origin")],
    name: "/path",
};
const SETTING: View<'_> = View {
    rows: None,
    columns: &[("Key", "/key"), ("Value", "/value"), ("Origin", "/origin"), ("Live", "/live")],
    wide: &[],
    name: "/value",
};
const CHECKED: View<'_> = View {
    rows: None,
    columns: &[("File", "/file"), ("Disruptors", "/disruptors")],
    wide: &[],
    name: "/file",
};

pub fn run(command: Command, globals: &Globals, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Show(arguments) => {
            let value = match arguments.server {
                true => session.ask("GET", "/api/v1/config", None)?,
                false => json!({"settings": session.profile.to_json()}),
            };
            match (arguments.origin, session.format) {
                (true, Format::Table) => Ok(output::show(Format::Wide, &value, &SETTINGS)?),
                _ => session.show(&value, &SETTINGS),
            }
        }
        Command::Get(arguments) => get(&arguments.key, session),
        Command::Path(_) => session.show(&paths(globals)?, &PATHS),
        Command::Validate(arguments) => {
            let path = &arguments.file;
            let text =
                fs::read_to_string(path).map_err(|error| Failure::usage(format!("{path}: {error}")))?;
            let mut checked = serve::check(&text).map_err(|errors| {
                let told: Vec<String> = errors.iter().map(|error| format!("{path}: {error}")).collect();
                Failure::usage(told.join("\nerror: "))
            })?;
            let notices = checked["notices"].as_array().into_iter().flatten();
            notices
                .for_each(|notice| session.say(&format!("{path}: {}", notice.as_str().unwrap_or_default())));
            checked["file"] = json!(path);
            profile::section(&text).map_err(|error| Failure::usage(format!("{path}: {error}")))?;
            session.show(&checked, &CHECKED)
        }
        Command::Example(arguments) => example(&arguments, session),
    }
}

fn example(arguments: &Example, session: &Session) -> Result<(), Failure> {
    let kind = EXAMPLES.iter().find(|(kind, _)| *kind == arguments.kind);
    let text: String = match kind {
        Some((_, parts)) => parts.concat(),
        None => {
            let known = EXAMPLES.map(|(kind, _)| kind).join(", ");
            return Err(Failure::usage(format!(
                "--type: there is no `{}`; there are {known}",
                arguments.kind
            )));
        }
    };
    let Some(path) = &arguments.file else {
        if session.format.is_table() {
            return Ok(print(text.trim_end())?);
        }
        // The same settings, without the comments.
        let value: Value =
            serde_saphyr::from_str(&text).map_err(|error| Failure::failed(error.to_string()))?;
        return session.show(&value, &WHOLE);
    };
    let mut file = fs::File::create_new(path).map_err(|error| Failure::failed(format!("{path}: {error}")))?;
    file.write_all(text.as_bytes())?;
    let next = match arguments.kind.as_str() {
        "client" => format!("written to {path}; use it: badbatch --config {path} config show"),
        _ => format!("written to {path}; start with it: badbatch server --config {path}"),
    };
    session.done(&json!({"file": path, "type": arguments.kind}), &next)
}

fn get(key: &str, session: &Session) -> Result<(), Failure> {
    let all = match key.starts_with("client.") {
        true => session.profile.to_json(),
        false => session.ask("GET", "/api/v1/config", None)?["settings"].take(),
    };
    let settings = all.as_array().cloned().unwrap_or_default();
    if let Some(setting) = settings.iter().find(|setting| setting["key"] == key) {
        return session.show(setting, &SETTING);
    }
    let known = settings.iter().filter_map(|setting| setting["key"].as_str());
    let failure = Failure::not_found(format!("no setting '{key}'"));
    Err(match nearest(key, known) {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None => failure.hint("there are: badbatch config show --server"),
    })
}

/// The files, the one of the configuration also if it is not there.
fn paths(globals: &Globals) -> Result<Value, Failure> {
    let row = |file: &str, path: &std::path::Path, origin: String| json!({"file": file, "path": path, "exists": path.is_file(), "origin": origin});
    let usual = profile::folder().map(|folder| folder.join("config.yaml"));
    let config = match profile::config_path(globals) {
        Some(told) => Some(row("config", &told.value, told.origin.to_string())),
        None => usual.map(|path| row("config", &path, Origin::Default.to_string())),
    };
    let contexts = Contexts::load()?;
    let contexts = row("contexts", contexts.path(), Origin::Default.to_string());
    Ok(json!({"files": config.into_iter().chain([contexts]).collect::<Vec<_>>()}))
}
