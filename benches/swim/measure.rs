//! What is measured in a simulated network, whatever its nodes are made of.

#[path = "../../tests/swim/net.rs"]
pub mod net;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use badbatch::cluster::swim::{Event, Input};
use net::{Machine, Net};

/// A network, and what is wrong with it.
pub struct Weather {
    pub name: &'static str,
    pub loss: f64,
    /// The share of nodes that do everything 300 ms later.
    pub slow: f64,
}

pub const WEATHERS: [Weather; 5] = [
    Weather { name: "clean", loss: 0.0, slow: 0.0 },
    Weather { name: "loss 10 %", loss: 0.1, slow: 0.0 },
    Weather { name: "loss 20 %", loss: 0.2, slow: 0.0 },
    Weather { name: "loss 30 %", loss: 0.3, slow: 0.0 },
    Weather { name: "slow 10 %", loss: 0.0, slow: 0.1 },
];

/// What the arguments ask for: sizes of networks, networks by how their names begin, and whether these are all.
pub fn wanted() -> (Vec<usize>, Vec<&'static Weather>, bool) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut sizes: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![10, 100, 1000];
    }
    let is_named = |weather: &&Weather| arguments.iter().any(|name| weather.name.starts_with(name));
    let named: Vec<&Weather> = WEATHERS.iter().filter(is_named).collect();
    match named.is_empty() {
        true => (sizes, WEATHERS.iter().collect(), true),
        false => (sizes, named, false),
    }
}

/// Times from a death to what nodes tell of it.
#[derive(Default)]
pub struct Detection {
    /// The first suspicion of each victim.
    pub suspected: Vec<Duration>,
    /// When each node calls each victim dead.
    pub noticed: Vec<Duration>,
    /// When the last node does.
    pub everywhere: Vec<Duration>,
    /// Nodes that have not noticed within a minute, over all victims.
    pub missed: usize,
}

impl Detection {
    /// As cells of a table: the middle and the slowest hundredth of all that have noticed, and the very last one.
    pub fn cells(&self) -> String {
        let [p50, p99, last] =
            [quantile(&self.noticed, 0.5), quantile(&self.noticed, 0.99), quantile(&self.everywhere, 1.0)];
        let last = match self.missed {
            0 => format!("{last:.1} s"),
            missed => format!("{missed} of {} not in 60 s", missed + self.noticed.len()),
        };
        format!("{p50:.1} s | {p99:.1} s | {last}")
    }
}

/// What a network costs while nothing happens, and how nodes find that one has died.
pub struct Long {
    pub false_deaths_per_node_hour: f64,
    pub bytes_per_node_second: f64,
    pub datagrams_per_node_second: f64,
    /// Processes that end on machines that go on.
    pub processes: Detection,
    pub machines: Detection,
    /// Virtual seconds for each that a processor has worked.
    pub speed: f64,
}

const LONG: Duration = Duration::from_secs(600);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How long it is quiet, and how many processes and machines end, for networks of so many nodes: fewer where that takes
/// too long.
fn extent(count: usize, weather: &Weather) -> (Duration, usize) {
    match count {
        0..50 => (secs(6 * 3600), 2000),
        50..500 => (secs(3600), 400),
        500..2000 if weather.loss == 0.0 => (secs(300), 100),
        500..2000 => (secs(300), 10),
        _ => (secs(120), 3),
    }
}

/// A long time in a network: quiet first, then one death after the other, each followed by a restart.
pub fn long<M: Machine>(mut net: Net<M>, weather: &Weather) -> Long {
    let count = net.nodes.len();
    net.introduce();
    net.links.loss = weather.loss;
    let slow = (count as f64 * weather.slow) as usize;
    net.nodes[count - slow..].iter_mut().for_each(|node| node.lag = Duration::from_millis(300));
    let (quiet, deaths) = extent(count, weather);
    let (from, began) = (net.now, processor_time());
    net.run(quiet);
    let (false_deaths, bytes, datagrams) = (net.false_deaths(), net.bytes, net.datagrams);
    let node_seconds = count as f64 * quiet.as_secs_f64();
    let [mut processes, mut machines] = [Detection::default(), Detection::default()];
    for death in 0..2 * deaths {
        // Not the first one, by which they come back, and none of those who are slow.
        let victim = 1 + death % (count / 2);
        match death % 2 {
            0 => detect(&mut net, victim, Net::kill, &mut processes),
            _ => detect(&mut net, victim, Net::unplug, &mut machines),
        }
    }
    for times in [&mut processes, &mut machines] {
        for times in [&mut times.suspected, &mut times.noticed, &mut times.everywhere] {
            times.sort_unstable();
        }
    }
    Long {
        false_deaths_per_node_hour: false_deaths as f64 / (node_seconds / 3600.0),
        bytes_per_node_second: bytes as f64 / node_seconds,
        datagrams_per_node_second: datagrams as f64 / node_seconds,
        processes,
        machines,
        speed: (net.now - from).as_secs_f64() / (processor_time() - began).as_secs_f64(),
    }
}

