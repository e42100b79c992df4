//! What the disruptor does not use: the allocator after its start, the CPU when idle, and memory.
//!
//! One test, because the counting allocator and the list of threads belong to the whole process.

#![allow(unsafe_code, reason = "an allocator is unsafe to implement")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use badbatch::disruptor::{ProducerKind, WaitStrategy};
use badbatch::{Consumer, Disruptor, DisruptorBuilder};

/// The system's allocator, counting while it is told to.
struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTS.load(Ordering::Relaxed) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
            BYTES.fetch_add(layout.size() as u64, Ordering::Relaxed);
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const EVENTS: u64 = if cfg!(miri) { 100 } else { 20_000 };

/// Publishes in every form through every kind of consumer; says how many allocations that took.
fn allocations<P: ProducerKind, W: WaitStrategy>(builder: DisruptorBuilder<P, W>) -> u64 {
    let sum = Arc::new(AtomicU64::new(0));
    let adding = || {
        let sum = Arc::clone(&sum);
        move |event: &u64, _: u64, _: bool| {
            sum.fetch_add(*event, Ordering::Relaxed);
        }
    };
    let mut disruptor = builder.buffer_size(64).build::<u64>().expect("the size is right");
    let workers = vec![|event: &mut u64, _: u64, _: bool| *event += 1; 2];
    disruptor
        .handle(Consumer::workers(workers))
        .expect("added")
        .then(adding())
        .expect("added")
        .then_handle(Consumer::partitioned(|event: &u64| *event, vec![adding(), adding()]))
        .expect("added");
    let mut poller = disruptor.new_poller(&[]).expect("a poller can be added");
    disruptor.start().expect("it starts");
    publish(&mut disruptor, &mut poller, 4);
    COUNTS.store(true, Ordering::Relaxed);
    ALLOCATIONS.store(0, Ordering::Relaxed);
    publish(&mut disruptor, &mut poller, EVENTS);
    while disruptor.ring_buffer().remaining_capacity() < 64 {
        thread::yield_now();
    }
    COUNTS.store(false, Ordering::Relaxed);
    let counted = ALLOCATIONS.load(Ordering::Relaxed);
    disruptor.shutdown().expect("it drains");
    assert!(sum.load(Ordering::Relaxed) > EVENTS, "the events went through");
    counted
}

fn publish<P: ProducerKind, W: WaitStrategy>(
    disruptor: &mut Disruptor<u64, P, W>,
    poller: &mut badbatch::EventPoller<u64, P, W>,
    events: u64,
) {
    let producer = disruptor.ring_buffer();
    for n in 0..events / 4 {
        producer.publish_event(|event, _| *event = n).expect("there is room");
        producer.publish_batch(2, |slots| slots.for_each(|slot| *slot = n)).expect("there is room");
        let token = producer.next().expect("there is room");
        *producer.get_mut(token).expect("it is claimed") = n;
        producer.publish(token);
        let read: usize = poller.wait(None).map(|batch| batch.iter().count()).expect("events are there");
        assert!(read > 0);
    }
    while poller.sequence() < producer.cursor() {
        poller.wait(None).map(drop).expect("events are there");
    }
}

/// The bytes that a ring of `slots` events of eight bytes and three consumers take, all in all.
fn bytes<P: ProducerKind>(builder: DisruptorBuilder<P>, slots: usize) -> u64 {
    BYTES.store(0, Ordering::Relaxed);
    COUNTS.store(true, Ordering::Relaxed);
    let mut disruptor = builder.buffer_size(slots).build::<u64>().expect("the size is right");
    for _ in 0..3 {
        disruptor.handle_events_with(|_: &u64, _: u64, _: bool| {}).expect("added");
    }
    COUNTS.store(false, Ordering::Relaxed);
    BYTES.load(Ordering::Relaxed)
}

/// The state letters of this process's threads whose names begin with `prefix`.
#[cfg(all(target_os = "linux", not(miri)))]
fn thread_states(prefix: &str) -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("a process has threads");
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
    stats
        .filter_map(|stat| {
            let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
            let state = rest.split_whitespace().next()?;
            name.starts_with(prefix).then(|| state.to_owned())
        })
        .collect()
}

