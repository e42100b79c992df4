//! Where threads and memory are, by choice and by chance: the machine, the placement with its reasons, what
//! was obtained, and what it is worth here.
//!
//! `cargo run --release --example pinned_numa [EVENTS]`

use std::error::Error;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use badbatch::base::cpu::CpuId;
use badbatch::disruptor::BusySpinWaitStrategy;
use badbatch::sys::affinity::Pin;
use badbatch::sys::memory::{Demand, HugePageSize, MemoryConfig};
use badbatch::sys::placement::Placement;
use badbatch::sys::topology::Topology;
use badbatch::{Consumer, DisruptorBuilder};

const EVENTS: u64 = 5_000_000;
const ROUNDS: usize = 7;

/// A name, where the threads go, and where the memory goes.
type Setup = (&'static str, Placement, MemoryConfig);

fn main() -> Result<(), Box<dyn Error>> {
    let events = std::env::args().nth(1).map_or(Ok(EVENTS), |events| events.parse())?;
    let topology = match Topology::detect() {
        Ok(topology) => topology,
        Err(error) => {
            println!("nothing can be placed here: {error}");
            return Ok(());
        }
    };
    print!("The machine\n{topology}\n");
    let huge = || MemoryConfig::new().huge_pages(HugePageSize::TwoMiB, Demand::Prefer);
    let setups: [Setup; 4] = [
        ("left to the system", Placement::Manual, MemoryConfig::new()),
        ("compact", Placement::Compact, MemoryConfig::new().near_first_consumer()),
        ("compact, huge pages", Placement::Compact, huge().near_first_consumer()),
        ("spread", Placement::Spread, MemoryConfig::new().near_first_consumer()),
    ];
    for setup in &setups {
        run(setup, 0, |report| print!("{}\n{report}\n", setup.0))?;
    }
    // In turn, so that a busy moment of the machine hits all alike.
    let mut times = vec![Vec::new(); setups.len()];
    for _ in 0..ROUNDS {
        for (setup, times) in setups.iter().zip(&mut times) {
            times.push(run(setup, events, |_| ())?);
        }
    }
    println!("{:<22} {:>10} {:>16}", "ns per event", "median", "least to most");
    for ((name, ..), times) in setups.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let range = format!("{:.2} to {:.2}", times[0], times[ROUNDS - 1]);
        println!("{name:<22} {:>10.2} {range:>16}", times[ROUNDS / 2]);
    }
    if topology.nodes().count() == 1 && topology.caches().len() < 2 {
        println!("One node and one cache: every place is as good as any other here.");
    }
    Ok(())
}

/// Sends so many events through a new ring; returns the nanoseconds per event.
fn run((_, placement, memory): &Setup, events: u64, tell: impl FnOnce(&str)) -> Result<f64, Box<dyn Error>> {
    let mut disruptor = DisruptorBuilder::new()
        .buffer_size(1 << 16)
        .single_producer()
        .wait_strategy(BusySpinWaitStrategy)
        .placement(*placement)
        .memory(memory.clone())
        .build::<u64>()?;
    let (done, finished) = mpsc::channel();
    let mut sum = 0;
    let expected = events * (events + 1) / 2;
    let add = move |event: &u64, _sequence: u64, _end_of_batch: bool| {
        sum += event;
        if sum == expected {
            // Nobody listens once the time is up, and then it does not matter.
            done.send(Instant::now()).unwrap_or_default();
        }
    };
    disruptor.handle(Consumer::reading(add).named("adder"))?;
    let mut producer = disruptor.take_producer().ok_or("a new disruptor has its producer")?;
    disruptor.start()?;
    let plan = disruptor.placement().map_or_else(String::new, |plan| plan.explain());
    tell(&format!("{plan}{}", disruptor.memory_report()?));
    let cpu: Option<CpuId> = disruptor.placement().and_then(|plan| plan.producer());
    let publish = move || -> Result<Instant, Box<dyn Error + Send + Sync>> {
        if let Some(cpu) = cpu {
            Pin::from(cpu).pin_current_thread()?;
        }
        let start = Instant::now();
        for value in 1..=events {
            producer.publish_event(|event: &mut u64, _sequence| *event = value)?;
        }
        Ok(start)
    };
    let start = thread::scope(|scope| scope.spawn(publish).join()).map_err(|_| "the producer panicked")?;
    let start = start.map_err(|error| error as Box<dyn Error>)?;
    let end = if events == 0 { start } else { finished.recv()? };
    disruptor.shutdown()?;
    Ok((end - start).as_nanos() as f64 / events.max(1) as f64)
}
