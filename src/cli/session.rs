//! What every command that talks to a server has: the server, and the form of results.

use std::env;
use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::exit::Failure;
use super::output::{Format, View};
use crate::client::{Body, Client, ClientError};

/// A command's server and its results.
pub struct Session {
    pub client: Client,
    pub format: Format,
    is_quiet: bool,
    /// Where the endpoint was said.
    origin: &'static str,
}

const ENDPOINT: &str = "http://127.0.0.1:8080";

impl Session {
    /// Puts together what the flags and the environment say.
    pub fn open(
        endpoint: Option<&str>,
        token_file: Option<&str>,
        timeout: Option<&str>,
        format: Option<Format>,
        is_quiet: bool,
    ) -> Result<Self, Failure> {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let (endpoint, origin) = match (endpoint, variable("BADBATCH_ENDPOINT")) {
            (Some(endpoint), _) => (endpoint.to_owned(), "--endpoint"),
            (None, Some(endpoint)) => (endpoint, "BADBATCH_ENDPOINT"),
            (None, None) => (ENDPOINT.to_owned(), "default"),
        };
        let mut client =
            Client::new(&endpoint).map_err(|error| Failure::usage(format!("{origin}: {error}")))?;
        let token = match token_file {
            Some(path) => {
                let read = fs::read_to_string(path);
                Some(read.map_err(|error| Failure::usage(format!("--token-file: {path}: {error}")))?)
            }
            None => variable("BADBATCH_TOKEN"),
        };
        if let Some(token) = token {
            client = client.key(token.trim());
        }
        if let Some(text) = timeout.map(str::to_owned).or_else(|| variable("BADBATCH_TIMEOUT")) {
            client = client.timeout(span("--timeout", &text)?);
        }
        let format = match (format, variable("BADBATCH_OUTPUT")) {
            (Some(format), _) => format,
            (None, Some(word)) => {
                word.parse().map_err(|error| Failure::usage(format!("BADBATCH_OUTPUT: {error}")))?
            }
            (None, None) => Format::Table,
        };
        Ok(Self { client, format, is_quiet, origin })
    }

    /// A request whose answer is JSON.
    pub fn ask(&self, method: &str, path: &str, body: Option<Body>) -> Result<Value, Failure> {
        self.client.json(method, path, body).map_err(|error| self.failed(&error))
    }

    /// A client's error, told for people.
    pub fn failed(&self, error: &ClientError) -> Failure {
        Failure::of_client(error, self.origin)
    }

    /// Prints a result in the form that was asked for.
    pub fn show(&self, value: &Value, view: &View<'_>) -> Result<(), Failure> {
        Ok(super::output::show(self.format, value, view)?)
    }

    /// Says something that is no result.
    pub fn say(&self, text: &str) {
        if !self.is_quiet {
            eprintln!("{text}");
        }
    }
}

/// A span of time, as `10s` or `250ms`.
pub fn span(flag: &str, text: &str) -> Result<Duration, Failure> {
    humantime::parse_duration(text)
        .map_err(|_| Failure::usage(format!("{flag}: `{text}` is not a span of time such as 10s or 250ms")))
}