/// The idle consumers of all three stages, and a producer before a full ring, come to sleep.
#[cfg(all(target_os = "linux", not(miri)))]
fn idle_threads_sleep() {
    let mut disruptor = DisruptorBuilder::new().buffer_size(8).build::<u64>().expect("the size is right");
    let stage = |name: &str| Consumer::reading(|_: &u64, _: u64, _: bool| {}).named(name);
    disruptor
        .handle(stage("idle-1"))
        .expect("added")
        .then_handle(stage("idle-2"))
        .expect("added")
        .then_handle(stage("idle-3"))
        .expect("added");
    let poller = disruptor.new_poller(&[]).expect("a poller can be added");
    disruptor.start().expect("it starts");
    let mut producer = disruptor.producer();
    let full = thread::Builder::new().name("idle-producer".to_owned());
    let full = full.spawn(move || (0..9).try_for_each(|_| producer.publish_event(|_, _| {}).map(drop)));
    // They sleep in the kernel without a timeout, so what is asleep here uses no CPU at all.
    while thread_states("idle-") != ["S", "S", "S", "S"] {
        thread::yield_now();
    }
    drop(poller);
    full.expect("there is a thread").join().expect("no panic").expect("the poller was in the way");
    disruptor.shutdown().expect("it drains");
}

/// A named disruptor's event is one block of memory, and nothing else is allocated on its way to the sinks.
#[cfg(feature = "http")]
fn publishing_by_name_allocates_the_event_only() {
    use badbatch::engine::{Author, ContentType, Defaults, Definition, Draft, Engine, EngineOptions};
    for producer_type in ["single", "multi"] {
        let engine = Engine::new(EngineOptions::default());
        let definition =
            serde_json::json!({"name": "d", "buffer_size": 32768, "producer_type": producer_type});
        let definition = Definition::from_json(&definition, None, &Defaults::default()).expect("it is right");
        let (disruptor, _) = engine.create(definition, Author::Operator).expect("made");
        disruptor.start().expect("started");
        let mut draft = Draft::bare(ContentType::Json, b"{\"a\": [1, 2, 3]}");
        draft.metadata.push(("name".into(), "value".into()));
        draft.correlation_id = Some("correlation".into());
        draft.check().expect("it is right");
        let publish = || {
            let event = disruptor.accept(&draft);
            disruptor.publish(&[event], std::time::Duration::from_secs(60)).expect("published");
        };
        // The first one makes the desk on which events are put together.
        publish();
        ALLOCATIONS.store(0, Ordering::Relaxed);
        COUNTS.store(true, Ordering::Relaxed);
        (0..EVENTS).for_each(|_| publish());
        COUNTS.store(false, Ordering::Relaxed);
        let refusals = 3 * disruptor.rejections().ring_full.value();
        let allocations = ALLOCATIONS.load(Ordering::Relaxed);
        assert!(allocations <= EVENTS + refusals, "{producer_type}: {allocations} for {EVENTS} events");
        disruptor.stop(std::time::Duration::from_secs(60)).expect("stopped");
    }
}

#[test]
fn the_hot_path_allocates_nothing_idle_threads_sleep_and_a_ring_is_little_more_than_its_slots() {
    assert_eq!(allocations(DisruptorBuilder::new().single_producer()), 0, "single producer, blocking");
    assert_eq!(allocations(DisruptorBuilder::new().multi_producer()), 0, "multi producer, blocking");
    assert_eq!(allocations(DisruptorBuilder::new().yielding_wait_strategy()), 0, "multi producer, yielding");
    #[cfg(feature = "http")]
    publishing_by_name_allocates_the_event_only();
    #[cfg(all(target_os = "linux", not(miri)))]
    idle_threads_sleep();
    // A slot is the event, and a stamp of one byte where there are several producers.
    const COORDINATION: u64 = 64 * 1024;
    let slots = 1 << 16;
    assert!(bytes(DisruptorBuilder::new().single_producer(), slots) <= 8 * slots as u64 + COORDINATION);
    assert!(bytes(DisruptorBuilder::new().multi_producer(), slots) <= 9 * slots as u64 + COORDINATION);
}
