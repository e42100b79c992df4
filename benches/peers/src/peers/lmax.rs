//! LMAX's Disruptor on the JVM: a program of its own, `lmax/Lmax.java`, which is told what to run. It uses
//! `next` and `publish`, for ranges too, and a `BatchEventProcessor` per handler; it has no slices.
//!
//! It wants a `java` of version 17 or later and the library's JAR: the one that `LMAX_JAR` names, or
//! Debian's `libdisruptor-java`. It takes a line per request and answers `ready` when its threads wait to
//! begin; told `go`, it answers `nanos N` or `latency V:C ..`, having checked its sums itself.

use std::cell::RefCell;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::dialogue::Dialogue;
use crate::flow::Shape;
use crate::latency::PAUSE_NANOS;
use crate::machine::Cpus;
use crate::peer::Peer;
use crate::protocol::parse_latency;
use crate::rounds::LAP_MAX;
use crate::samples::Figure;
use crate::scenario::{Scenario, Work};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lmax/Lmax.java");
const JAR: &str = "/usr/share/java/disruptor.jar";
const JAVA_MIN: u32 = 17;

pub struct Lmax {
    jar: PathBuf,
    /// The first line of `java -version`.
    java: String,
    /// Started by the first request.
    jvm: RefCell<Option<Dialogue>>,
}

impl Lmax {
    /// Or why it cannot be measured.
    pub fn find() -> Result<Self, String> {
        let version = Command::new("java").arg("-version").output();
        let version = version.map_err(|error| format!("java does not start: {error}"))?;
        let java = String::from_utf8_lossy(&version.stderr).lines().next().unwrap_or_default().to_owned();
        if major(&java).is_none_or(|major| major < JAVA_MIN) {
            return Err(format!("java {JAVA_MIN} is needed, and there is {java}"));
        }
        let jar = env::var_os("LMAX_JAR").map_or_else(|| PathBuf::from(JAR), PathBuf::from);
        for file in [&jar, Path::new(PROGRAM)] {
            if !file.is_file() {
                return Err(format!("{} is not there", file.display()));
            }
        }
        Ok(Self { jar, java, jvm: RefCell::default() })
    }

    fn start(&self) -> Result<Dialogue, String> {
        let options = ["-XX:+UseParallelGC", "-Xmx1g", "-cp"];
        Dialogue::start(Command::new("java").args(options).arg(&self.jar).arg(PROGRAM))
    }
}

/// `openjdk version "17.0.15" 2025-04-15` is 17.
fn major(version: &str) -> Option<u32> {
    version.split('"').nth(1)?.split(['.', '-']).next()?.parse().ok()
}

impl Peer for Lmax {
    fn name(&self) -> &'static str {
        "LMAX"
    }

    fn version(&self) -> Option<String> {
        let jar = self.jar.file_stem().unwrap_or_default().to_string_lossy();
        // Debian's has its version in the name of a link beside it, others in their own.
        let beside = self.jar.parent().and_then(|folder| fs::read_dir(folder).ok());
        let names = beside.into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut names = names.map(|name| name.to_string_lossy().trim_end_matches(".jar").to_owned());
        let longer = names.find(|name| name.strip_prefix(&*jar).is_some_and(|rest| rest.starts_with('-')));
        Some(format!("{}, {}", longer.unwrap_or_else(|| jar.into_owned()), self.java))
    }

    fn measure(&self, scenario: &Scenario, cpus: Cpus) -> Result<Option<Figure>, String> {
        let mut jvm = self.jvm.borrow_mut();
        let running = match &mut *jvm {
            Some(running) => running,
            none => none.insert(self.start()?),
        };
        let figure = lap(running, scenario, cpus)?;
        if figure == Some(Figure::Late) {
            *jvm = None;
        }
        Ok(figure)
    }
}

