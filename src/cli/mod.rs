//! Layer 6: the command line, and the only layer that prints.
//!
//! A command writes what it is asked for to standard output and everything else to standard error. Start with
//! [`run`].

mod server;

use std::process::ExitCode;

use argh::{EarlyExit, FromArgs};

/// Named disruptors behind REST.
#[derive(FromArgs)]
struct Arguments {
    /// print the version and exit
    #[argh(switch, short = 'V')]
    version: bool,
    #[argh(subcommand)]
    command: Option<Command>,
}

#[derive(FromArgs)]
#[argh(subcommand)]
enum Command {
    Server(server::Arguments),
}

/// The command was not understood.
const USAGE: u8 = 2;

/// Does what the arguments, without the program's name, say.
pub fn run(arguments: &[&str]) -> ExitCode {
    let understood = match Arguments::from_args(&["badbatch"], arguments) {
        Ok(understood) => understood,
        Err(EarlyExit { output, status: Ok(()) }) => {
            println!("{output}");
            return ExitCode::SUCCESS;
        }
        Err(EarlyExit { output, status: Err(()) }) => {
            eprintln!("{output}");
            return ExitCode::from(USAGE);
        }
    };
    match understood {
        Arguments { version: true, .. } => {
            println!("badbatch {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        Arguments { command: Some(Command::Server(arguments)), .. } => server::run(&arguments),
        Arguments { command: None, .. } => {
            eprintln!("error: what to do? Try `badbatch server`, or `badbatch --help`");
            ExitCode::from(USAGE)
        }
    }
}
