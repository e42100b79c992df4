//! How a command fails: lines for people or a problem for programs, and a status for scripts.

use std::io::{self, Write};
use std::process::ExitCode;

use console::Style;
use serde_json::{Value, json};

use super::output::Format;
use crate::client::ClientError;
use crate::sys::signals::Signal;

/// Why a command did not do what it was asked to do.
#[derive(Debug)]
pub struct Failure {
    status: u8,
    message: String,
    /// What to do next, a line each.
    hints: Vec<String>,
    /// What the server said.
    problem: Option<Value>,
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

/// The statuses, with a word for programs and what they mean.
pub const STATUSES: [(u8, &str, &str); 10] = [
    (0, "ok", "done"),
    (FAILED, "failed", "failed"),
    (USAGE, "usage", "the arguments, a setting or the data are wrong"),
    (NOT_FOUND, "not_found", "no such disruptor, event, node, service, key, setting or context"),
    (NOT_ALLOWED, "not_allowed", "no key, or one that does not allow this"),
    (CONFLICT, "conflict", "not in this state, or the name is taken"),
    (UNREACHABLE, "unreachable", "no server, or no answer in time"),
    (PARTLY, "partly", "some of it was refused"),
    (UNHEALTHY, "unhealthy", "what was looked at is not well"),
    (130, "interrupted", "ended by Ctrl-C"),
];

impl Failure {
    /// The arguments are wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::with_code(USAGE, message)
    }

    /// What was named is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::with_code(NOT_FOUND, message)
    }

    /// What is to be made is there already.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::with_code(CONFLICT, message)
    }

    /// It was tried, and did not go.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::with_code(FAILED, message)
    }

    /// With a status of its own.
    pub fn with_code(status: u8, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), hints: Vec::new(), problem: None }
    }

    /// The end by a signal, with the status that shells know it by.
    pub fn ended_by(signal: Signal, message: &str) -> Self {
        let number = match signal {
            Signal::Reload => 1,
            Signal::Interrupt => 2,
            Signal::Terminate => 15,
        };
        Self::with_code(128 + number, message)
    }

    /// With a line on what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// A client's error, with where the endpoint came from, and what to do next.
    pub fn of_client(error: &ClientError, origin: &str) -> Self {
        let status = match error {
            ClientError::Unreachable { .. } | ClientError::TimedOut { .. } => UNREACHABLE,
            ClientError::Endpoint { .. } => USAGE,
            ClientError::Problem(problem) => match problem.status {
                404 | 410 => NOT_FOUND,
                401 | 403 => NOT_ALLOWED,
                409 | 422 => CONFLICT,
                400 | 413 | 415 => USAGE,
                504 if problem.code != "replication_timeout" => UNREACHABLE,
                _ => FAILED,
            },
            _ => FAILED,
        };
        let failure = Self::with_code(status, error.to_string());
        match error {
            ClientError::Unreachable { .. } => failure
                .hint("is the server running? start one: badbatch server")
                .hint(format!("other endpoint: --endpoint or BADBATCH_ENDPOINT (now: {origin})")),
            ClientError::TimedOut { .. } => {
                failure.hint("wait longer: --timeout 60s").hint(format!("endpoint: {origin}"))
            }
            ClientError::Garbage { .. } => failure.hint(format!("is it the right endpoint? (now: {origin})")),
            ClientError::Problem(problem) => {
                let mut failure = failure;
                let hints = problem.body["errors"].as_array().into_iter().flatten();
                failure.hints.extend(hints.filter_map(|error| error["hint"].as_str().map(str::to_owned)));
                if problem.status == 401 {
                    failure = failure.hint("give the key: --token-file FILE or BADBATCH_TOKEN");
                }
                failure.problem = Some(problem.body.clone());
                failure.hint(format!("more: badbatch explain {}", problem.code))
            }
            _ => failure,
        }
    }

    /// Tells it on standard error, and gives the status.
    pub fn report(&self, format: Format) -> ExitCode {
        if !self.message.is_empty() {
            let text = match format {
                Format::Json | Format::Ndjson => format!("{}\n", self.to_problem()),
                _ => self.to_text(),
            };
            // Without standard error there is nowhere to tell it.
            let _told = io::stderr().write_all(text.as_bytes());
        }
        ExitCode::from(self.status)
    }

    fn to_text(&self) -> String {
        let label = Style::new().for_stderr().red().bold().apply_to("error:");
        let hints: String = self.hints.iter().map(|hint| format!("  {hint}\n")).collect();
        format!("{label} {}\n{hints}", self.message)
    }

    /// As RFC 9457 tells it: the server's problem, or one in the same form.
    fn to_problem(&self) -> Value {
        let kind = STATUSES.iter().find(|(status, ..)| *status == self.status);
        let (_, code, title) = kind.copied().unwrap_or((FAILED, "failed", "failed"));
        let own = || json!({"type": "about:blank", "title": title, "detail": self.message, "code": code});
        let mut problem = self.problem.clone().unwrap_or_else(own);
        problem["exit_status"] = json!(self.status);
        problem["hints"] = json!(self.hints);
        problem
    }
}

impl From<io::Error> for Failure {
    /// A reader that has gone, as `head` does, is no failure to tell anybody of.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::with_code(0, ""),
            _ => Self::failed(error.to_string()),
        }
    }
}
