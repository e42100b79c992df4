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
mod batches;
mod catalogue;
mod charts;
mod child;
mod dialogue;
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
mod report;
mod rounds;
mod samples;
mod scenario;
mod stats;
mod tables;

use std::env;
use std::error::Error;
use std::io;
use std::path::PathBuf;

use args::{Args, HELP};
use child::Child;
use machine::Cpus;
use peer::Peer;
use report::Report;
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
    let scenarios = [catalogue::main_set(), catalogue::sizes()].concat().into_iter();
    let scenarios: Vec<Scenario> = scenarios.map(|scenario| scenario.shortened(divisor)).collect();
    let (peers, absent) = peers::all();
    if let Some(process) = args.child {
        return Ok(Child { process, scenarios: &scenarios, peers: &peers, cpus }.serve()?);
    }
    let scenarios = select_scenarios(scenarios, &args)?;
    let mut facts = machine::facts(cpus, &peers);
    facts.extend(absent.map(|reason| format!("- {reason}\n")));
    let peers = select_peers(&peers, &args.peers)?;
    let samples = rounds::run(&args, &scenarios, &peers)?;
    let report = Report { facts, samples: &samples, scenarios: &scenarios, peers: &peers };
    print!("{}", report.markdown());
    let out = args.out.unwrap_or(default_out()?);
    report.write(&out)?;
    eprintln!("the report is in {}", out.display());
    Ok(())
}

/// Beside the folder of this program, in its target folder.
fn default_out() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    Ok(program.ancestors().nth(2).unwrap_or(&program).join("peers-report"))
}

/// Those that are named, or else those of the sets that are asked for.
fn select_scenarios(scenarios: Vec<Scenario>, args: &Args) -> Result<Vec<Scenario>, String> {
    let is_unknown = |word: &&String| !scenarios.iter().any(|scenario| scenario.answers_to(word));
    if let Some(word) = args.only.iter().find(is_unknown) {
        let names: Vec<_> = scenarios.iter().map(|scenario| &scenario.name[..]).collect();
        return Err(format!("{word} is no scenario; there are {}", names.join(", ")));
    }
    let is_meant = |scenario: &Scenario| {
        let is_named = args.only.iter().any(|word| scenario.answers_to(word));
        let is_in_set = args.all || scenario.is_size == args.sizes;
        is_named || (args.only.is_empty() && is_in_set)
    };
    Ok(scenarios.into_iter().filter(is_meant).collect())
}

/// The first one, which is ours, and those that are named, in full or by what stands before a hyphen.
fn select_peers<'p>(peers: &'p [Box<dyn Peer>], named: &[String]) -> Result<Vec<&'p str>, String> {
    let names: Vec<_> = peers.iter().map(|peer| peer.name()).collect();
    let answers_to = |name: &str, word: &str| {
        name.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    if let Some(word) = named.iter().find(|word| !names.iter().any(|name| answers_to(name, word))) {
        return Err(format!("{word} is no peer; there are {}", names.join(", ")));
    }
    let is_meant =
        |name: &str| name == names[0] || named.is_empty() || named.iter().any(|word| answers_to(name, word));
    Ok(names.iter().copied().filter(|name| is_meant(name)).collect())
}
