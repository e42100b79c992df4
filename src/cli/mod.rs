//! Layer 6: the command line, and the only layer that prints.
//!
//! A command writes what it was asked for to standard output, in the form that was asked for, and everything else to
//! standard error. `prepass.rs` makes arguments out of what people type, argh reads them, `session.rs` is what every
//! command that talks to a server has. Start with [`run`].

mod config;
mod demo;
mod disruptor;
mod event;
mod exit;
mod input;
mod key;
mod monitor;
mod output;
mod prepass;
#[cfg_attr(not(feature = "http"), path = "serve_elsewhere.rs")]
mod serve;
mod server;
mod session;
mod tools;

use std::process::ExitCode;

use argh::{ArgsInfo, EarlyExit, FromArgs};

use exit::Failure;
use output::Format;
use session::Session;

/// Named disruptors behind REST.
#[derive(FromArgs, ArgsInfo)]
struct Arguments {
    /// where the server is [default: http://127.0.0.1:8080] [env: BADBATCH_ENDPOINT]
    #[argh(option, short = 'e')]
    endpoint: Option<String>,
    /// a file with the access key [env: BADBATCH_TOKEN, the key itself]
    #[argh(option)]
    token_file: Option<String>,
    /// how long an answer is waited for [default: 30s] [env: BADBATCH_TIMEOUT]
    #[argh(option)]
    timeout: Option<String>,
    /// how results look: table, json, yaml, ndjson, csv or name [default: table] [env: BADBATCH_OUTPUT]
    #[argh(option, short = 'o')]
    output: Option<Format>,
    /// say nothing but results and errors
    #[argh(switch, short = 'q')]
    quiet: bool,
    /// print the version and exit
    #[argh(switch, short = 'V')]
    version: bool,
    #[argh(subcommand)]
    command: Option<Command>,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
enum Command {
    Demo(demo::Demo),
    Server(server::Arguments),
    Disruptor(disruptor::Arguments),
    Event(event::Arguments),
    Monitor(monitor::Arguments),
    Config(config::Arguments),
    Key(key::Arguments),
    Api(tools::Api),
    Explain(tools::Explain),
    Version(tools::Version),
}

const OVERVIEW: &str = "\
badbatch: named disruptors behind REST

  badbatch demo                              a million events through a ring, here
  badbatch server                            start a server
  badbatch disruptor list | create | show    what there is, and more of it
  badbatch event publish main '{\"a\": 1}'     say something
  badbatch event tail main                   and hear it
  badbatch monitor system                    how it does, in numbers
  badbatch config example                    a file to begin with
  badbatch api GET /health                   any request
  badbatch explain ring_full                 what an error means

badbatch --help lists everything; badbatch COMMAND --help says how.";

/// Does what the arguments, without the program's name, say.
pub fn run(arguments: &[&str]) -> ExitCode {
    match try_run(arguments) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn try_run(arguments: &[&str]) -> Result<ExitCode, Failure> {
    let arguments = prepass::prepare(&Arguments::get_args_info(), arguments)?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let understood = match Arguments::from_args(&["badbatch"], &words) {
        Ok(understood) => understood,
        Err(EarlyExit { output, status: Ok(()) }) => {
            output::print(&output)?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(EarlyExit { output, status: Err(()) }) => return Err(Failure::usage(output.trim())),
    };
    if understood.version {
        output::print(&format!("badbatch {}", env!("CARGO_PKG_VERSION")))?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(command) = understood.command else {
        output::print(OVERVIEW)?;
        return Ok(ExitCode::SUCCESS);
    };
    let session = || {
        Session::open(
            understood.endpoint.as_deref(),
            understood.token_file.as_deref(),
            understood.timeout.as_deref(),
            understood.output,
            understood.quiet,
        )
    };
    match command {
        Command::Server(arguments) => return Ok(serve::run(&arguments)),
        Command::Demo(arguments) => demo::run(&arguments, &session()?)?,
        Command::Disruptor(arguments) => disruptor::run(arguments.command, &session()?)?,
        Command::Event(arguments) => event::run(arguments.command, &session()?)?,
        Command::Monitor(arguments) => monitor::run(arguments.command, &session()?)?,
        Command::Config(arguments) => config::run(arguments.command, session)?,
        Command::Key(arguments) => key::run(arguments.command, &session()?)?,
        Command::Api(arguments) => tools::api(&arguments, &session()?)?,
        Command::Explain(arguments) => tools::explain(&arguments, &session()?)?,
        Command::Version(_) => tools::version(&session()?)?,
    }
    Ok(ExitCode::SUCCESS)
}
