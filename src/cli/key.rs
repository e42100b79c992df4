//! `badbatch key`: who may do what.

use argh::{ArgsInfo, FromArgs};
use serde_json::json;

use super::exit::Failure;
use super::output::View;
use super::session::Session;
use crate::client::{Body, encoded};

/// Make, list and revoke access keys.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "key")]
pub struct Arguments {
    #[argh(subcommand)]
    pub command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub enum Command {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Make an access key; its text is shown once.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "create", example = "badbatch key create deploy --role writer --expires 90d")]
pub struct Create {
    /// what it is for
    #[argh(positional)]
    name: String,
    /// what it may do [values: viewer, writer, admin]
    #[argh(option)]
    role: String,
    /// the beginning of the names of the disruptors that it is good for [default: all]
    #[argh(option)]
    scope: Option<String>,
    /// how long it is good, such as 90d [default: for ever]
    #[argh(option)]
    expires: Option<String>,
}

/// List the access keys.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", example = "badbatch key list")]
pub struct List {}

/// End an access key.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "revoke",
    example = "badbatch key revoke \"$(badbatch key list -o name | head -n 1)\" --yes"
)]
pub struct Revoke {
    /// the key's identifier
    #[argh(positional)]
    id: String,
}

const KEYS: View<'_> = View {
    rows: Some("items"),
    columns: &[
        ("ID", "/id"),
        ("NAME", "/name"),
        ("ROLE", "/role"),
        ("SCOPE", "/scope"),
        ("CREATED", "/created_at"),
        ("EXPIRES", "/expires_at"),
        ("LAST USED", "/last_used_at"),
    ],
    wide: &[],
    name: "/id",
};
const NEW: View<'_> = View {
    rows: None,
    columns: &[("Id", "/id"), ("Name", "/name"), ("Role", "/role"), ("Scope", "/scope"), ("Key", "/key")],
    wide: &[],
    name: "/key",
};

pub fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => {
            let new = json!({
                "name": arguments.name, "role": arguments.role, "scope": arguments.scope, "expires_in": arguments.expires,
            });
            session.show(&session.ask("POST", "/api/v1/key", Some(Body::Json(new)))?, &NEW)?;
            session.say("the key is not shown again");
            Ok(())
        }
        Command::List(_) => session.show(&session.ask("GET", "/api/v1/key", None)?, &KEYS),
        Command::Revoke(arguments) => {
            session.confirm(&format!("revoke the key {}?", arguments.id))?;
            session.ask("DELETE", &format!("/api/v1/key/{}", encoded(&arguments.id)), None)?;
            session.done(&json!({"revoked": arguments.id}), &format!("{} is revoked", arguments.id))
        }
    }
}
