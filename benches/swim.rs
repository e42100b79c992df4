//! Membership in simulated networks: how soon death is noticed, how often wrongly, and what that costs.
//!
//! ```sh
//! cargo bench --features cluster --bench swim                  # up to 1000 nodes
//! cargo bench --features cluster --bench swim -- 10 5000       # these sizes
//! ```
//!
//! Times are virtual, so the figures repeat exactly; only the last column depends on the machine.

#[path = "../tests/swim/net.rs"]
mod net;

use std::time::{Duration, Instant};

use badbatch::cluster::swim::Input;
use net::Net;

struct Scenario {
    name: &'static str,
    loss: f64,
    /// The share of nodes that do everything 300 ms later.
    slow: f64,
}

const SCENARIOS: [Scenario; 5] = [
    Scenario { name: "clean", loss: 0.0, slow: 0.0 },
    Scenario { name: "loss 10 %", loss: 0.1, slow: 0.0 },
    Scenario { name: "loss 20 %", loss: 0.2, slow: 0.0 },
    Scenario { name: "loss 30 %", loss: 0.3, slow: 0.0 },
    Scenario { name: "slow 10 %", loss: 0.0, slow: 0.1 },
];

fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![10, 100, 1000] } else { sizes };
    println!(
        "| nodes | network | noticed p50 | noticed p99 | everywhere p50 | everywhere max | false deaths per node-hour | bytes/s per node | virtual / real time |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for count in &sizes {
        for scenario in &SCENARIOS {
            run(*count, scenario);
        }
    }
    println!();
    println!(
        "| nodes | all join by one | a third stands still for 3 s: false deaths | halves of 60 s come together | all but one restart without memory |"
    );
    println!("|---|---|---|---|---|");
    // A thousand that come at once tell as much as five thousand would in an hour.
    for count in sizes.into_iter().filter(|count| *count <= 1000) {
        println!(
            "| {count} | {:.1} s | {} | {:.1} s | {:.1} s |",
            join(count).as_secs_f64(),
            stand_still(count),
            heal(count).as_secs_f64(),
            restart(count).as_secs_f64()
        );
    }
}

const LONG: Duration = Duration::from_secs(600);

/// How long until all know all.
fn join(count: usize) -> Duration {
    let mut net = Net::new(count, 43);
    (1..count).for_each(|node| net.input(node, Input::Join(net::address(0))));
    net.until(LONG, Net::agrees)
}

/// How many of those who stand still for a while, and of the others, are called dead.
fn stand_still(count: usize) -> usize {
    let mut net = Net::new(count, 44);
    net.introduce();
    (0..count / 3).for_each(|node| net.pause(node));
    net.run(Duration::from_secs(3));
    (0..count / 3).for_each(|node| net.resume(node));
    net.run(Duration::from_secs(120));
    net.false_deaths()
}

/// How long until two halves that were apart for a minute know each other again.
fn heal(count: usize) -> Duration {
    let mut net = Net::new(count, 45);
    net.introduce();
    net.nodes[count / 2..].iter_mut().for_each(|node| node.side = 1);
    net.run(Duration::from_secs(60));
    net.nodes.iter_mut().for_each(|node| node.side = 0);
    net.until(LONG, Net::agrees)
}

/// How long until all know all, after all but one have forgotten everything.
fn restart(count: usize) -> Duration {
    let mut net = Net::new(count, 46);
    net.introduce();
    (1..count).for_each(|node| net.kill(node));
    net.run(Duration::from_secs(1));
    (1..count).for_each(|node| net.restart(node));
    (1..count).for_each(|node| net.input(node, Input::Join(net::address(0))));
    net.until(LONG, Net::agrees)
}

fn run(count: usize, scenario: &Scenario) {
    let mut net = Net::new(count, 42);
    net.introduce();
    net.links.loss = scenario.loss;
    let slow = (count as f64 * scenario.slow) as usize;
    net.nodes[count - slow..].iter_mut().for_each(|node| node.lag = Duration::from_millis(300));
    // Long enough for some thousand node-minutes, and for what loss does.
    let quiet = Duration::from_secs(if count >= 1000 { 120 } else { 1800 });
    let (began, from) = (Instant::now(), net.now);
    net.run(quiet);
    let (false_deaths, bytes) = (net.false_deaths(), net.bytes);
    let kills = if count >= 1000 { 4 } else { 8.min(count / 2) };
    let (mut noticed, mut everywhere) = (Vec::new(), Vec::new());
    for victim in 1..=kills {
        net.forget();
        let killed = net.now;
        net.kill(victim);
        net.run(Duration::from_secs(60));
        let mut times: Vec<Duration> = net.deaths(victim).iter().map(|(at, _)| *at - killed).collect();
        times.sort_unstable();
        assert_eq!(times.len(), count - victim, "everybody notices");
        everywhere.extend(times.last());
        noticed.extend(times);
    }
    let speed = (net.now - from).as_secs_f64() / began.elapsed().as_secs_f64();
    noticed.sort_unstable();
    everywhere.sort_unstable();
    let seconds = |times: &[Duration], share: f64| {
        let place = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len()) - 1;
        format!("{:.1} s", times[place].as_secs_f64())
    };
    let hours = count as f64 * quiet.as_secs_f64() / 3600.0;
    println!(
        "| {count} | {} | {} | {} | {} | {} | {:.4} | {:.0} | {speed:.0} |",
        scenario.name,
        seconds(&noticed, 0.5),
        seconds(&noticed, 0.99),
        seconds(&everywhere, 0.5),
        seconds(&everywhere, 1.0),
        false_deaths as f64 / hours,
        bytes as f64 / (count as f64 * quiet.as_secs_f64()),
    );
}
