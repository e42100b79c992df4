//! One producer, one handler, one event.

use badbatch::{DisruptorBuilder, EventHandler};

#[derive(Default)]
struct MyEvent {
    data: String,
}

struct MyEventHandler;

impl EventHandler<MyEvent> for MyEventHandler {
    fn on_event(&mut self, event: &MyEvent, sequence: u64, _end_of_batch: bool) {
        println!("{sequence}: {}", event.data);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut disruptor =
        DisruptorBuilder::new().buffer_size(1024).single_producer().blocking_wait_strategy().build()?;
    disruptor.handle_events_with(MyEventHandler)?;
    disruptor.start()?;
    let ring_buffer = disruptor.ring_buffer();
    let sequence = ring_buffer.next()?;
    let event = ring_buffer.get_mut(sequence)?;
    event.data = "Hello, World!".to_string();
    ring_buffer.publish(sequence);
    disruptor.shutdown()?;
    Ok(())
}
