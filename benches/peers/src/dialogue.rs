//! Another process that answers lines with lines.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// It is stopped when this is dropped.
pub struct Dialogue {
    process: Child,
    requests: ChildStdin,
    answers: Receiver<io::Result<String>>,
}

impl Dialogue {
    pub fn start(command: &mut Command) -> Result<Self, String> {
        Self::spawn(command)
            .map_err(|error| format!("{} does not start: {error}", command.get_program().to_string_lossy()))
    }

    fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (requests, answers) = (process.stdin.take(), process.stdout.take());
        let (requests, answers) = requests.zip(answers).ok_or_else(|| io::Error::other("it has no pipes"))?;
        let (sender, receiver) = mpsc::channel();
        // It ends with the other process, or with the first line that nobody wants.
        thread::spawn(move || BufReader::new(answers).lines().try_for_each(|line| sender.send(line)));
        Ok(Self { process, requests, answers: receiver })
    }

    /// `None` if there is no answer within `limit`.
    pub fn ask(&mut self, request: &str, limit: Duration) -> Result<Option<String>, String> {
        let asked = writeln!(self.requests, "{request}").and_then(|()| self.requests.flush());
        asked.map_err(|error| format!("it does not hear {request}: {error}"))?;
        match self.answers.recv_timeout(limit) {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(error)) => Err(format!("its answer to {request} cannot be read: {error}")),
            Err(RecvTimeoutError::Disconnected) => Err(format!("it ended at {request}")),
            Err(RecvTimeoutError::Timeout) => Ok(None),
        }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        // It has answered all that it was asked, hangs, or is gone already.
        self.process.kill().and_then(|()| self.process.wait()).map(drop).unwrap_or_default();
    }
}
