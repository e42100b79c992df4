//! Membership in simulated networks: how soon death is noticed, how often wrongly, and what that costs.
//!
//! ```sh
//! cargo bench --features cluster --bench swim                  # up to 1000 nodes
//! cargo bench --features cluster --bench swim -- 10 5000       # these sizes
//! cargo bench --features cluster --bench swim -- 5000 slow     # networks of this name only, and no other tables
//! ```
//!
//! Times are virtual, so the figures repeat exactly; only the last column depends on the machine.

#[path = "swim/measure.rs"]
mod measure;

use std::time::Duration;

use measure::net::Net;
use measure::{Detection, Weather, heal, hear, join, long, restart, stand_still, wanted};

const SEED: u64 = 42;

fn main() {
    let (sizes, weathers, are_all) = wanted();
    println!(
        "| nodes | network | killed: suspected mean | noticed p50 | p99 | everywhere max | unplugged: suspected mean | noticed p50 | p99 | everywhere max | false deaths per node-hour | bytes/s per node | datagrams/s per node | virtual / processor time |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for count in &sizes {
        for weather in &weathers {
            long_row(*count, weather);
        }
    }
    if !are_all {
        return;
    }
    println!();
    println!("| nodes | all have heard of a leave | epidemic of fanout 3 | 50 join | all join by one |");
    println!("|---|---|---|---|---|");
    for count in &sizes {
        news_row(*count);
    }
    println!();
    println!(
        "| nodes | a third stands still for 3 s: false deaths | for 4 s of 5, 20 times: of those, of others | halves of 60 s come together | all but one restart without memory |"
    );
    println!("|---|---|---|---|---|");
    // A thousand that come at once tell as much as five thousand would in an hour.
    for count in sizes.into_iter().filter(|count| *count <= 1000) {
        trouble_row(count);
    }
}

fn long_row(count: usize, weather: &Weather) {
    let long = long(Net::new(count, SEED), weather);
    println!(
        "| {count} | {} | {} | {} | {:.4} | {:.0} | {:.1} | {:.0} |",
        weather.name,
        cells(&long.processes),
        cells(&long.machines),
        long.false_deaths_per_node_hour,
        long.bytes_per_node_second,
        long.datagrams_per_node_second,
        long.speed,
    );
}

fn cells(detection: &Detection) -> String {
    let Detection { suspected, .. } = detection;
    let mean = suspected.iter().sum::<Duration>().as_secs_f64() / suspected.len() as f64;
    format!("{mean:.1} s | {}", detection.cells())
}

fn news_row(count: usize) {
    // Rounds until the last of all has heard, where each goes to three others: B. Pittel, "On spreading a rumor", 1987.
    let epidemic = (count as f64).ln() * (1.0 / 4_f64.ln() + 1.0 / 3.0);
    let told =
        |time: Duration| format!("{:.1} s, {:.1} rounds", time.as_secs_f64(), time.as_secs_f64() / 0.2);
    let agreed = |time: Option<Duration>| told(time.expect("they agree in the end"));
    let joined = if count <= 1000 {
        let some = join(Net::new(count + 50, SEED), count);
        format!("{} | {}", agreed(some), agreed(join(Net::new(count, SEED), 0)))
    } else {
        "- | -".to_owned()
    };
    println!("| {count} | {} | {epidemic:.1} rounds | {joined} |", told(hear(Net::new(count, SEED))));
}

fn trouble_row(count: usize) {
    let secs = Duration::from_secs;
    let seconds = |time: Option<Duration>| time.expect("they agree in the end").as_secs_f64();
    let once = stand_still(Net::new(count, SEED), 1, secs(3), secs(0));
    let often = stand_still(Net::new(count, SEED), 20, secs(4), secs(1));
    println!(
        "| {count} | {} | {}, {} | {:.1} s | {:.1} s |",
        once.0 + once.1,
        often.0,
        often.1,
        seconds(heal(Net::new(count, SEED))),
        seconds(restart(Net::new(count, SEED)))
    );
}