fn lap(jvm: &mut Dialogue, scenario: &Scenario, cpus: Cpus) -> Result<Option<Figure>, String> {
    // Its first start and its warm-up count, since nobody else sees how long they take.
    let begin = Instant::now();
    let Some(answer) = jvm.ask(&request(scenario), LAP_MAX)? else {
        return Ok(Some(Figure::Late));
    };
    match &answer[..] {
        "unsupported" => return Ok(None),
        "ready" if scenario.is_pinned() => pin(jvm.id(), cpus),
        "ready" => {}
        _ => return Err(answer),
    }
    let Some(answer) = jvm.ask("go", LAP_MAX.saturating_sub(begin.elapsed()))? else {
        return Ok(Some(Figure::Late));
    };
    let figure = match (answer.split_once(' '), &scenario.work) {
        (Some(("nanos", nanos)), Work::Flow(flow)) => {
            nanos.parse().ok().map(|nanos: f64| Figure::Nanos(nanos / flow.events as f64))
        }
        (Some(("latency", pairs)), _) => parse_latency(pairs).map(Figure::Latency),
        _ => None,
    };
    figure.map(Some).ok_or(answer)
}

fn request(scenario: &Scenario) -> String {
    let wait = scenario.wait;
    match &scenario.work {
        Work::Flow(flow) => {
            let shape = match flow.shape {
                Shape::Unicast => "unicast",
                Shape::Multicast(_) => "multicast",
                Shape::Pipeline(_) => "pipeline",
                Shape::Diamond => "diamond",
            };
            format!(
                "throughput shape={shape} wait={wait} producers={} shared={} batch={} consumers={} events={} \
                 capacity={} bytes={}",
                flow.producers,
                flow.is_shared,
                flow.batch,
                flow.shape.consumers(),
                flow.events,
                flow.capacity,
                8 * flow.words,
            )
        }
        Work::PingPong { trips, capacity } => {
            format!("pingpong wait={wait} trips={trips} pause_ns={PAUSE_NANOS} capacity={capacity}")
        }
        Work::Paced { rate, events, capacity } => {
            format!("paced wait={wait} rate={rate} events={events} capacity={capacity}")
        }
    }
}

/// Binds the producer and the consumer of a process, which are threads of those names. Without `taskset`,
/// or where there is no Linux, they stay free.
fn pin(process: u32, cpus: Cpus) {
    let threads = fs::read_dir(format!("/proc/{process}/task"));
    for thread in threads.into_iter().flatten().flatten() {
        let name = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        let cpu = match name.split_once('-') {
            Some(("producer", _)) => cpus.producer,
            Some(("consumer", _)) => cpus.consumer,
            _ => continue,
        };
        let mut command = Command::new("taskset");
        command.args(["-cp", &cpu.id.to_string()]).arg(thread.file_name());
        drop(command.stdout(Stdio::null()).stderr(Stdio::null()).status());
    }
}

#[cfg(test)]
mod tests {
    use super::{major, request};
    use crate::catalogue;

    #[test]
    fn a_version_line_names_the_major_version() {
        assert_eq!(major("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(major("java version \"1.8.0_432\""), Some(1));
        assert_eq!(major("openjdk version \"25-ea\" 2025-09-16"), Some(25));
        assert_eq!(major("command not found"), None);
    }

    #[test]
    fn requests_are_lines_of_the_protocol() {
        let request = |name: &str| {
            let scenarios = catalogue::main_set();
            request(scenarios.iter().find(|scenario| scenario.name == name).expect("the name is known"))
        };
        assert_eq!(
            request("dia"),
            "throughput shape=diamond wait=yielding producers=1 shared=false batch=1 consumers=3 \
             events=10000000 capacity=8192 bytes=8"
        );
        assert_eq!(
            request("pingpong-blocking"),
            "pingpong wait=blocking trips=30000 pause_ns=1000 capacity=65536"
        );
        assert_eq!(request("paced1m-busy"), "paced wait=busy rate=1000000 events=300000 capacity=65536");
    }
}
