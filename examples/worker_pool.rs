//! Two ways to share work: a pool, where any free worker takes an event, and a partition, where the
//! same key always goes to the same worker.

use std::collections::BTreeMap;

use badbatch::{Consumer, DisruptorBuilder, EventHandler, EventHandlerMut};

#[derive(Default)]
struct Job {
    customer: u64,
    input: u64,
    output: u64,
}

/// Computes something, on whichever thread is free.
struct Worker;

impl EventHandlerMut<Job> for Worker {
    fn on_event(&mut self, job: &mut Job, _sequence: u64, _end_of_batch: bool) {
        job.output = (1..=job.input).sum();
    }
}

/// Keeps the accounts of its own customers; no lock is needed.
#[derive(Default)]
struct Accountant {
    accounts: BTreeMap<u64, u64>,
}

impl EventHandler<Job> for Accountant {
    fn on_event(&mut self, job: &Job, _sequence: u64, _end_of_batch: bool) {
        *self.accounts.entry(job.customer).or_default() += job.output;
    }

    fn on_shutdown(&mut self) {
        println!("one accountant has {:?}", self.accounts);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut disruptor = DisruptorBuilder::new().buffer_size(256).multi_producer().build()?;
    let accountants = vec![Accountant::default(), Accountant::default()];
    disruptor
        .handle(Consumer::workers(vec![Worker, Worker, Worker]).named("worker"))?
        .then_handle(Consumer::partitioned(|job: &Job| job.customer, accountants).named("accountant"))?;
    disruptor.start()?;
    for input in 0..1000 {
        disruptor.ring_buffer().publish_event(|job: &mut Job, _| {
            (job.customer, job.input) = (input % 5, input);
        })?;
    }
    disruptor.shutdown()?;
    Ok(())
}
