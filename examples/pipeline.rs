//! Three stages in a row: each one sees an event after the stage before it, and may change it.

use badbatch::DisruptorBuilder;

#[derive(Default)]
struct Reading {
    raw: u64,
    celsius: f64,
    alarm: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut disruptor = DisruptorBuilder::new().buffer_size(256).single_producer().build()?;
    disruptor
        .handle_events_mut_with(|reading: &mut Reading, _: u64, _: bool| {
            reading.celsius = reading.raw as f64 / 10.0 - 40.0;
        })?
        .then_mut(|reading: &mut Reading, _: u64, _: bool| reading.alarm = reading.celsius > 90.0)?
        .then(|reading: &Reading, sequence: u64, _: bool| {
            if reading.alarm {
                println!("reading {sequence}: {:.1} degrees are too hot", reading.celsius);
            }
        })?;
    disruptor.start()?;
    for raw in (0..1_400).step_by(50) {
        disruptor.ring_buffer().publish_event(|reading: &mut Reading, _| reading.raw = raw)?;
    }
    let drained = disruptor.shutdown()?;
    println!("{} readings went through", drained.end);
    Ok(())
}
