//! What every peer implements.

use crate::lap::Lap;
use crate::latency::{Paced, PingPong};
use crate::machine::Cpus;
use crate::samples::Figure;
use crate::scenario::{Scenario, Work};

/// Something that can be measured.
pub trait Peer {
    fn name(&self) -> &'static str;

    /// Runs `scenario` once. `None`: there is no such form.
    fn measure(&self, scenario: &Scenario, cpus: Cpus) -> Result<Option<Figure>, String>;
}

/// A library for Rust. Each method moves events through new rings or channels, with the threads of its
/// scenario, all of which have ended on return; false if there is no such form.
pub trait Library {
    fn name(&self) -> &'static str;

    /// Every consumer gives its events to a [`Lap::sink`], and the producers run under [`Lap::drive`].
    fn flow(&self, lap: &Lap) -> bool;

    /// One thread echoes what the other sends under [`PingPong`].
    fn ping_pong(&self, lap: &PingPong) -> bool;

    /// One thread publishes under [`Paced::drive`], the other gives what comes to [`Paced::sink`].
    fn paced(&self, lap: &Paced) -> bool;
}

impl<L: Library> Peer for L {
    fn name(&self) -> &'static str {
        Library::name(self)
    }

    fn measure(&self, scenario: &Scenario, cpus: Cpus) -> Result<Option<Figure>, String> {
        let cpus = scenario.is_pinned().then_some(cpus);
        let wait = scenario.wait;
        let figure = match &scenario.work {
            Work::Flow(flow) => {
                let lap = Lap::new(flow, wait, cpus);
                self.flow(&lap).then(|| lap.nanos().map(Figure::Nanos))
            }
            &Work::PingPong { trips, capacity } => {
                let lap = PingPong::new(trips, capacity, wait, cpus);
                self.ping_pong(&lap).then(|| lap.latencies().map(Figure::Latency))
            }
            &Work::Paced { rate, events, capacity } => {
                let lap = Paced::new(rate, events, capacity, wait, cpus);
                self.paced(&lap).then(|| lap.latencies().map(Figure::Latency))
            }
        };
        figure.transpose()
    }
}
