//! A measuring process: it does what it is asked on its standard input, until that ends.

use std::io::{self, BufRead, Write};

use crate::machine::{CpuTime, Cpus};
use crate::peer::Peer;
use crate::probe::round_trip;
use crate::protocol::Answer;
use crate::samples::Sample;
use crate::scenario::Scenario;

pub fn serve(scenarios: &[Scenario], peers: &[Box<dyn Peer>], cpus: Cpus) -> io::Result<()> {
    for request in io::stdin().lock().lines() {
        let answer = answer(&request?, scenarios, peers, cpus);
        let mut out = io::stdout().lock();
        writeln!(out, "{}", answer.to_line())?;
        out.flush()?;
    }
    Ok(())
}

fn answer(request: &str, scenarios: &[Scenario], peers: &[Box<dyn Peer>], cpus: Cpus) -> Answer {
    let Some((scenario, peer)) = request.split_once('\t') else {
        return Answer::Error(format!("{request} is no request"));
    };
    let scenario = scenarios.iter().find(|known| known.name == scenario);
    let peer = peers.iter().find(|known| known.name() == peer);
    match (scenario, peer) {
        (Some(scenario), Some(peer)) => measure(scenario, &**peer, cpus),
        _ => Answer::Error(format!("{request} is not known")),
    }
}

fn measure(scenario: &Scenario, peer: &dyn Peer, cpus: Cpus) -> Answer {
    let before = round_trip(cpus);
    let begin = CpuTime::now();
    let figure = peer.measure(scenario, cpus);
    let foreign = CpuTime::now().foreign_since(begin);
    match figure {
        Ok(Some(figure)) => Answer::Sample(Sample {
            scenario: scenario.name.to_owned(),
            peer: peer.name().to_owned(),
            figure,
            round_trip: before.max(round_trip(cpus)),
            foreign,
        }),
        Ok(None) => Answer::Unsupported,
        Err(error) => Answer::Error(format!("{} with {}: {error}", scenario.name, peer.name())),
    }
}
