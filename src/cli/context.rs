//! `badbatch context`: which server, without saying it each time.

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::contexts::Contexts;
use super::exit::Failure;
use super::output::View;
use super::profile::Section;
use super::session::Session;
use crate::client::Client;

/// Name servers, and choose one.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "context")]
pub struct Arguments {
    #[argh(subcommand)]
    pub command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub enum Command {
    Add(Add),
    List(List),
    Use(Use),
    Show(Show),
    Remove(Remove),
}

/// Name a server, and how to talk to it. The first one is taken into use.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "add",
    example = "badbatch context add local http://127.0.0.1:8080 --timeout-secs 5"
)]
pub struct Add {
    /// its name
    #[argh(positional)]
    name: String,
    /// where it is, as http://host:port
    #[argh(positional)]
    endpoint: String,
    /// the file with the access key; the key itself is not kept
    #[argh(option)]
    token_file: Option<String>,
    /// how many seconds an answer is waited for
    #[argh(option)]
    timeout_secs: Option<u64>,
    /// put it in the place of one of this name
    #[argh(switch)]
    replace: bool,
}

/// List the contexts.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", example = "badbatch context list")]
pub struct List {}

/// Take a context into use.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "use", example = "badbatch context use local")]
pub struct Use {
    /// its name, or - for the one before
    #[argh(positional)]
    name: String,
}

/// Show a context.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "show", example = "badbatch context show local")]
pub struct Show {
    /// its name [default: the one in use]
    #[argh(positional)]
    name: Option<String>,
}

/// Forget a context.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "remove", example = "badbatch context remove local")]
pub struct Remove {
    /// its name
    #[argh(positional)]
    name: String,
}

const LIST: View<'_> = View {
    rows: Some("items"),
    columns: &[("NAME", "/name"), ("CURRENT", "/current"), ("ENDPOINT", "/endpoint")],
    wide: &[("TIMEOUT", "/timeout_secs"), ("TOKEN FILE", "/token_file")],
    name: "/name",
};
const ONE: View<'_> = View {
    rows: None,
    columns: &[
        ("Name", "/name"),
        ("Current", "/current"),
        ("Endpoint", "/endpoint"),
        ("Timeout", "/timeout_secs"),
        ("Token file", "/token_file"),
    ],
    wide: &[],
    name: "/name",
};

pub fn run(command: Command, session: &Session) -> Result<(), Failure> {
    let mut contexts = Contexts::load()?;
    match command {
        Command::Add(arguments) => {
            // What is wrong is told now, not at the first request.
            Client::new(&arguments.endpoint).map_err(|error| Failure::usage(error.to_string()))?;
            if arguments.timeout_secs == Some(0) {
                return Err(Failure::usage("--timeout-secs: 0 is no time to wait; take 1 or more"));
            }
            let token_file = arguments.token_file.map(std::path::absolute).transpose()?;
            let section = Section {
                endpoint: Some(arguments.endpoint),
                token_file: token_file.map(|path| path.display().to_string()),
                timeout_secs: arguments.timeout_secs,
                ..Section::default()
            };
            contexts.add(&arguments.name, section, arguments.replace)?;
            contexts.save()?;
            let added = shown(&contexts, &arguments.name)?;
            session.show(&added, &ONE)?;
            if added["current"] == false {
                session.say(&format!("next: badbatch context use {}", arguments.name));
            }
            Ok(())
        }
        Command::List(_) => {
            let items: Result<Vec<Value>, Failure> =
                contexts.iter().map(|(name, _)| shown(&contexts, name)).collect();
            session.show(&json!({ "items": items? }), &LIST)
        }
        Command::Use(arguments) => {
            let name = contexts.select(&arguments.name)?.to_owned();
            contexts.save()?;
            session.show(&shown(&contexts, &name)?, &ONE)
        }
        Command::Show(Show { name: Some(name) }) => session.show(&shown(&contexts, &name)?, &ONE),
        Command::Show(Show { name: None }) => match contexts.current() {
            Some((name, _)) => session.show(&shown(&contexts, name)?, &ONE),
            None => {
                Err(Failure::not_found("no context is in use").hint("choose one: badbatch context use NAME"))
            }
        },
        Command::Remove(arguments) => {
            contexts.remove(&arguments.name)?;
            contexts.save()?;
            session.done(&json!({"removed": arguments.name}), &format!("{} is forgotten", arguments.name))
        }
    }
}

fn shown(contexts: &Contexts, name: &str) -> Result<Value, Failure> {
    let mut value = json!(contexts.find(name)?);
    value["name"] = json!(name);
    value["current"] = json!(contexts.current().is_some_and(|(current, _)| current == name));
    Ok(value)
}
