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

fn flow(name: &'static str, wait: Wait, flow: Flow) -> Scenario {
    Scenario { name, wait, work: Work::Flow(flow) }
}

fn ping_pong(name: &'static str, wait: Wait, trips: u64) -> Scenario {
    Scenario { name, wait, work: Work::PingPong { trips, capacity: 65_536 } }
}

/// Three tenths of a second.
fn paced(name: &'static str, wait: Wait, rate: u64) -> Scenario {
    Scenario { name, wait, work: Work::Paced { rate, events: rate * 3 / 10, capacity: 65_536 } }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::main_set;
    use crate::scenario::Work;

    #[test]
    fn no_two_scenarios_have_one_name() {
        let scenarios = main_set();
        let names: BTreeSet<_> = scenarios.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), scenarios.len());
    }

    #[test]
    fn the_events_divide_into_shares_and_batches() {
        for scenario in main_set() {
            for scenario in [scenario.clone(), scenario.shortened(10)] {
                if let Work::Flow(flow) = &scenario.work {
                    assert_eq!(flow.events % (flow.producers * flow.batch), 0, "{scenario}");
                    assert!(flow.events > 0, "{scenario}");
                }
            }
        }
    }
}
