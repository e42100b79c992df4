//! `badbatch bench`: how fast it is, measured here.
//!
//! Every run has one result in one form: what was asked for, on which machine, and what was measured. `local.rs` and
//! `server.rs` measure, `saved.rs` keeps results and compares them.

mod local;
mod saved;
mod server;

use std::thread;

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::exit::Failure;
use super::session::Session;
use crate::sys::signals::Signals;

/// Measure the ring, or a server.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "bench")]
pub struct Arguments {
    #[argh(subcommand)]
    pub command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub enum Command {
    Local(local::Local),
    Server(server::Server),
    Compare(saved::Compare),
}

pub fn run(command: Command, session: Session) -> Result<(), Failure> {
    match command {
        Command::Local(arguments) => local::run(&arguments, session),
        Command::Server(arguments) => server::run(&arguments, session),
        Command::Compare(arguments) => saved::compare(&arguments, &session),
    }
}

/// A run, as it is shown and saved.
fn outcome(bench: &str, parameters: &Value, measured: &Value) -> Value {
    let machine = json!({
        "cpus": thread::available_parallelism().map_or(1, usize::from),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "version": env!("CARGO_PKG_VERSION"),
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
    });
    json!({"bench": bench, "parameters": parameters, "machine": machine, "result": measured})
}

/// Seconds without the digits that nobody has measured.
fn to_micros(seconds: f64) -> f64 {
    (1e6 * seconds).round() / 1e6
}

fn warn_of_debug_build(session: &Session) {
    if cfg!(debug_assertions) {
        session.say("warning: this is a debug build; its figures mean nothing");
    }
}

/// Signals that end a run early, after it has cleaned up.
struct Interruption(Signals);

impl Interruption {
    /// Before any thread starts.
    fn hold_back() -> Result<Self, Failure> {
        Ok(Self(Signals::hold_back()?))
    }

    /// The end that somebody asks for, with the status that shells know it by.
    fn failure(&self) -> Option<Failure> {
        Some(Failure::ended_by(self.0.pending().ok()??, "interrupted; nothing was measured"))
    }
}

/// A number from one to a limit.
fn within(flag: &str, given: u64, most: u64) -> Result<(), Failure> {
    match (1..=most).contains(&given) {
        true => Ok(()),
        false => Err(Failure::usage(format!("{flag}: {given} is not from 1 to {most}"))),
    }
}
