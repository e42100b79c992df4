//! Small commands: any request, an error's meaning, versions.

use argh::{ArgsInfo, FromArgs};
use serde_json::json;

use super::exit::Failure;
use super::input;
use super::output::{View, print};
use super::session::Session;
use crate::api;
use crate::base::nearest::nearest;
use crate::client::Body;

/// Send any request.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "api",
    example = "badbatch api GET /api/v1/disruptor\nbadbatch api POST /api/v1/disruptor '{{\"name\": \"a\"}}'"
)]
pub struct Api {
    /// the method
    #[argh(positional)]
    method: String,
    /// the path, with its query
    #[argh(positional)]
    path: String,
    /// a body as JSON, or @file, or @- for standard input
    #[argh(positional)]
    body: Option<String>,
}

/// Tell what an error's code means.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "explain", example = "badbatch explain ring_full")]
pub struct Explain {
    /// the code
    #[argh(positional)]
    code: String,
}

/// Tell the versions of this program and of the server.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "version", example = "badbatch version -o json")]
pub struct Version {}

pub fn api(arguments: &Api, session: &Session) -> Result<(), Failure> {
    if !arguments.path.starts_with('/') {
        return Err(Failure::usage(format!("`{}` is not a path; it begins with /", arguments.path)));
    }
    let body = arguments.body.as_deref().map(|body| input::json("the body", body)).transpose()?;
    let method = arguments.method.to_uppercase();
    let timeout = std::time::Duration::from_secs(90);
    let answer = session.client.request(&method, &arguments.path, body.map(Body::Json), timeout);
    let answer = answer.map_err(|error| session.failed(&error))?;
    let text = String::from_utf8_lossy(&answer.body);
    let value = serde_json::from_slice(&answer.body);
    match value {
        Ok(value) if !session.format.is_table() => {
            session.show(&value, &View { rows: None, columns: &[("Answer", "")], wide: &[], name: "" })
        }
        Ok(value) => Ok(print(&format!("{value:#}"))?),
        Err(_) if text.is_empty() => Ok(()),
        Err(_) => Ok(print(text.trim_end())?),
    }
}

pub fn explain(arguments: &Explain, session: &Session) -> Result<(), Failure> {
    // Of this program, so that it can be asked while no server is there.
    let value = api::explain(&arguments.code).map(api::Code::to_json).ok_or_else(|| {
        let known: Vec<_> = api::CODES.iter().map(|kind| kind.code).collect();
        let near = nearest(&arguments.code, known.iter().copied());
        let hint = near.map_or_else(
            || format!("There are {}.", known.join(", ")),
            |near| format!("Did you mean {near}?"),
        );
        Failure::with_code(3, format!("no error code '{}'. {hint}", arguments.code))
    })?;
    const VIEW: View<'_> = View {
        rows: None,
        columns: &[
            ("Code", "/code"),
            ("Status", "/status"),
            ("Title", "/title"),
            ("Meaning", "/explanation"),
        ],
        wide: &[],
        name: "/code",
    };
    session.show(&value, &VIEW)
}

pub fn version(session: &Session) -> Result<(), Failure> {
    let server = session.client.json("GET", "/api/v1/version", None);
    let (server, trouble) = match server {
        Ok(value) => (value["version"].clone(), serde_json::Value::Null),
        Err(error) => (serde_json::Value::Null, json!(error.to_string())),
    };
    let value = json!({"client": env!("CARGO_PKG_VERSION"), "server": server, "trouble": trouble});
    let view = View {
        rows: None,
        columns: &[("Client", "/client"), ("Server", "/server"), ("Trouble", "/trouble")],
        wide: &[],
        name: "/client",
    };
    session.show(&value, &view)
}
