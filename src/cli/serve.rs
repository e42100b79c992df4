//! A node behind REST, from its start to its end.

use std::env;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::human;
use super::profile::ENDPOINT;
use super::server::Arguments;
use crate::http::Server;
use crate::node::{LogFormat, Logs, Node, SettingError, Settings};
use crate::sys::process::raise_open_files_limit;
use crate::sys::signals::{self, Signal, Signals};

/// Whether this program is a server too.
pub const IS_HERE: bool = true;

const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// Runs a server until it is asked to end.
pub fn run(arguments: Arguments) -> ExitCode {
    let started = Instant::now();
    let settings = match gather(&arguments) {
        Ok(settings) => settings,
        Err(errors) => {
            errors.iter().for_each(|error| eprintln!("error: {error}"));
            return ExitCode::from(USAGE);
        }
    };
    match serve(arguments, settings, started) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(FAILED),
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(FAILED)
        }
    }
}

/// What a configuration file says, in short.
///
/// Errors: every mistake, with its line.
pub fn check(text: &str) -> Result<Value, Vec<String>> {
    let settings = Settings::gather(Some(text), |_| None, &[])
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let definitions = settings.definitions();
    let names: Vec<_> = definitions.iter().map(|definition| definition.name.clone()).collect();
    Ok(json!({
        "bind_addr": settings.text("server.bind_addr"),
        "data_dir": settings.text("server.data_dir"),
        "disruptors": names,
        "notices": settings.notices,
    }))
}

/// The settings as all that is said now makes them.
///
/// Errors: every mistake.
fn gather(arguments: &Arguments) -> Result<Settings, Vec<SettingError>> {
    let path = arguments.config_path();
    let file = path.as_ref().map(|path| {
        fs::read_to_string(path).map_err(|error| {
            let message = format!("cannot read the configuration: {error}");
            vec![SettingError { place: path.clone(), message }]
        })
    });
    let file = file.transpose()?;
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    Settings::gather(file.as_deref(), variable, &arguments.flags()).map_err(|mut errors| {
        let path = path.unwrap_or_default();
        for error in errors.iter_mut() {
            match error.place.as_str() {
                "file" => error.place.clone_from(&path),
                line if line.starts_with("line") => error.place = format!("{path}: {line}"),
                _ => {}
            }
        }
        errors
    })
}

/// Serves, and tells how many events were left at the end.
fn serve(arguments: Arguments, settings: Settings, started: Instant) -> Result<u64, String> {
    // Before any thread starts, so that none of them is interrupted.
    let signals = Signals::hold_back().map_err(|error| format!("signals: {error}"))?;
    start_logs(&settings);
    if let Err(error) = raise_open_files_limit() {
        log::warn!(target: "node", "the limit of open files is as it was: {error}");
    }
    settings.notices.iter().for_each(|notice| log::warn!(target: "node", "{notice}"));
    let bind = settings.bind_addr();
    let listener = TcpListener::bind(bind).map_err(|error| cannot_listen(bind, &error))?;
    let node = Node::start(settings, || {
        if let Err(error) = signals::raise(Signal::Terminate) {
            log::error!(target: "node", "cannot ask for the end: {error}");
        }
    });
    let node = node.map_err(|error| error.to_string())?;
    node.set_source(move || gather(&arguments));
    let server =
        Server::start(std::sync::Arc::clone(&node), listener).map_err(|error| format!("server: {error}"))?;
    // A pipe that nobody reads is no reason not to serve.
    let _printed = greet(&node, &server, started.elapsed());
    wait_for_the_end(&signals, &node)?;
    node.begin_drain();
    server.stop();
    let stopped = node.stop();
    for (name, events) in &stopped.left {
        log::error!(target: "node", disruptor = name.as_str(), events = *events; "events were not handed on");
    }
    log::info!(target: "node", "ended");
    log::logger().flush();
    Ok(stopped.left.iter().map(|(_, events)| events).sum())
}

fn start_logs(settings: &Settings) {
    let is_text = match settings.text("logging.format") {
        Some("text") => true,
        Some("json") => false,
        _ => io::stderr().is_terminal(),
    };
    let format = if is_text { LogFormat::Text } else { LogFormat::Json };
    // Somebody else's log is as good.
    let _installed = Logs::install(format, Box::new(io::stderr()));
    Logs::set_level(settings.text("logging.level").unwrap_or_default());
}

