//! Rounds: who runs when, and in which process.

use std::collections::HashSet;
use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{self, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::args::{Args, CHILD};
use crate::protocol::Answer;
use crate::samples::{Figure, Kind, Sample, Samples};
use crate::scenario::Scenario;

const PROCESSES: usize = 3;
/// Further processes are started up to here, as long as a cell lacks clean samples.
const PROCESSES_MAX: usize = 6;
/// Enough for a verdict.
const CLEAN_MIN: usize = 12;
/// A lap that takes longer is stopped, with its process.
pub const LAP_MAX: Duration = Duration::from_secs(20);

/// Takes the samples of all scenarios with all peers, in turns. Fails if events get lost.
pub fn run(args: &Args, scenarios: &[Scenario], peers: &[&str]) -> Result<Samples, String> {
    let mut run = Run { args, scenarios, peers, samples: Samples::default(), done: HashSet::new() };
    for process in 0..PROCESSES_MAX {
        if process >= PROCESSES && (args.is_quick || run.has_enough()) {
            break;
        }
        run.process(process)?;
    }
    Ok(run.samples)
}

struct Run<'r> {
    args: &'r Args,
    scenarios: &'r [Scenario],
    peers: &'r [&'r str],
    samples: Samples,
    /// Cells that need no further lap: there is no such form, or it took too long.
    done: HashSet<(&'static str, &'r str)>,
}

impl<'r> Run<'r> {
    /// Starts a child and takes a process's share of rounds.
    fn process(&mut self, process: usize) -> Result<(), String> {
        let mut child = Child::start(self.args).map_err(|error| format!("no child starts: {error}"))?;
        let rounds = self.args.rounds();
        for round in 0..rounds {
            eprintln!("process {}, round {} of {rounds}", process + 1, round + 1);
            for scenario in self.scenarios {
                for turn in 0..self.peers.len() {
                    let peer = self.peers[(process * rounds + round + turn) % self.peers.len()];
                    self.lap(scenario, peer, &mut child)?;
                }
            }
        }
        Ok(())
    }

    fn lap(&mut self, scenario: &Scenario, peer: &'r str, child: &mut Child) -> Result<(), String> {
        if self.done.contains(&(scenario.name, peer)) {
            return Ok(());
        }
        match child.ask(&format!("{}\t{peer}", scenario.name))? {
            Some(Answer::Sample(sample)) => self.samples.all.push(sample),
            Some(Answer::Unsupported) => drop(self.done.insert((scenario.name, peer))),
            Some(Answer::Error(error)) => return Err(error),
            None => {
                let (scenario, peer) = (scenario.name, peer);
                self.done.insert((scenario, peer));
                let (scenario, peer) = (scenario.to_owned(), peer.to_owned());
                let late =
                    Sample { scenario, peer, figure: Figure::Late, round_trip: f64::INFINITY, foreign: 0.0 };
                self.samples.all.push(late);
                *child = Child::start(self.args).map_err(|error| format!("no child starts: {error}"))?;
            }
        }
        Ok(())
    }

    fn has_enough(&self) -> bool {
        let cells = self
            .scenarios
            .iter()
            .flat_map(|scenario| self.peers.iter().map(move |&peer| (scenario.name, peer)));
        let mut open = cells.filter(|cell| !self.done.contains(cell));
        open.all(|(scenario, peer)| self.samples.of_kind(Kind::Clean, scenario, peer).count() >= CLEAN_MIN)
    }
}

/// This program once more, as the process that measures.
struct Child {
    process: process::Child,
    requests: ChildStdin,
    answers: Receiver<io::Result<String>>,
}

impl Child {
    fn start(args: &Args) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg(CHILD).args(args.is_quick.then_some("--quick"));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (requests, answers) = (process.stdin.take(), process.stdout.take());
        let (requests, answers) = requests.zip(answers).ok_or_else(|| io::Error::other("it has no pipes"))?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || BufReader::new(answers).lines().try_for_each(|line| sender.send(line)));
        Ok(Self { process, requests, answers: receiver })
    }

    /// `None` if there is no answer in time.
    fn ask(&mut self, request: &str) -> Result<Option<Answer>, String> {
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
        // It may hang in a lap, or be gone already.
        self.process.kill().and_then(|()| self.process.wait()).map(drop).unwrap_or_default();
    }
}
