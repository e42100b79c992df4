//! A consumer without a thread of its own: a loop of yours asks for events, and sleeps on a file
//! descriptor while there are none.

use std::error::Error;
use std::thread;

use badbatch::DisruptorBuilder;

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn Error>> {
    use std::sync::Arc;
    use std::task::Waker;

    use badbatch::disruptor::PollError;
    use badbatch::sys::eventfd::EventFd;

    let mut disruptor = DisruptorBuilder::new().buffer_size(64).multi_producer().build::<u64>()?;
    let mut poller = disruptor.new_poller(&[])?;
    disruptor.start()?;
    let mut producer = disruptor.producer();
    let publishing = thread::Builder::new().name("publisher".to_owned()).spawn(move || {
        (1..=1000).try_for_each(|n| producer.publish_event(|event: &mut u64, _| *event = n).map(drop))
    })?;

    // An event loop would wait for this descriptor and for its sockets in one `epoll_wait`.
    let descriptor = Arc::new(EventFd::new()?);
    let waker = Waker::from(Arc::clone(&descriptor));
    let (mut sum, mut batches) = (0, 0);
    while sum < 500_500 {
        let idle = match poller.poll() {
            Ok(batch) => {
                sum += batch.iter().map(|(_sequence, event)| event).sum::<u64>();
                batches += 1;
                false
            }
            Err(PollError::Idle) => true,
            Err(error) => return Err(error.into()),
        };
        // An event that came in between makes the answer false.
        if idle && poller.wake_when_ready(&waker)? {
            descriptor.wait()?;
        }
    }
    println!("1000 events in {batches} batches sum up to {sum}");
    publishing.join().map_err(|_| "the publisher panicked")??;
    disruptor.shutdown()?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("this example sleeps on an eventfd, which only Linux has");
}
