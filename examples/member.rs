//! A member of a cluster as a process: it joins, and prints what becomes of the others, one event a line.
//!
//! ```sh
//! cargo run --features cluster --example member -- --name a --bind 127.0.0.1:7001
//! cargo run --features cluster --example member -- --name b --seed 127.0.0.1:7001
//! ```
//!
//! `--cluster NAME`, `--key` with 64 hex digits, and several `--seed` are possible. A line `members` on its input prints
//! whom it knows; `leave` has it say goodbye and end.

use std::io::BufRead;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread::Builder;
use std::time::{Duration, SystemTime};

use badbatch::cluster::swim::{Event, NodeId};
use badbatch::cluster::{Cluster, ClusterConfig, Keyring};

pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    // A test that runs this has arguments of its own in front.
    let own = arguments.iter().rposition(|argument| argument == "--").unwrap_or(0) + 1;
    match config(&arguments[own..]).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn config(arguments: &[String]) -> Result<ClusterConfig, String> {
    let unnamed =
        NodeId::new(&format!("member-{}", std::process::id())).expect("a number is allowed in a name");
    let mut config = ClusterConfig::new(unnamed);
    let mut arguments = arguments.iter();
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{option} wants a value"))?;
        let wrong = |wanted: &str| format!("{option} {value}: {wanted}");
        let address =
            || value.parse::<SocketAddr>().map_err(|_| wrong("give an address and a port, as 10.0.0.1:7946"));
        match option.as_str() {
            "--name" => {
                config.swim.id =
                    NodeId::new(value).ok_or_else(|| wrong("give 1 to 64 of A-Z a-z 0-9 . _ -"))?;
            }
            "--cluster" => config.name.clone_from(value),
            "--bind" => config.bind = address()?,
            "--seed" => config.seeds.push(address()?),
            "--key" => {
                config.keyring = Keyring::new([key(value).ok_or_else(|| wrong("give 64 hex digits"))?])
            }
            _ => return Err(format!("{option}: there are --name, --cluster, --bind, --seed and --key")),
        }
    }
    Ok(config)
}

fn key(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let bytes: Option<Vec<u8>> =
        text.as_bytes().chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect();
    bytes?.try_into().ok()
}

fn run(config: ClusterConfig) -> Result<(), String> {
    log::set_logger(&Warnings).expect("it is the first one");
    log::set_max_level(log::LevelFilter::Warn);
    let cluster = Cluster::start(config).map_err(|error| error.to_string())?;
    let watch = cluster.watch();
    say(&format!("listening {} {}", cluster.id(), cluster.advertised()));
    let printer = Builder::new().name("printer".to_owned()).spawn(move || {
        watch.into_iter().for_each(|event| say(&line(&event)));
    });
    let printer = printer.map_err(|error| error.to_string())?;
    for command in std::io::stdin().lock().lines().map_while(Result::ok) {
        match command.as_str() {
            "members" => {
                for member in cluster.members() {
                    say(&format!("member {} {} {}", member.id, member.state.name(), member.incarnation));
                }
                say("that is all");
            }
            "leave" => {
                let is_told = cluster.leave(Duration::from_secs(10));
                say(if is_told { "told" } else { "not all could be told" });
                drop(cluster);
                printer.join().expect("it does not panic");
                return Ok(());
            }
            other => say(&format!("`{other}` is no command: there are members and leave")),
        }
    }
    // Nobody types any more; it goes on until it is killed.
    printer.join().expect("it does not panic");
    Ok(())
}

fn line(event: &Event) -> String {
    let (what, member) = match event {
        Event::Joined(member) => ("joined", member),
        Event::Updated(member) => ("updated", member),
        Event::Suspected(member) => ("suspected", member),
        Event::Refuted(member) => ("refuted", member),
        Event::Died(member) => ("died", member),
        Event::Left(member) => ("left", member),
        other => return other.to_string(),
    };
    format!("{what} {} {}", member.id, member.incarnation)
}

/// Prints a line after the time, in seconds since 1970, by which lines of several processes can be put in order.
fn say(text: &str) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    println!("{:.3} {text}", now.as_secs_f64());
}

/// Prints what goes wrong.
struct Warnings;

impl log::Log for Warnings {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        say(&format!("warning {}", record.args()));
    }

    fn flush(&self) {}
}
