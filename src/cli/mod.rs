//! Layer 7: the command line, and the only layer that prints.
//!
//! A command writes what it was asked for to standard output, in the form that was asked for, and everything else to
//! standard error. `prepass.rs` makes arguments out of what people type, argh reads them, `profile.rs` knows who else
//! told something, `session.rs` is what every command that talks to a server has. Start with [`run`].

mod bench;
mod cluster;
mod completion;
mod config;
mod context;
mod contexts;
mod control;
mod demo;
mod disruptor;
mod doctor;
mod event;
mod exit;
mod help;
mod human;
mod input;
mod key;
mod latency;
mod monitor;
mod output;
mod prepass;
mod profile;
mod progress;
mod ring_run;
mod schedule;
#[cfg_attr(not(feature = "http"), path = "serve_elsewhere.rs")]
mod serve;
mod server;
mod session;
mod template;
mod tools;
mod watch;

use std::process::ExitCode;

use argh::{ArgsInfo, EarlyExit, FromArgs};

use exit::Failure;
use output::Format;
use prepass::Understood;
use session::Session;

/// badbatch: named disruptors behind REST.
#[derive(FromArgs, ArgsInfo)]
struct Globals {
    /// where the server is [default: http://127.0.0.1:8080] [env: BADBATCH_ENDPOINT]
    #[argh(option, short = 'e')]
    endpoint: Option<String>,
    /// a named server, as `badbatch context` has it [default: the one in use] [env: BADBATCH_CONTEXT]
    #[argh(option)]
    context: Option<String>,
    /// a configuration file [env: BADBATCH_CONFIG]
    #[argh(option, short = 'c')]
    config: Option<String>,
    /// a file with the access key, or - for standard input; BADBATCH_TOKEN has the key itself
    #[argh(option)]
    token_file: Option<String>,
    /// how long an answer is waited for [default: 30s] [env: BADBATCH_TIMEOUT]
    #[argh(option)]
    timeout: Option<String>,
    /// how results look [values: table, wide, json, yaml, ndjson, csv, name] [default: table] [env: BADBATCH_OUTPUT]
    #[argh(option, short = 'o')]
    output: Option<String>,
    /// tell every request
    #[argh(switch, short = 'v')]
    verbose: bool,
    /// say nothing but results and errors
    #[argh(switch, short = 'q')]
    quiet: bool,
    /// do without asking
    #[argh(switch, short = 'y')]
    yes: bool,
    /// show no colours [env: NO_COLOR]
    #[argh(switch, long = "no-color")]
    _no_color: bool,
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
    Cluster(cluster::Arguments),
    Bench(bench::Arguments),
    Config(config::Arguments),
    Context(context::Arguments),
    Key(key::Arguments),
    Api(tools::Api),
    Explain(tools::Explain),
    Doctor(doctor::Doctor),
    Completion(completion::Completion),
    Help(help::Help),
    Version(tools::Version),
}

const OVERVIEW: &str = "\
badbatch: named disruptors behind REST

  badbatch demo                              a million events through a ring, here
  badbatch server                            start a server
  badbatch disruptor list | create | show    what there is, and more of it
  badbatch event publish main '{\"a\": 1}'     say something
  badbatch event tail main                   and hear it
  badbatch monitor watch                     how it does, live
  badbatch cluster nodes                     who else is there
  badbatch config example                    a file to begin with
  badbatch api GET /health                   any request
  badbatch explain ring_full                 what an error means
  badbatch doctor                            whether this machine is fit

badbatch --help lists everything; badbatch COMMAND --help says how.
";

/// Does what the arguments, without the program's name, say.
pub fn run(arguments: &[&str]) -> ExitCode {
    if let Some(("__complete", words)) = arguments.split_first().map(|(first, words)| (*first, words)) {
        return done(completion::complete(words), Format::Table);
    }
    // Known before the rest, so that help and errors have none either.
    if arguments.iter().take_while(|word| **word != "--").any(|word| *word == "--no-color") {
        console::set_colors_enabled(false);
        console::set_colors_enabled_stderr(false);
    }
    let globals = match understand(arguments) {
        Ok(Some(globals)) => globals,
        Ok(None) => return ExitCode::SUCCESS,
        // What is wrong with the arguments is told in the form that they ask for.
        Err(failure) => return failure.report(prepass::wanted_format(arguments)),
    };
    let format = globals.output.as_deref().and_then(|word| word.parse().ok());
    let format = format.unwrap_or_else(|| prepass::wanted_format(&[]));
    match obey(globals, format) {
        Ok(code) => code,
        Err(failure) => failure.report(format),
    }
}

fn done(result: Result<(), Failure>, format: Format) -> ExitCode {
    result.map_or_else(|failure| failure.report(format), |()| ExitCode::SUCCESS)
}

/// What argh makes of the arguments; nothing if they asked for help, which they have got.
fn understand(arguments: &[&str]) -> Result<Option<Globals>, Failure> {
    let root = Globals::get_args_info();
    let words = match prepass::prepare(&root, arguments)? {
        Understood::Help(path) => {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            help::page(&root, &path)?;
            return Ok(None);
        }
        Understood::Words(words) => words,
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match Globals::from_args(&["badbatch"], &words) {
        Ok(globals) => Ok(Some(globals)),
        Err(EarlyExit { output, .. }) => Err(prepass::told(&output)),
    }
}

fn obey(mut globals: Globals, format: Format) -> Result<ExitCode, Failure> {
    if globals.version {
        output::print(&format!("badbatch {}", env!("CARGO_PKG_VERSION")))?;
        return Ok(ExitCode::SUCCESS);
    }
    let command = globals.command.take();
    let session = || Session::open(&globals);
    match command {
        None => overview(&session()?)?,
        Some(Command::Server(mut arguments)) => match arguments.command.take() {
            Some(command) => control::run(command, session()?)?,
            None => return Ok(serve::run(arguments)),
        },
        Some(Command::Demo(arguments)) => demo::run(&arguments, &session()?)?,
        Some(Command::Disruptor(arguments)) => disruptor::run(arguments.command, &session()?)?,
        Some(Command::Event(arguments)) => event::run(arguments.command, &session()?)?,
        Some(Command::Monitor(arguments)) => monitor::run(arguments.command, &session()?)?,
        Some(Command::Cluster(arguments)) => cluster::run(arguments.command, &session()?)?,
        Some(Command::Bench(arguments)) => bench::run(arguments.command, session()?)?,
        Some(Command::Config(arguments)) => config::run(arguments.command, &globals, &session()?)?,
        Some(Command::Context(arguments)) => context::run(arguments.command, &session()?)?,
        Some(Command::Key(arguments)) => key::run(arguments.command, &session()?)?,
        Some(Command::Api(arguments)) => tools::api(&arguments, &session()?)?,
        Some(Command::Explain(arguments)) => tools::explain(&arguments, &session()?)?,
        Some(Command::Doctor(arguments)) => doctor::run(&arguments, session()?)?,
        Some(Command::Completion(arguments)) => completion::run(&arguments, format)?,
        Some(Command::Help(arguments)) => help::run(&arguments, &Globals::get_args_info(), format)?,
        Some(Command::Version(_)) => tools::version(&session()?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What somebody sees who types nothing but the program's name.
fn overview(session: &Session) -> Result<(), Failure> {
    let endpoint = session.client.endpoint();
    let status = match session.client.health() {
        Ok(health) => {
            format!("{endpoint} answers: it is {}.", health["status"].as_str().unwrap_or("there"))
        }
        Err(_) => format!("No server answers at {endpoint}."),
    };
    Ok(output::print(&format!("{OVERVIEW}{status}"))?)
}