fn wait_for_the_end(signals: &Signals, node: &Node) -> Result<(), String> {
    loop {
        match signals.wait().map_err(|error| format!("signals: {error}"))? {
            Signal::Interrupt | Signal::Terminate => {
                log::info!(target: "node", "asked to end; draining");
                return Ok(());
            }
            Signal::Reload => {
                // The log has told what came of it.
                let _told = node.reload();
            }
        }
    }
}

fn cannot_listen(bind: std::net::SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let (ip, port) = (bind.ip(), bind.port());
            let other = std::net::SocketAddr::new(ip, port.saturating_add(1));
            format!(
                "{bind} is in use by another program; take another port, as in `badbatch server --bind {other}`"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!("{bind} is not for this user; ports below 1024 mostly are not")
        }
        _ => format!("cannot listen at {bind}: {error}"),
    }
}

/// What somebody who has just started it wants to know.
fn greet(node: &Node, server: &Server, took: Duration) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let settings = node.settings();
    let address = server.address();
    // What is bound to every address is reached at this one.
    let reached = match address.ip().is_unspecified() {
        true => std::net::SocketAddr::new([127, 0, 0, 1].into(), address.port()),
        false => address,
    };
    let data =
        settings.data_dir().map_or_else(|| "in memory".to_owned(), |folder| folder.display().to_string());
    let access = match (node.needs_keys(), address.ip().is_loopback()) {
        (true, _) => "keys",
        (false, true) => "off (loopback only)",
        (false, false) => "OFF: anybody who reaches this address may do anything",
    };
    writeln!(out, "badbatch {}  ready in {}", env!("CARGO_PKG_VERSION"), human::span(took))?;
    writeln!(out, "  data {data}   auth {access}")?;
    let scheme = if settings.text("server.tls_certificate").is_some() { "https" } else { "http" };
    writeln!(out, "  API      {scheme}://{reached}/api/v1   docs /openapi.json   metrics /metrics")?;
    if let Some(cluster) = node.cluster() {
        let name = settings.text("cluster.name").unwrap_or_default();
        let wire = if cluster.keyring().is_empty() { "in clear" } else { "encrypted" };
        let (id, at) = (cluster.id(), cluster.advertised());
        writeln!(out, "  Cluster  {name}  node {id}  at {at}  {wire}")?;
    }
    for disruptor in node.engine().list() {
        let definition = disruptor.definition().to_json();
        let text = |name: &str| definition[name].as_str().unwrap_or_default().to_owned();
        writeln!(
            out,
            "  Job      {}  {}  ring {}, {} producer, {} wait",
            disruptor.name(),
            disruptor.lifecycle().0,
            disruptor.definition().buffer_size,
            text("producer_type"),
            text("wait_strategy"),
        )?;
    }
    let key = match node.new_key() {
        Some((text, path)) => {
            writeln!(out, "\nKey, shown once, kept in {}:\n  {text}", path.display())?;
            Some(text)
        }
        None => node.needs_keys().then_some("KEY"),
    };
    let url = format!("{scheme}://{reached}");
    let endpoint = if url == ENDPOINT { String::new() } else { format!(" -e {url}") };
    let header = if key.is_some() { " -H \"authorization: Bearer $BADBATCH_TOKEN\"" } else { "" };
    let events = format!("{url}/api/v1/disruptor/main/events");
    let json = "-H 'content-type: application/json' -d '{\"message\": \"Hello, World!\"}'";
    writeln!(out, "\nTry, in another terminal:")?;
    if let Some(key) = key {
        writeln!(out, "  export BADBATCH_TOKEN={key}")?;
    }
    // The client speaks plain HTTP only.
    if scheme == "http" {
        for command in [
            "event publish main '{\"message\": \"Hello, World!\"}'",
            "event tail main --from 0",
            "monitor watch",
        ] {
            writeln!(out, "  badbatch {command}{endpoint}")?;
        }
        writeln!(out, "or")?;
    }
    writeln!(out, "  curl{header} {json} {events}")?;
    writeln!(out, "  curl{header} -N '{events}/stream?from_sequence=0'")?;
    writeln!(out, "Ctrl-C drains and ends.")?;
    out.flush()
}
