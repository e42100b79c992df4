//! A measuring process: it does what it is asked on its standard input, until that ends.

use std::io::{self, BufRead, Write};

use crate::machine::{CpuTime, Cpus};
use crate::peer::Peer;
use crate::probe::round_trip;
use crate::protocol::{Answer, Request};
use crate::samples::Sample;
use crate::scenario::Scenario;

pub struct Child<'c> {
    /// Which of the run's processes this is.
    pub process: usize,
    pub scenarios: &'c [Scenario],
    pub peers: &'c [Box<dyn Peer>],
    pub cpus: Cpus,
}

impl Child<'_> {
    pub fn serve(&self) -> io::Result<()> {
        for line in io::stdin().lock().lines() {
            let answer = self.answer(&line?);
            let mut out = io::stdout().lock();
            writeln!(out, "{}", answer.to_line())?;
            out.flush()?;
        }
        Ok(())
    }

    fn answer(&self, line: &str) -> Answer {
        let request = Request::parse(line);
        let Some(Request::Measure { scenario, peer } | Request::Batches { scenario, peer }) = request else {
            return Answer::Error(format!("{line} is no request"));
        };
        let scenario = self.scenarios.iter().find(|known| known.name == scenario);
        let peer = self.peers.iter().find(|known| known.name() == peer);
        match (request, scenario, peer) {
            (Some(Request::Measure { .. }), Some(scenario), Some(peer)) => self.measure(scenario, &**peer),
            (_, Some(scenario), Some(peer)) => {
                peer.batches(scenario, self.cpus).map_or(Answer::Unsupported, Answer::Batches)
            }
            _ => Answer::Error(format!("{line} asks for what is not known")),
        }
    }

    fn measure(&self, scenario: &Scenario, peer: &dyn Peer) -> Answer {
        let before = round_trip(self.cpus);
        let begin = CpuTime::now();
        let figure = peer.measure(scenario, self.cpus);
        let foreign = CpuTime::now().foreign_since(begin);
        match figure {
            Ok(Some(figure)) => Answer::Sample(Sample {
                scenario: scenario.name.clone(),
                peer: peer.name().to_owned(),
                process: self.process,
                figure,
                round_trip: before.max(round_trip(self.cpus)),
                foreign,
            }),
            Ok(None) => Answer::Unsupported,
            Err(error) => Answer::Error(format!("{} with {}: {error}", scenario.name, peer.name())),
        }
    }
}
