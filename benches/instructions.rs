//! Counts the instructions that an event costs, so that the hot loops cannot grow unnoticed.
//!
//! `cargo bench --bench instructions` runs each loop below under valgrind's callgrind, on one thread and
//! with two numbers of events, so that the start drops out of the difference, and compares the result
//! with `benches/instructions.txt`. It fails if a loop has grown by more than 5 %; if that is meant,
//! `-- --accept` records the new figures. They depend on the compiler, whose version is recorded too.

use std::env;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::hint::black_box;
use std::process::{Command, ExitCode, Stdio};

use badbatch::disruptor::{
    BusySpinWaitStrategy, ConsumerId, GraphError, MultiProducer, ProducerKind, SingleProducer, SlotsMut,
};
use badbatch::{Consumer, Disruptor, DisruptorBuilder, EventPoller, RingBuffer};

/// The events of one lap, which fill half of the ring.
const LAP: u64 = 2048;
const SLOTS: usize = 4096;
/// The laps of the two runs.
const LAPS: [u64; 2] = [10, 110];
/// A loop may grow by so much.
const GROWTH_MAX: f64 = 0.05;

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
/// Set in the runs under valgrind, to the loop and its laps.
const RUN: &str = "BADBATCH_LOOP";

/// A name, and what is run for so many laps.
type Loop = (&'static str, fn(u64));

const LOOPS: [Loop; 6] = [
    ("publish-u1", |laps| publish_single(laps, 1)),
    ("publish-u10", |laps| publish_single(laps, 10)),
    // With the poller's look, which reads the stamp of each event.
    ("publish-mp1", |laps| publish_multi(laps, 1)),
    ("publish-mp1b10", |laps| publish_multi(laps, 10)),
    // With the publication in large batches.
    ("consume-events", |laps| {
        let mut sum = 0;
        let add = Consumer::reading(move |event: &u64, _, _| sum = black_box(sum + event));
        consume(laps, |disruptor| disruptor.handle(add).map(|group| group.id()));
    }),
    ("consume-slices", |laps| {
        let mut sum = 0;
        let add = move |events: &[u64], _, _| sum = black_box(sum + events.iter().sum::<u64>());
        consume(laps, |disruptor| disruptor.handle(Consumer::batches(add)).map(|group| group.id()));
    }),
];

fn builder() -> DisruptorBuilder<MultiProducer, BusySpinWaitStrategy> {
    DisruptorBuilder::new().buffer_size(SLOTS).busy_spin_wait_strategy()
}

fn publish_single(laps: u64, batch: u64) {
    let mut disruptor = builder().single_producer().build().expect("the size is right");
    let poller = disruptor.new_poller(&[]).expect("it is open");
    disruptor.start().expect("it starts");
    publish(disruptor.take_producer().expect("it is there"), poller, laps, batch);
}

fn publish_multi(laps: u64, batch: u64) {
    let mut disruptor = builder().build().expect("the size is right");
    let poller = disruptor.new_poller(&[]).expect("it is open");
    disruptor.start().expect("it starts");
    publish(disruptor.producer(), poller, laps, batch);
}

/// Publishes laps of events to a poller that takes each lap at once and reads none of it.
fn publish<P: ProducerKind>(
    mut producer: RingBuffer<u64, P, BusySpinWaitStrategy>,
    mut poller: EventPoller<u64, P, BusySpinWaitStrategy>,
    laps: u64,
    batch: u64,
) {
    for _ in 0..laps {
        if batch == 1 {
            for value in 0..LAP {
                producer.publish_event(|event: &mut u64, _| *event = value).expect("there is room");
            }
        } else {
            for first in (0..LAP).step_by(batch as usize) {
                let fill = |slots: SlotsMut<'_, u64>| {
                    slots.zip(first..).for_each(|(event, value)| *event = value);
                };
                producer.publish_batch(batch as usize, fill).expect("there is room");
            }
        }
        drop(black_box(poller.poll().expect("there are events")));
    }
}

type Single = Disruptor<u64, SingleProducer, BusySpinWaitStrategy>;

/// Steps through laps of events with the handler that is added.
fn consume(laps: u64, add: impl FnOnce(&mut Single) -> Result<ConsumerId, GraphError>) {
    let mut disruptor = builder().single_producer().build().expect("the size is right");
    add(&mut disruptor).expect("it is open");
    let mut stepper = disruptor.into_stepper().expect("it starts");
    for _ in 0..laps {
        let fill = |slots: SlotsMut<'_, u64>| slots.for_each(|event| *event = 1);
        stepper.ring_buffer().publish_batch(LAP as usize, fill).expect("there is room");
        stepper.run_until_idle();
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if let Ok(run) = env::var(RUN) {
        let (name, laps) = run.split_once(' ').ok_or("a name and a number of laps are expected")?;
        let (_, work) = LOOPS.iter().find(|(known, _)| *known == name).ok_or("there is no such loop")?;
        work(laps.parse()?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut accepts = false;
    for argument in env::args().skip(1) {
        match &argument[..] {
            "--accept" => accepts = true,
            // Cargo's own.
            "--bench" => {}
            _ => return Err(format!("{argument} is no argument; there is only --accept").into()),
        }
    }
    let counts =
        LOOPS.iter().map(|(name, _)| Ok((*name, count(name)?))).collect::<Result<Vec<_>, String>>()?;
    let compiler = compiler();
    if accepts {
        let mut text = format!("# instructions per event, {compiler}\n");
        counts.iter().try_for_each(|(name, count)| writeln!(text, "{name:16} {count:6.2}"))?;
        fs::write(RECORD, text)?;
    }
    compare(&counts, &compiler)
}

/// Prints the figures beside the recorded ones, and fails if one has grown.
fn compare(counts: &[(&str, f64)], compiler: &str) -> Result<ExitCode, Box<dyn Error>> {
    let record = fs::read_to_string(RECORD)?;
    if !record.lines().next().unwrap_or_default().ends_with(compiler) {
        println!("{compiler} is not the compiler of the recorded figures");
    }
    let mut code = ExitCode::SUCCESS;
    for (name, count) in counts {
        let recorded = record.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        let recorded = recorded.ok_or(format!("{name} is not recorded in {RECORD}; see --accept"))?;
        let growth = count / recorded - 1.0;
        let verdict = match growth {
            growth if growth > GROWTH_MAX => {
                code = ExitCode::FAILURE;
                "  has grown too much; if that is meant, run with `-- --accept`"
            }
            growth if growth < -GROWTH_MAX => "  has shrunk; keep it so with `-- --accept`",
            _ => "",
        };
        println!("{name:16} {count:6.2} instructions per event, {recorded:6.2} recorded{verdict}");
    }
    Ok(code)
}

/// The instructions per event of one loop.
fn count(name: &str) -> Result<f64, String> {
    let [few, many] = LAPS.map(|laps| instructions(name, laps));
    Ok((many? - few?) / ((LAPS[1] - LAPS[0]) * LAP) as f64)
}

/// The instructions of one run of this program under valgrind.
fn instructions(name: &str, laps: u64) -> Result<f64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .env(RUN, format!("{name} {laps}"))
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind does not start ({error}); is it installed?"))?;
    let report = String::from_utf8_lossy(&output.stderr);
    let collected = report.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected.ok_or_else(|| format!("valgrind counts nothing for {name}: {report}"))
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map_or("unknown".into(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
