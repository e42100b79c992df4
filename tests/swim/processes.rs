//! Nodes as processes of their own, with the default settings: killed, stopped, and not let in.

#[path = "../../examples/member.rs"]
mod member;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread::Builder;

use parking_lot::Mutex;

use super::real::until;

const AS_MEMBER: &str = "BADBATCH_TEST_AS_MEMBER";

/// Is the example `member` when a test starts it as such.
#[test]
fn a_member_tells_what_it_does_not_understand() {
    if std::env::var_os(AS_MEMBER).is_some() {
        let is_well = member::main() == ExitCode::SUCCESS;
        std::process::exit(i32::from(!is_well));
    }
    for (arguments, told) in [
        (&["--key", "0123"][..], "--key 0123: give 64 hex digits"),
        (&["--seed", "there"], "--seed there: give an address and a port, as 10.0.0.1:7946"),
        (&["--name"], "--name wants a value"),
        (&["--nmae", "a"], "--nmae: there are --name, --cluster, --bind, --seed and --key"),
    ] {
        let output = command(arguments).output().expect("it starts");
        assert!(!output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr).trim_end(), told);
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("it is known"));
    let test = "processes::a_member_tells_what_it_does_not_understand";
    command.args(["--exact", test, "--nocapture", "--quiet", "--"]).args(arguments).env(AS_MEMBER, "1");
    command
}

/// A member in a process of its own, which is killed when it is dropped.
struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    fn start(name: &str, seed: Option<SocketAddr>, more: &[&str]) -> Self {
        let seed = seed.map(|seed| seed.to_string());
        let seeds = seed.iter().flat_map(|seed| ["--seed", seed]);
        let arguments: Vec<&str> =
            ["--name", name].into_iter().chain(seeds).chain(more.iter().copied()).collect();
        let mut child =
            command(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (output, into) = (child.stdout.take().expect("it is piped"), Arc::clone(&lines));
        let reader = Builder::new().name("lines".to_owned()).spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // After the time.
                into.lock().extend(line.split_once(' ').map(|(_, line)| line.to_owned()));
            }
        });
        drop(reader.expect("there is room for a thread"));
        let process = Self { child, lines };
        until("it listens", || process.has("listening "));
        process
    }

    fn address(&self) -> SocketAddr {
        let lines = self.lines.lock();
        let line = lines.iter().find(|line| line.starts_with("listening ")).expect("it listens");
        line.rsplit(' ').next().and_then(|address| address.parse().ok()).expect("it tells its address")
    }

    fn count(&self, beginning: &str) -> usize {
        self.lines.lock().iter().filter(|line| line.starts_with(beginning)).count()
    }

    fn has(&self, beginning: &str) -> bool {
        self.count(beginning) > 0
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(status.expect("there is kill").success());
    }

    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().expect("it is piped"), "{line}").expect("it listens");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

fn all_say(processes: &[Process], beginning: &str, times: usize) {
    until(beginning, || processes.iter().all(|process| process.count(beginning) >= times));
}

#[test]
fn ten_processes_miss_one_that_is_stopped_and_one_that_is_killed() {
    let mut processes = vec![Process::start("node-0", None, &[])];
    let seed = processes[0].address();
    processes.extend((1..10).map(|number| Process::start(&format!("node-{number}"), Some(seed), &[])));
    all_say(&processes, "joined ", 9);

    let stopped = processes.remove(3);
    stopped.signal("-STOP");
    until("suspected", || processes.iter().any(|process| process.has("suspected node-3 ")));
    stopped.signal("-CONT");
    let is_over = |process: &Process| process.count("refuted node-3 ") == process.count("suspected node-3 ");
    until("refuted", || processes.iter().all(is_over));
    assert!(!processes.iter().any(|process| process.has("died ")));
    processes.push(stopped);

    drop(processes.remove(5));
    all_say(&processes, "died node-6 ", 1);

    let mut leaving = processes.remove(0);
    leaving.say("leave");
    assert!(leaving.child.wait().expect("it ends").success());
    all_say(&processes, "left node-0 ", 1);
    for process in &mut processes {
        process.say("members");
    }
    all_say(&processes, "that is all", 1);
    for process in &processes {
        assert_eq!(process.count("member "), 9);
        assert!(process.has("member node-6 dead") && process.has("member node-0 left"));
        assert!(process.has("died node-6 ") && process.count("died ") == 1, "{:?}", process.lines.lock());
    }
}

#[test]
fn who_is_not_let_in_is_told_in_the_log() {
    let [key, other] = ["11", "22"].map(|byte| byte.repeat(32));
    let processes = [Process::start("node-0", None, &["--key", &key])];
    let seed = Some(processes[0].address());
    let _outside = [
        Process::start("wrong-key", seed, &["--key", &other]),
        Process::start("no-key", seed, &[]),
        Process::start("elsewhere", seed, &["--key", &key, "--cluster", "another"]),
    ];
    for why in [
        "none of this node's keys opens it",
        "it is not encrypted, and this node takes nothing in clear",
        "it is from a cluster with another name",
    ] {
        let is_told = |line: &String| line.starts_with("warning a message from ") && line.ends_with(why);
        until(why, || processes[0].lines.lock().iter().any(is_told));
    }
    assert!(!processes[0].has("joined "));
}
