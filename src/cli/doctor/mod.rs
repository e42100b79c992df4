//! `badbatch doctor`: whether this machine and the server are fit, and what to do if not.
//!
//! A check looks at one thing and says what it found; `machine.rs` has those of the machine, `place.rs` those of where a
//! server would live, `server.rs` those of a server that runs, `cluster.rs` that of its cluster. Nothing is changed, and nothing is waited for long.

mod bundle;
mod check;
mod cluster;
mod machine;
mod place;
mod server;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::exit::{Failure, UNHEALTHY};
use super::output::{View, heading, plain, print};
use super::session::Session;
use crate::client::Client;
use check::{Check, Verdict};
use server::Answer;

/// Check this machine and the server; the status is 8 if something does not work.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "doctor", example = "badbatch doctor\nbadbatch doctor --bundle -")]
pub struct Doctor {
    /// take warnings for failures
    #[argh(switch)]
    strict: bool,
    /// a server's configuration file to check [env: BADBATCH_CONFIG]
    #[argh(option, short = 'c')]
    config: Option<String>,
    /// write everything that helps to find a fault into this JSON file, which must not be there yet, or - for standard
    /// output; it has no secrets
    #[argh(option)]
    bundle: Option<String>,
}

const VIEW: View<'_> = View {
    rows: Some("checks"),
    columns: &[("CHECK", "/name"), ("STATUS", "/status"), ("FOUND", "/found"), ("ADVICE", "/advice")],
    wide: &[],
    name: "/name",
};

pub fn run(arguments: &Doctor, mut session: Session) -> Result<(), Failure> {
    let bundle = arguments.bundle.as_deref();
    let file = bundle.filter(|path| !matches!(*path, "-" | "@-"));
    if let Some(path) = file.filter(|path| Path::new(path).exists()) {
        return Err(Failure::with_code(1, format!("{path} is there already; name another file")));
    }
    session.client = impatient(session.client);
    let answer = server::probe(&session.client);
    let mut checks = machine::checks();
    checks.extend(place::Place::find(arguments.config.as_deref()).checks());
    checks.extend(server::checks(&answer, session.client.endpoint()));
    checks.extend(cluster::check(&answer, &session.client));
    let worst = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
    let list: Value = checks.iter().map(Check::to_json).collect();
    let result = json!({"status": worst.name(), "checks": list});
    let health = if let Answer::Badbatch(health) = &answer { Some(health) } else { None };
    let gathered = bundle.map(|_| bundle::gather(&result, health, &session));
    match (&gathered, file) {
        (Some(gathered), None) => print(&format!("{gathered:#}"))?,
        _ => show(&result, &checks, &session)?,
    }
    if let (Some(gathered), Some(path)) = (&gathered, file) {
        let written = File::create_new(path).and_then(|mut file| writeln!(file, "{gathered:#}"));
        written.map_err(|error| Failure::with_code(1, format!("{path}: {error}")))?;
        session.say(&format!("written to {path}; look through it before you send it"));
    }
    let limit = if arguments.strict { Verdict::Warning } else { Verdict::Failed };
    let bad: Vec<_> = checks.iter().filter(|check| check.verdict >= limit).map(|check| check.name).collect();
    match bad.as_slice() {
        [] => Ok(()),
        bad => Err(Failure::with_code(UNHEALTHY, format!("not well: {}", bad.join(", ")))),
    }
}

/// A client that does not wait for a server that hangs.
fn impatient(client: Client) -> Client {
    client.attempts(1).timeout(Duration::from_secs(1))
}

fn show(result: &Value, checks: &[Check], session: &Session) -> Result<(), Failure> {
    if !session.format.is_table() {
        return session.show(result, &VIEW);
    }
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let line = |check: &Check| {
        let sign = check.verdict.style().apply_to(format!("{:4}", check.verdict.sign()));
        format!("{sign}  {:width$}  {}\n", check.name, plain(&check.found))
    };
    let advice = checks.iter().filter(|check| !check.advice.is_empty());
    let advice: String = advice
        .map(|check| format!("{}  {}\n", heading(&format!("{:width$}", check.name)), plain(&check.advice)))
        .collect();
    let mut text: String = checks.iter().map(line).collect();
    if !advice.is_empty() {
        text += &format!("\n{advice}");
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
