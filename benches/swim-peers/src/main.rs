//! Membership beside its peers in the same simulated networks.
//!
//! ```sh
//! cargo run --release --manifest-path benches/swim-peers/Cargo.toml               # 10, 100 and 1000 nodes
//! cargo run --release --manifest-path benches/swim-peers/Cargo.toml -- 10 100     # these sizes
//! cargo run --release --manifest-path benches/swim-peers/Cargo.toml -- 1000 slow  # networks of this name only
//! ```
//!
//! All have memberlist's settings: a probe each second with a time-out of half a second, three indirect ones, a suspicion
//! of four seconds times the logarithm of the number of nodes, and gossip to three others five times a second. Times are
//! virtual, so the figures repeat exactly.

mod foca_node;
#[path = "../../swim/measure.rs"]
mod measure;

use std::time::Duration;

use badbatch::cluster::swim::Swim;
use foca_node::FocaNode;
use measure::net::{Machine, Net};
use measure::{Weather, heal, hear, join, long, restart, stand_still, wanted};

const SEED: u64 = 42;

/// A protocol: its name, and how a network of so many nodes is made of it.
struct Peer<M> {
    name: &'static str,
    net: fn(usize) -> Net<M>,
}

const BADBATCH: Peer<Swim> = Peer { name: "badbatch", net: |count| Net::new(count, SEED) };

const FOCA: Peer<FocaNode> = Peer {
    name: "foca",
    net: |count| Net::of(count, SEED, Box::new(move |node, seed, now| FocaNode::new(count, node, seed, now))),
};

fn main() {
    let (sizes, weathers, are_all) = wanted();
    println!(
        "| nodes | network | | killed: noticed p50 | p99 | everywhere max | unplugged: noticed p50 | p99 | everywhere max | false deaths per node-hour | bytes/s per node | datagrams/s per node | virtual / processor time |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    for count in &sizes {
        for weather in &weathers {
            long_row(*count, weather, &BADBATCH);
            long_row(*count, weather, &FOCA);
        }
    }
    if !are_all {
        return;
    }
    println!();
    println!(
        "| nodes | | all have heard of a leave | 50 join | all join by one | a third stands still for 3 s: false deaths | for 4 s of 5, 20 times: of those, of others | halves of 60 s come together | all but one restart without memory |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for count in sizes {
        short_row(count, &BADBATCH);
        short_row(count, &FOCA);
    }
}

fn long_row<M: Machine>(count: usize, weather: &Weather, peer: &Peer<M>) {
    let long = long((peer.net)(count), weather);
    println!(
        "| {count} | {} | {} | {} | {} | {:.4} | {:.0} | {:.1} | {:.0} |",
        weather.name,
        peer.name,
        long.processes.cells(),
        long.machines.cells(),
        long.false_deaths_per_node_hour,
        long.bytes_per_node_second,
        long.datagrams_per_node_second,
        long.speed,
    );
}

fn short_row<M: Machine>(count: usize, peer: &Peer<M>) {
    let secs = Duration::from_secs;
    let told = |time: Option<Duration>| {
        time.map_or("not in 600 s".to_owned(), |time| format!("{:.1} s", time.as_secs_f64()))
    };
    let net = peer.net;
    let once = stand_still(net(count), 1, secs(3), secs(0));
    let often = stand_still(net(count), 20, secs(4), secs(1));
    println!(
        "| {count} | {} | {} | {} | {} | {} | {}, {} | {} | {} |",
        peer.name,
        told(Some(hear(net(count)))),
        told(join(net(count + 50), count)),
        told(join(net(count), 0)),
        once.0 + once.1,
        often.0,
        often.1,
        told(heal(net(count))),
        told(restart(net(count))),
    );
}
