//! The scenarios, one line each.

use crate::flow::{Flow, Shape};
use crate::scenario::{Scenario, Wait, Work};

use Shape::{Diamond, Multicast, Pipeline, Unicast};
use Wait::{Blocking, Busy, Yielding};

const M: u64 = 1_000_000;

/// One producer, one consumer, one event of 8 bytes at a time.
const ONE: Flow = Flow {
    shape: Unicast,
    producers: 1,
    is_shared: false,
    batch: 1,
    is_sliced: false,
    events: 10 * M,
    capacity: 65_536,
    words: 1,
};
/// The same through a ring that takes several producers.
const MANY: Flow = Flow { is_shared: true, ..ONE };
/// The same in the smaller ring of the graphs.
const GRAPH: Flow = Flow { capacity: 8192, ..ONE };

/// What runs by default.
pub fn main_set() -> Vec<Scenario> {
    vec![
        flow("u1-busy", Busy, Flow { events: 20 * M, ..ONE }),
        flow("u1-yielding", Yielding, Flow { events: 20 * M, ..ONE }),
        flow("u1-blocking", Blocking, Flow { events: 3 * M, ..ONE }),
        flow("u10", Busy, Flow { batch: 10, events: 100 * M, ..ONE }),
        flow("u100", Busy, Flow { batch: 100, events: 100 * M, ..ONE }),
        flow("u100s", Busy, Flow { batch: 100, events: 100 * M, is_sliced: true, ..ONE }),
        flow("mp1", Busy, MANY),
        flow("mp1b10", Busy, Flow { batch: 10, ..MANY }),
        flow("m2-busy", Busy, Flow { producers: 2, ..MANY }),
        flow("m2-yielding", Yielding, Flow { producers: 2, ..MANY }),
        flow("m3", Yielding, Flow { producers: 3, events: 9 * M, ..MANY }),
        flow("m3b10", Yielding, Flow { producers: 3, batch: 10, events: 30 * M, ..MANY }),
        flow("mc3", Yielding, Flow { shape: Multicast(3), ..GRAPH }),
        flow("pipe3", Yielding, Flow { shape: Pipeline(3), ..GRAPH }),
        flow("dia", Yielding, Flow { shape: Diamond, ..GRAPH }),
        ping_pong("pingpong-busy", Busy, 300_000),
        ping_pong("pingpong-yielding", Yielding, 300_000),
        ping_pong("pingpong-blocking", Blocking, 30_000),
        paced("paced100k-busy", Busy, M / 10),
        paced("paced1m-busy", Busy, M),
        paced("paced5m-busy", Busy, 5 * M),
        paced("paced100k-yielding", Yielding, M / 10),
        paced("paced1m-yielding", Yielding, M),
        paced("paced5m-yielding", Yielding, 5 * M),
        paced("paced100k-blocking", Blocking, M / 10),
    ]
}

/// What `--sizes` runs: one size at a time is another than the base's, and some are crossed.
pub fn sizes() -> Vec<Scenario> {
    let base = Flow { capacity: 1024, events: 4 * M, ..ONE };
    let bytes = |words: usize, events| Flow { words, events, ..base.clone() };
    let ring = |capacity| Flow { capacity, ..base.clone() };
    let from = |producers| Flow { producers, is_shared: producers > 1, ..base.clone() };
    let to = |consumers| Flow { shape: Multicast(consumers), events: M, ..base.clone() };
    let flows = [
        ("base", base.clone()),
        ("bytes64", bytes(8, 4 * M)),
        ("bytes256", bytes(32, 2 * M)),
        ("bytes1024", bytes(128, 800_000)),
        ("ring64", ring(64)),
        ("ring65536", ring(65_536)),
        ("producers2", from(2)),
        ("producers4", from(4)),
        ("producers8", from(8)),
        ("consumers2", to(2)),
        ("consumers4", to(4)),
        ("consumers8", to(8)),
        ("producers8ring64", Flow { capacity: 64, events: 400_000, ..from(8) }),
        ("consumers8ring64", Flow { capacity: 64, events: 400_000, ..to(8) }),
        ("producers4consumers4", Flow { shape: Multicast(4), events: 400_000, ..from(4) }),
        ("producers8bytes1024", Flow { words: 128, events: 400_000, ..from(8) }),
    ];
    let with = |(name, work): &(&str, Flow), wait: Wait| Scenario {
        is_size: true,
        ..flow(&format!("{name}-{wait}"), wait, work.clone())
    };
    flows.iter().flat_map(|row| [with(row, Yielding), with(row, Blocking)]).collect()
}

fn flow(name: &str, wait: Wait, flow: Flow) -> Scenario {
    Scenario { name: name.to_owned(), wait, work: Work::Flow(flow), is_size: false }
}

fn ping_pong(name: &str, wait: Wait, trips: u64) -> Scenario {
    Scenario { name: name.to_owned(), wait, work: Work::PingPong { trips, capacity: 65_536 }, is_size: false }
}

/// Three tenths of a second.
fn paced(name: &str, wait: Wait, rate: u64) -> Scenario {
    let work = Work::Paced { rate, events: rate * 3 / 10, capacity: 65_536 };
    Scenario { name: name.to_owned(), wait, work, is_size: false }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{main_set, sizes};
    use crate::scenario::Work;

    #[test]
    fn no_two_scenarios_have_one_name() {
        let scenarios = [main_set(), sizes()].concat();
        let names: BTreeSet<_> = scenarios.iter().map(|scenario| &scenario.name).collect();
        assert_eq!(names.len(), scenarios.len());
    }

    #[test]
    fn the_events_divide_into_shares_and_batches() {
        for scenario in [main_set(), sizes()].concat() {
            for scenario in [scenario.clone(), scenario.shortened(10)] {
                if let Work::Flow(flow) = &scenario.work {
                    assert_eq!(flow.events % (flow.producers * flow.batch), 0, "{scenario}");
                    assert!(flow.events > 0, "{scenario}");
                }
            }
        }
    }
}
