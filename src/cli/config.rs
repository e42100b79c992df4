//! `badbatch config`: settings, those of a file and those of a server.

use std::fs;

use argh::{ArgsInfo, FromArgs};
use serde_json::json;

use super::exit::Failure;
use super::output::{View, print};
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
    Validate(Validate),
    Example(Example),
    Get(Get),
}

/// Show a server's settings, and where each comes from.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "show", example = "badbatch config show")]
pub struct Show {}

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
}

/// Show one of a server's settings.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "get", example = "badbatch config get server.drain_timeout")]
pub struct Get {
    /// the key, such as logging.level
    #[argh(positional)]
    key: String,
}

const EXAMPLE: &str = include_str!("example.yaml");

const SETTINGS: View<'_> = View {
    rows: Some("settings"),
    columns: &[("KEY", "/key"), ("VALUE", "/value"), ("ORIGIN", "/origin")],
    name: "/key",
};
const SETTING: View<'_> = View {
    rows: None,
    columns: &[("Key", "/key"), ("Value", "/value"), ("Origin", "/origin"), ("Live", "/live")],
    name: "/value",
};
const CHECKED: View<'_> =
    View { rows: None, columns: &[("File", "/file"), ("Disruptors", "/disruptors")], name: "/file" };

pub fn run(command: Command, session: impl Fn() -> Result<Session, Failure>) -> Result<(), Failure> {
    match command {
        Command::Show(_) => {
            let session = session()?;
            session.show(&session.ask("GET", "/api/v1/config", None)?, &SETTINGS)
        }
        Command::Get(arguments) => {
            let session = session()?;
            let all = session.ask("GET", "/api/v1/config", None)?;
            let settings = all["settings"].as_array().cloned().unwrap_or_default();
            let found = settings.iter().find(|setting| setting["key"] == arguments.key.as_str());
            let known = || settings.iter().filter_map(|setting| setting["key"].as_str());
            match found {
                Some(setting) => session.show(setting, &SETTING),
                None => {
                    let near = nearest(&arguments.key, known());
                    let hint = near.map_or_else(String::new, |near| format!(" Did you mean {near}?"));
                    Err(Failure::with_code(3, format!("no setting '{}'.{hint}", arguments.key)))
                }
            }
        }
        Command::Validate(arguments) => {
            let session = session()?;
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
            session.show(&checked, &CHECKED)
        }
        Command::Example(Example { file: None }) => Ok(print(EXAMPLE.trim_end())?),
        Command::Example(Example { file: Some(path) }) => {
            let mut file = fs::File::create_new(&path)
                .map_err(|error| Failure::with_code(1, format!("{path}: {error}")))?;
            std::io::Write::write_all(&mut file, EXAMPLE.as_bytes())?;
            Ok(print(&format!("written to {path}; start with it: badbatch server --config {path}"))?)
        }
    }
}
