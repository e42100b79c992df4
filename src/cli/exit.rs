//! How a command fails: a line for people, a status for scripts.

use std::io;
use std::process::ExitCode;

use crate::client::ClientError;

/// Why a command did not do what it was asked to do.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const NOT_FOUND: u8 = 3;
const NOT_ALLOWED: u8 = 4;
const CONFLICT: u8 = 5;
const UNREACHABLE: u8 = 6;
/// Some of it was done, and some was refused.
pub const PARTLY: u8 = 7;
/// What was looked at is not well.
pub const UNHEALTHY: u8 = 8;

impl Failure {
    /// The arguments are wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    /// With a status of its own.
    pub fn with_code(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A client's error, with where the endpoint came from, and what to do next.
    pub fn of_client(error: &ClientError, origin: &str) -> Self {
        let code = match error {
            ClientError::Unreachable { .. } | ClientError::TimedOut { .. } => UNREACHABLE,
            ClientError::Endpoint { .. } => USAGE,
            ClientError::Problem(problem) => match problem.status {
                404 | 410 => NOT_FOUND,
                401 | 403 => NOT_ALLOWED,
                409 | 422 => CONFLICT,
                400 | 413 | 415 => USAGE,
                _ => FAILED,
            },
            _ => FAILED,
        };
        let mut message = error.to_string();
        match error {
            ClientError::Unreachable { .. } => {
                message += ". Is the server running?\n  start one: badbatch server\n";
                message += &format!("  other endpoint: --endpoint or BADBATCH_ENDPOINT (now: {origin})");
            }
            ClientError::Problem(problem) => {
                let hints = problem.body["errors"].as_array().into_iter().flatten();
                let hints: Vec<_> = hints.filter_map(|error| error["hint"].as_str()).collect();
                if !hints.is_empty() {
                    message += &format!(" ({})", hints.join("; "));
                }
                if problem.status == 401 {
                    message += "\n  give the key: --token-file FILE or BADBATCH_TOKEN";
                }
                message += &format!("\n  more: badbatch explain {}", problem.code);
            }
            _ => {}
        }
        Self { code, message }
    }

    /// Prints the message and gives the status.
    pub fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            eprintln!("error: {}", self.message);
        }
        ExitCode::from(self.code)
    }
}

impl From<io::Error> for Failure {
    /// A reader that has gone, as `head` does, is no failure to tell anybody of.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { code: 0, message: String::new() },
            _ => Self { code: FAILED, message: error.to_string() },
        }
    }
}
