//! `badbatch cluster key`: the keys that open what nodes say to each other, changed while they run.

use argh::{ArgsInfo, FromArgs};
use serde_json::json;

use super::super::exit::Failure;
use super::super::input;
use super::super::output::View;
use super::super::session::Session;
use crate::client::{Body, encoded};

/// Rotate the keys of a cluster: add one on every node, then use it on every node, then remove the old one.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "key")]
pub struct Arguments {
    #[argh(subcommand)]
    pub command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub enum Command {
    List(List),
    Add(Add),
    Use(Use),
    Remove(Remove),
}

/// List the keys of the server by their fingerprints, the one that closes messages first.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", example = "badbatch cluster key list")]
pub struct List {}

/// Have the server open messages with one more key.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "add", example = "badbatch cluster keygen -o name | badbatch cluster key add @-")]
pub struct Add {
    /// the key, which others may see while the command runs; better @file or @-
    #[argh(positional)]
    key: String,
}

/// Have the server close messages with this key from now on.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "use",
    example = "badbatch cluster key use \"$(badbatch cluster key list -o name | tail -n 1)\""
)]
pub struct Use {
    /// the key's fingerprint
    #[argh(positional)]
    id: String,
}

/// Have the server open messages with this key no more.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "remove",
    example = "badbatch cluster key remove \"$(badbatch cluster key list -o name | tail -n 1)\" --yes"
)]
pub struct Remove {
    /// the key's fingerprint
    #[argh(positional)]
    id: String,
}

const PATH: &str = "/api/v1/cluster/keys";
const KEYS: View<'_> =
    View { rows: Some("items"), columns: &[("ID", "/id"), ("PRIMARY", "/primary")], wide: &[], name: "/id" };

pub fn run(command: Command, session: &Session) -> Result<(), Failure> {
    let of = |id: &str| format!("{PATH}/{}", encoded(id));
    match command {
        Command::List(_) => session.show(&session.ask("GET", PATH, None)?, &KEYS),
        Command::Add(arguments) => {
            let key = input::text(&arguments.key)?;
            let added = session.ask("POST", PATH, Some(Body::Json(json!({"key": key.trim()}))))?;
            let id = added["id"].as_str().unwrap_or("-");
            session.done(&added, &format!("{id} opens messages; add it on every node before any uses it"))
        }
        Command::Use(arguments) => {
            let keys = session.ask("POST", &format!("{}/use", of(&arguments.id)), None)?;
            session.say(&format!("{} closes messages from now on", arguments.id));
            session.show(&keys, &KEYS)
        }
        Command::Remove(arguments) => {
            session.confirm(&format!("remove the key {}?", arguments.id))?;
            session.ask("DELETE", &of(&arguments.id), None)?;
            session.done(&json!({"removed": arguments.id}), &format!("{} is removed", arguments.id))
        }
    }
}
