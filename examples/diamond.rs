//! A diamond: two consumers side by side, and a third that sees an event once both have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use badbatch::{Consumer, DisruptorBuilder};

#[derive(Default)]
struct Order {
    amount: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (journalled, replicated) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (journal, replica) = (Arc::clone(&journalled), Arc::clone(&replicated));

    let mut disruptor = DisruptorBuilder::new().buffer_size(256).single_producer().build()?;
    let journal = Consumer::reading(move |order: &Order, _: u64, _: bool| {
        journal.fetch_add(order.amount, Ordering::Relaxed);
    });
    let journal = disruptor.handle(journal.named("journal"))?.id();
    let replica = Consumer::reading(move |order: &Order, _: u64, _: bool| {
        replica.fetch_add(order.amount, Ordering::Relaxed);
    });
    let replica = disruptor.handle(replica.named("replica"))?.id();
    let apply = Consumer::reading(move |_: &Order, sequence: u64, end_of_batch: bool| {
        if end_of_batch {
            let (journalled, replicated) =
                (journalled.load(Ordering::Relaxed), replicated.load(Ordering::Relaxed));
            println!("applied up to {sequence}: {journalled} journalled, {replicated} replicated");
        }
    });
    disruptor.after(&[journal, replica])?.then_handle(apply.named("apply"))?;
    println!("{}", disruptor.to_dot());

    disruptor.start()?;
    for amount in 1..=1000 {
        disruptor.ring_buffer().publish_event(|order: &mut Order, _| order.amount = amount)?;
    }
    disruptor.shutdown()?;
    Ok(())
}
