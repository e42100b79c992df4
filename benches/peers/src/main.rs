//! Measures badbatch beside its peers: nanoseconds per event, and latencies.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml` runs everything and prints Markdown;
//! `-- --help` lists the arguments.
//!
//! The figures of one process differ from those of the next, by where its memory lies for instance. So
//! the parent starts several children, and each of them takes every scenario with every peer in turns,
//! starting with another peer each round. All peers do the same: producers publish the values 1, 2, 3 and
//! so on, each consumer adds them up, and a sum that is not the expected one ends the program. The time
//! runs from the first publication to the last consumer's last event. Figures compare peers of one run;
//! they do not carry over to another machine or day.
//!
//! To add a peer, write a file in `peers/` and a line in its `mod.rs`; to add a scenario, a line in
//! `catalogue.rs`.

mod args;
mod catalogue;
mod child;
mod event;
mod flow;
mod lap;
mod latency;
mod machine;
mod pause;
mod peer;
mod peers;
mod probe;
mod protocol;
mod rounds;
mod samples;
mod scenario;
mod stats;
mod tables;

use std::env;
use std::error::Error;

use args::{Args, HELP};
use machine::Cpus;
use peer::Peer;
use samples::{Kind, Samples};
use scenario::Scenario;

/// The divisor of the events with `--quick`.
const QUICK_DIVISOR: u64 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse(env::args().skip(1))?;
    if args.wants_help {
        print!("{HELP}");
        return Ok(());
    }
    let cpus = Cpus::choose().ok_or("two CPUs are needed, and this process may use only one")?;
    let divisor = if args.is_quick { QUICK_DIVISOR } else { 1 };
    let scenarios = catalogue::main_set().into_iter().map(|scenario| scenario.shortened(divisor));
    let scenarios: Vec<Scenario> = scenarios.collect();
    let peers = peers::all();
    if args.is_child {
        return Ok(child::serve(&scenarios, &peers, cpus)?);
    }
    let scenarios = select_scenarios(scenarios, &args.only)?;
    let peers = select_peers(&peers, &args.peers)?;
    print!("{}", machine::facts(cpus));
    let samples = rounds::run(&args, &scenarios, &peers)?;
    print_report(&samples, &scenarios, &peers);
    Ok(())
}

fn select_scenarios(scenarios: Vec<Scenario>, only: &[String]) -> Result<Vec<Scenario>, String> {
    if let Some(word) = only.iter().find(|word| !scenarios.iter().any(|scenario| scenario.answers_to(word))) {
        let names: Vec<_> = scenarios.iter().map(|scenario| scenario.name).collect();
        return Err(format!("{word} is no scenario; there are {}", names.join(", ")));
    }
    let is_meant = |scenario: &Scenario| only.is_empty() || only.iter().any(|word| scenario.answers_to(word));
    Ok(scenarios.into_iter().filter(is_meant).collect())
}

/// The first one, which is ours, and those that are named.
fn select_peers<'p>(peers: &'p [Box<dyn Peer>], named: &[String]) -> Result<Vec<&'p str>, String> {
    let names: Vec<_> = peers.iter().map(|peer| peer.name()).collect();
    if let Some(word) = named.iter().find(|word| !names.contains(&word.as_str())) {
        return Err(format!("{word} is no peer; there are {}", names.join(", ")));
    }
    let is_meant = |name: &str| name == names[0] || named.is_empty() || named.iter().any(|word| word == name);
    Ok(names.iter().copied().filter(|name| is_meant(name)).collect())
}

fn print_report(samples: &Samples, scenarios: &[Scenario], peers: &[&str]) {
    let (latency, flows): (Vec<_>, Vec<_>) = scenarios.iter().partition(|scenario| scenario.is_latency());
    if !flows.is_empty() {
        println!("\n{}", tables::nanos(samples, &flows, peers));
        println!("{}", tables::ratios(samples, Kind::Clean, &flows, peers));
    }
    if !latency.is_empty() {
        println!("\n{}", tables::latencies(samples, &latency, peers));
    }
    scenarios.iter().for_each(|scenario| println!("- {scenario}"));
}
