//! Rounds: who runs when, and in which process.

use std::collections::HashSet;
use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{self, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::args::{Args, CHILD};
use crate::protocol::{Answer, Request};
use crate::samples::{Figure, Kind, Sample, Samples};
use crate::scenario::Scenario;
use crate::stats::CLEAN_MIN;

const PROCESSES: usize = 3;
/// Further processes are started up to here, as long as a cell lacks clean samples.
const PROCESSES_MAX: usize = 6;
/// A lap that takes longer is stopped, with its process.
pub const LAP_MAX: Duration = Duration::from_secs(20);

/// Takes the samples of all scenarios with all peers, in turns, and then counts our batches. Fails if
/// events get lost.
pub fn run(args: &Args, scenarios: &[Scenario], peers: &[&str]) -> Result<Samples, String> {
    let mut run = Run { args, scenarios, peers, samples: Samples::new(), done: HashSet::new() };
    for process in 0..PROCESSES_MAX {
        if process >= PROCESSES && (args.is_quick || run.has_enough()) {
            break;
        }
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
            Some(Answer::Sample(sample)) => self.samples.push(sample),
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

    fn has_enough(&self) -> bool {
        let pairs = |scenario: &'r Scenario| {
            self.peers.iter().filter(|peer| scenario.includes(peer)).map(|&peer| (&scenario.name[..], peer))
        };
        let clean = |(scenario, peer)| {
            let samples = self.samples.of(scenario, peer);
            samples.filter(|sample| self.samples.kind(sample) == Some(Kind::Clean)).count()
        };
        let mut open = self.scenarios.iter().flat_map(pairs).filter(|cell| !self.done.contains(cell));
        open.all(|cell| clean(cell) >= CLEAN_MIN)
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
    process: process::Child,
    requests: ChildStdin,
    answers: Receiver<io::Result<String>>,
}

impl Child {
    fn start(args: &Args, number: usize) -> Result<Self, String> {
        Self::spawn(args, number).map_err(|error| format!("no child starts: {error}"))
    }

    fn spawn(args: &Args, number: usize) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args([CHILD, &number.to_string()]).args(args.is_quick.then_some("--quick"));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (requests, answers) = (process.stdin.take(), process.stdout.take());
        let (requests, answers) = requests.zip(answers).ok_or_else(|| io::Error::other("it has no pipes"))?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || BufReader::new(answers).lines().try_for_each(|line| sender.send(line)));
        Ok(Self { number, process, requests, answers: receiver })
    }

    /// `None` if there is no answer in time.
    fn ask(&mut self, request: &Request) -> Result<Option<Answer>, String> {
        let request = request.to_line();
        writeln!(self.requests, "{request}").map_err(|error| format!("the child is gone: {error}"))?;
        match self.answers.recv_timeout(LAP_MAX) {
            Ok(Ok(line)) => Answer::parse(&line).map(Some).ok_or_else(|| format!("{line} is no answer")),
            Ok(Err(error)) => Err(format!("the child cannot be read: {error}")),
            Err(RecvTimeoutError::Disconnected) => Err(format!("the child ended during {request}")),
            Err(RecvTimeoutError::Timeout) => Ok(None),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It has answered all it was asked, hangs in a lap, or is gone already.
        self.process.kill().and_then(|()| self.process.wait()).map(drop).unwrap_or_default();
    }
}