fn detect<M: Machine>(net: &mut Net<M>, victim: usize, end: fn(&mut Net<M>, usize), into: &mut Detection) {
    net.forget();
    let began = net.now;
    end(net, victim);
    net.run(secs(60));
    // What a node tells first counts.
    let noticed: BTreeMap<usize, Duration> =
        net.deaths(victim).iter().rev().map(|(at, node)| (*node, *at - began)).collect();
    into.missed += net.nodes.len() - 1 - noticed.len();
    let suspects = |event: &Event| matches!(event, Event::Suspected(member) if member.id == net::id(victim));
    let first = net.told.iter().find(|(_, _, event)| suspects(event));
    into.suspected.extend(first.map(|(at, _, _)| *at - began));
    into.everywhere.extend(noticed.values().max());
    into.noticed.extend(noticed.values());
    net.restart(victim);
    net.input(victim, Input::Join(net::address(0)));
    net.run(secs(30));
}

/// What this thread has had of a processor, so that other programs do not count.
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).expect("it is the first number");
    Duration::from_nanos(nanos)
}

/// The time that a share of all has not exceeded.
fn quantile(times: &[Duration], share: f64) -> f64 {
    let place = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len()) - 1;
    times[place].as_secs_f64()
}

/// How long until all know all, if all but `known` nodes join by the first one at once.
pub fn join<M: Machine>(mut net: Net<M>, known: usize) -> Option<Duration> {
    let count = net.nodes.len();
    net.introduce_first(known);
    (known.max(1)..count).for_each(|node| net.input(node, Input::Join(net::address(0))));
    net.within(LONG, Net::agrees)
}

/// How long until all have heard that one has left, from when the first one has.
pub fn hear<M: Machine>(mut net: Net<M>) -> Duration {
    net.introduce();
    net.input(1, Input::Leave);
    net.run(secs(20));
    let is_end = |event: &Event| match event {
        Event::Left(member) | Event::Died(member) => member.id == net::id(1),
        _ => false,
    };
    let times: Vec<Duration> =
        net.told.iter().filter(|(_, _, event)| is_end(event)).map(|(at, _, _)| *at).collect();
    match times[..] {
        [first, .., last] => last - first,
        _ => Duration::ZERO,
    }
}

/// How often nodes that stood still, and how often others, are called dead, if a third of all stands still for
/// `still`, again and again with `between`.
pub fn stand_still<M: Machine>(
    mut net: Net<M>,
    times: usize,
    still: Duration,
    between: Duration,
) -> (usize, usize) {
    let third = net.nodes.len() / 3;
    net.introduce();
    for _ in 0..times {
        (0..third).for_each(|node| net.pause(node));
        net.run(still);
        (0..third).for_each(|node| net.resume(node));
        net.run(between);
    }
    net.run(secs(120));
    let still: usize = (0..third).map(|node| net.deaths(node).len()).sum();
    (still, net.false_deaths() - still)
}

/// How long until two halves that were apart for a minute know each other again.
pub fn heal<M: Machine>(mut net: Net<M>) -> Option<Duration> {
    let count = net.nodes.len();
    net.introduce();
    net.nodes[count / 2..].iter_mut().for_each(|node| node.side = 1);
    net.run(secs(60));
    net.nodes.iter_mut().for_each(|node| node.side = 0);
    net.within(LONG, Net::agrees)
}

/// How long until all know all, after all but one have forgotten everything.
pub fn restart<M: Machine>(mut net: Net<M>) -> Option<Duration> {
    let count = net.nodes.len();
    net.introduce();
    (1..count).for_each(|node| net.kill(node));
    net.run(secs(1));
    (1..count).for_each(|node| net.restart(node));
    (1..count).for_each(|node| net.input(node, Input::Join(net::address(0))));
    net.within(LONG, Net::agrees)
}
