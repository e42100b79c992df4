//! Measures badbatch beside its peers, interleaved in one process, in nanoseconds per event.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml` runs everything and prints a
//! Markdown table; with `-- --quick` there are fewer rounds, which show a trend and prove nothing.
//!
//! Every round runs every scenario with every peer, starting with another peer each time. All peers
//! do the same: the producers publish the values 1, 2, 3 and so on, the consumer adds them up, and a
//! sum that is not the expected one ends the program. The time runs from the first publication to
//! the consumer's last event. Figures compare peers of one run; they do not carry over to another
//! machine or day.
//!
//! To add a peer, write a file in `peers/`; to add a scenario, a line in `scenario.rs`.

mod machine;
mod peer;
mod peers;
mod probe;
mod rounds;
mod scenario;
mod stats;

use std::error::Error;

use machine::Cpus;
use peer::Peer;
use rounds::Rounds;
use scenario::SCENARIOS;
use stats::{Spread, ratio};

const ROUNDS: usize = 25;
const QUICK_ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let rounds = match std::env::args().nth(1).as_deref() {
        None => ROUNDS,
        Some("--quick") => QUICK_ROUNDS,
        Some(other) => return Err(format!("{other} is no argument; there is only --quick").into()),
    };
    let cpus = Cpus::choose().ok_or("two CPUs are needed, and this process may use only one")?;
    let peers = peers::all();
    print!("{}", machine::facts(cpus));
    let measured = Rounds::run(rounds, &peers, cpus)?;
    println!("- {}\n", measured.conditions());
    print_table(&measured, &peers);
    println!("\nAbove 1, ours took less time per event. An interval that contains 1 decides nothing.\n");
    SCENARIOS.iter().for_each(|scenario| println!("- {scenario}"));
    Ok(())
}

/// Prints one line per scenario and peer; our own line is the first of each scenario.
fn print_table(measured: &Rounds, peers: &[Box<dyn Peer>]) {
    println!("| scenario | peer | clean rounds | median ns | min | max | median / ours (95 % interval) |");
    println!("|---|---|---|---|---|---|---|");
    for (index, scenario) in SCENARIOS.iter().enumerate() {
        let ours = measured.clean(index, 0);
        for (number, peer) in peers.iter().enumerate() {
            let (clean, taken) = (measured.clean(index, number), measured.taken(index, number));
            if taken == 0 {
                continue;
            }
            let figures = Spread::of(&clean)
                .map(|Spread { median, min, max }| format!("{median:.2} | {min:.2} | {max:.2}"));
            let versus = ratio(&clean, &ours).filter(|_| number > 0);
            let versus = versus.map(|(ratio, low, high)| format!("{ratio:.2} ({low:.2} to {high:.2})"));
            let (figures, versus) = (figures.unwrap_or("- | - | -".into()), versus.unwrap_or("-".into()));
            println!(
                "| {} | {} | {} of {taken} | {figures} | {versus} |",
                scenario.name,
                peer.name(),
                clean.len()
            );
        }
    }
}
