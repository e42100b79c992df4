//! What every command that talks to a server has: the server, and the form of results.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::Duration;

use serde_json::Value;

use super::Globals;
use super::exit::Failure;
use super::output::{Format, View};
use super::profile::{self, Profile};
use crate::client::{Body, Client, ClientError};

/// A command's server and its results.
pub struct Session {
    pub client: Client,
    pub format: Format,
    pub is_quiet: bool,
    is_sure: bool,
    /// What was told, and by whom.
    pub profile: Profile,
}

impl Session {
    /// Puts together what flags, environment, context and file say.
    pub fn open(globals: &Globals) -> Result<Self, Failure> {
        let profile = Profile::gather(globals)?;
        let endpoint = &profile.endpoint;
        let mut client = Client::new(&endpoint.value)
            .map_err(|error| Failure::usage(format!("{}: {error}", endpoint.origin)))?
            .timeout(profile.timeout.value);
        if let Some(token) = &profile.token {
            client = client.key(&token.value);
        }
        for (name, value) in &profile.headers.value {
            client = client.header(name, value);
        }
        if profile.is_verbose.value {
            client = client.observe(|exchange| {
                let status = exchange.status.map_or("no answer".to_owned(), |status| status.to_string());
                let millis = exchange.took.as_secs_f64() * 1e3;
                // Without standard error nobody is told.
                let _told = writeln!(
                    io::stderr(),
                    "{} {}: {status} in {millis:.1} ms",
                    exchange.method,
                    exchange.path
                );
            });
        }
        let format = profile.format.value;
        Ok(Self { client, format, is_quiet: globals.quiet, is_sure: globals.yes, profile })
    }

    /// A request whose answer is JSON.
    pub fn ask(&self, method: &str, path: &str, body: Option<Body>) -> Result<Value, Failure> {
        self.client.json(method, path, body).map_err(|error| self.failed(&error))
    }

    /// As [`ask`](Self::ask), once however often it is asked under this key.
    pub fn ask_as(&self, key: &str, method: &str, path: &str, body: Option<Body>) -> Result<Value, Failure> {
        let answer = self.client.request_as(key, method, path, body, self.profile.timeout.value);
        let answer = answer.map_err(|error| self.failed(&error))?;
        Ok(serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }

    /// A client's error, told for people.
    pub fn failed(&self, error: &ClientError) -> Failure {
        Failure::of_client(error, &self.profile.endpoint.origin.to_string())
    }

    /// Prints a result in the form that was asked for.
    pub fn show(&self, value: &Value, view: &View<'_>) -> Result<(), Failure> {
        Ok(super::output::show(self.format, value, view)?)
    }

    /// Tells what was done: a line for people, and the value with all its members for programs.
    pub fn done(&self, value: &Value, line: &str) -> Result<(), Failure> {
        self.say(line);
        if self.format.is_table() {
            return Ok(());
        }
        let members: Vec<&String> =
            value.as_object().into_iter().flat_map(|members| members.keys()).collect();
        let places: Vec<String> = members.iter().map(|member| format!("/{member}")).collect();
        let columns: Vec<_> =
            members.iter().zip(&places).map(|(name, at)| (name.as_str(), at.as_str())).collect();
        let name = places.iter().find(|at| *at == "/name").or(places.first()).map_or("", String::as_str);
        self.show(value, &View { rows: None, columns: &columns, wide: &[], name })
    }

    /// Says something that is no result.
    pub fn say(&self, text: &str) {
        if !self.is_quiet {
            // Without standard error nobody is told.
            let _told = writeln!(io::stderr(), "{text}");
        }
    }

    /// Has somebody at a terminal confirm what cannot be undone.
    ///
    /// Errors: they do not, or nobody is there and `--yes` is not given.
    pub fn confirm(&self, question: &str) -> Result<(), Failure> {
        if self.is_sure {
            return Ok(());
        }
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(Failure::usage(format!("{question} nobody is there to ask")).hint("say so: --yes"));
        }
        write!(io::stderr(), "{question} [y/N] ")?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::failed("nothing was done")),
        }
    }
}

/// A span of time, as `10s` or `250ms`.
pub fn span(flag: &str, text: &str) -> Result<Duration, Failure> {
    profile::span(text).map_err(|error| Failure::usage(format!("{flag}: {error}")))
}
