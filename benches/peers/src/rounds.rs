//! Rounds: who runs when, and in which process.

use std::collections::HashSet;
use std::env;
use std::process::Command;
use std::time::Duration;

use crate::args::{Args, CHILD};
use crate::dialogue::Dialogue;
use crate::protocol::{Answer, Request};
use crate::samples::{Figure, Sample, Samples};
use crate::scenario::Scenario;

const PROCESSES: usize = 3;
/// A lap that takes longer is stopped, with its process.
pub const LAP_MAX: Duration = Duration::from_secs(20);
/// A child that measures yet another process may itself find out that this one is late, and say so.
const ANSWER_MAX: Duration = Duration::from_secs(LAP_MAX.as_secs() + 5);

/// Takes the samples of all scenarios with all peers, in turns, and then counts our batches. Fails if
/// events get lost.
pub fn run(args: &Args, scenarios: &[Scenario], peers: &[&str]) -> Result<Samples, String> {
    let mut run = Run { args, scenarios, peers, samples: Samples::new(), done: HashSet::new() };
    for process in 0..PROCESSES {
        run.process(process)?;
    }
    run.count_batches()?;
    Ok(run.samples)
}

struct Run<'r> {
    args: &'r Args,
    scenarios: &'r [Scenario],
    peers: &'r [&'r str],
    samples: Samples,
    /// Cells that need no further lap: there is no such form, or it took too long.
    done: HashSet<(&'r str, &'r str)>,
}

impl<'r> Run<'r> {
    /// Starts a child and takes a process's share of rounds.
    fn process(&mut self, process: usize) -> Result<(), String> {
        let mut child = Child::start(self.args, process)?;
        let rounds = self.args.rounds();
        for round in 0..rounds {
            eprintln!("process {}, round {} of {rounds}", process + 1, round + 1);
            for scenario in self.scenarios {
                for turn in 0..self.peers.len() {
                    let peer = self.peers[(process * rounds + round + turn) % self.peers.len()];
                    if scenario.includes(peer) && !self.done.contains(&(&scenario.name, peer)) {
                        self.lap(&scenario.name, peer, &mut child)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn lap(&mut self, scenario: &'r str, peer: &'r str, child: &mut Child) -> Result<(), String> {
        match child.ask(&Request::Measure { scenario, peer })? {
            Some(Answer::Sample(sample)) => {
                if sample.figure == Figure::Late {
                    self.done.insert((scenario, peer));
                }
                self.samples.push(sample);
            }
            Some(Answer::Error(error)) => return Err(error),
            Some(Answer::Unsupported | Answer::Batches(_)) => drop(self.done.insert((scenario, peer))),
            None => {
                self.done.insert((scenario, peer));
                self.samples.push(Sample {
                    scenario: scenario.to_owned(),
                    peer: peer.to_owned(),
                    process: child.number,
                    figure: Figure::Late,
                    round_trip: f64::INFINITY,
                    foreign: 0.0,
                });
                *child = Child::start(self.args, child.number)?;
            }
        }
        Ok(())
    }

    /// One lap per scenario.
    fn count_batches(&mut self) -> Result<(), String> {
        let mut child = Child::start(self.args, 0)?;
        for scenario in self.scenarios {
            if self.done.contains(&(&scenario.name, self.peers[0])) {
                continue;
            }
            let request = Request::Batches { scenario: &scenario.name, peer: self.peers[0] };
            if let Some(Answer::Batches(counts)) = child.ask(&request)? {
                self.samples.batches.push((scenario.name.clone(), counts));
            }
        }
        Ok(())
    }
}

/// This program once more, as the process that measures.
struct Child {
    number: usize,
    dialogue: Dialogue,
}

impl Child {
    fn start(args: &Args, number: usize) -> Result<Self, String> {
        let program = env::current_exe().map_err(|error| format!("this program is not known: {error}"))?;
        let mut command = Command::new(program);
        command.args([CHILD, &number.to_string()]).args(args.is_quick.then_some("--quick"));
        Ok(Self { number, dialogue: Dialogue::start(&mut command)? })
    }

    /// `None` if there is no answer in time.
    fn ask(&mut self, request: &Request) -> Result<Option<Answer>, String> {
        let answer = self.dialogue.ask(&request.to_line(), ANSWER_MAX)?;
        let parse = |line: String| Answer::parse(&line).ok_or_else(|| format!("{line} is no answer"));
        answer.map(parse).transpose()
    }
}
