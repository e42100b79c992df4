//! What stands for the server in a program that is built without it.

use std::process::ExitCode;

use serde_json::Value;

use super::server::Arguments;

/// Whether this program is a server too.
pub const IS_HERE: bool = false;

const ABSENT: &str = "this program is built without the server; build it with the feature `full`";

/// Tells that there is no server in this program.
pub fn run(arguments: Arguments) -> ExitCode {
    let config = arguments.config_path().map(|path| format!(" --config {path}"));
    let flags: String = arguments.flags().iter().map(|(_, flag, value)| format!(" {flag} {value}")).collect();
    eprintln!("error: cannot do `badbatch server{}{flags}`: {ABSENT}", config.unwrap_or_default());
    ExitCode::FAILURE
}

/// Tells that nothing here knows the server's settings.
pub fn check(_text: &str) -> Result<Value, Vec<String>> {
    Err(vec![ABSENT.to_owned()])
}
