//! A handler that fails, what the others learn of it, and an end that loses nothing silently.

use badbatch::disruptor::{ClaimError, FailurePolicy, HandlerError, ShutdownError};
use badbatch::{Consumer, DisruptorBuilder};

/// Publishes the numbers below `count` to a handler that refuses 13.
fn run(policy: FailurePolicy, count: u64) -> Result<(), Box<dyn std::error::Error>> {
    let mut disruptor =
        DisruptorBuilder::new().buffer_size(16).single_producer().on_failure(policy).build::<u64>()?;
    let superstitious = |event: &u64, _: &mut badbatch::disruptor::EventContext<'_>| {
        if *event == 13 { Err(HandlerError::from("13 brings bad luck")) } else { Ok(()) }
    };
    disruptor.handle(Consumer::fallible(superstitious).named("superstitious"))?;
    disruptor.start()?;
    for number in 0..count {
        match disruptor.ring_buffer().publish_event(|event: &mut u64, _| *event = number) {
            Ok(_) => {}
            Err(ClaimError::Poisoned(failure)) => {
                println!("  the publisher stops at {number}: {failure}");
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    match disruptor.shutdown() {
        Ok(drained) => println!("  all {} events are drained", drained.end),
        Err(ShutdownError::Poisoned { failure, unconsumed }) => {
            println!("  {unconsumed} events are not consumed, because {failure}");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("a failure that poisons, the default:");
    run(FailurePolicy::Poison, 1_000_000)?;
    println!("a failure that is skipped:");
    run(FailurePolicy::Skip, 1_000)?;
    Ok(())
}
