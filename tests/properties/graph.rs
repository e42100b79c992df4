//! Random graphs of consumers beside an oracle: who may run at once, who goes first, who gets what.
//!
//! Each event carries the set of consumers that have handled it, so a consumer that comes too early
//! or twice panics where it happens, which poisons the disruptor and so fails the property.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use badbatch::disruptor::{
    ClaimBatch, ClaimError, ConsumerId, Disruptor, DisruptorBuilder, EventContext, EventHandler,
    EventHandlerMut, GraphError, HandlerError, MultiProducer, NamedWaitStrategy, ProducerKind, RingBuffer,
    SingleProducer, StartError, TryEventHandler, WaitStrategy,
};
use badbatch::{BatchHandler, Consumer};

type Wait = Box<dyn WaitStrategy>;
type Claimed<'p, P> = Result<ClaimBatch<'p, Event, P, Wait>, ClaimError>;

const NODES_MAX: usize = 6;
const KEYS: usize = 8;

/// Builds the graph that `bytes` describe, sends some events through it, and checks who got what.
pub fn run(bytes: &[u8]) {
    let plan = Plan::read(&mut bytes.iter().copied());
    let builder = DisruptorBuilder::new()
        .buffer_size(plan.size)
        .first_sequence(plan.first)
        .wait_strategy(plan.wait.build());
    if plan.is_single {
        let disruptor = builder.single_producer().build().expect("the plan is sound");
        check(disruptor, &plan, |_| None::<RingBuffer<Event, SingleProducer, Wait>>);
    } else {
        let disruptor = builder.multi_producer().build().expect("the plan is sound");
        check(disruptor, &plan, |disruptor: &Disruptor<Event, MultiProducer, Wait>| {
            Some(disruptor.producer())
        });
    }
}

#[derive(Default)]
struct Event {
    sequence: u64,
    key: u64,
    /// How many consumers have changed it: not atomic, so that a race shows.
    changes: u64,
    /// One bit per consumer that has handled it.
    seen: AtomicU64,
}

impl Event {
    fn write(&mut self, sequence: u64, key: u64) {
        *self = Self { sequence, key, changes: 0, seen: AtomicU64::new(0) };
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reading,
    Modifying,
    Batches,
    Fallible,
    Pool,
    Partition,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Reading, Self::Modifying, Self::Batches, Self::Fallible, Self::Pool, Self::Partition];

    fn is_exclusive(self) -> bool {
        matches!(self, Self::Modifying | Self::Pool)
    }
}

#[derive(Debug)]
struct NodePlan {
    kind: Kind,
    follows: Vec<usize>,
    threads: usize,
    batch_max: u64,
}

#[derive(Debug)]
struct Plan {
    is_single: bool,
    is_stepped: bool,
    size: usize,
    first: u64,
    wait: NamedWaitStrategy,
    nodes: Vec<NodePlan>,
    /// What the producer does: how many slots to claim, and how many of them to publish.
    claims: Vec<(usize, usize)>,
}

impl Plan {
    fn read(bytes: &mut impl Iterator<Item = u8>) -> Self {
        let mut below = |bound: usize| usize::from(bytes.next().unwrap_or(0)) % bound;
        let (is_single, is_stepped, is_legal) = (below(2) == 0, below(2) == 0, below(4) != 0);
        let size = 1 << below(4);
        let first = [0, 5, 1 << 31, (1 << 62) - 4096][below(4)];
        let wait = [
            NamedWaitStrategy::Blocking,
            NamedWaitStrategy::BusySpin,
            NamedWaitStrategy::Yielding,
            NamedWaitStrategy::Sleeping,
            NamedWaitStrategy::PhasedBackoff,
        ][below(5)];
        let mut nodes: Vec<NodePlan> = Vec::new();
        for node in 0..1 + below(NODES_MAX) {
            let kind = Kind::ALL[below(6)];
            let (edges, threads, batch_max) = (below(1 << NODES_MAX), 1 + below(3), below(6) as u64);
            let last_exclusive = nodes.iter().rposition(|node| node.kind.is_exclusive());
            let is_forced = |other| is_legal && (kind.is_exclusive() || last_exclusive == Some(other));
            let follows = (0..node).filter(|&other| edges >> other & 1 == 1 || is_forced(other)).collect();
            let batch_max = if batch_max == 0 { u64::MAX } else { batch_max };
            nodes.push(NodePlan { kind, follows, threads, batch_max });
        }
        let events = if cfg!(miri) { 6 } else { 30 };
        let mut claims = Vec::new();
        while claims.len() < events {
            let count = 1 + below(size);
            claims.push((count, if below(4) == 0 { below(count + 1) } else { count }));
        }
        Self { is_single, is_stepped, size, first, wait, nodes, claims }
    }

    /// By node, the set of nodes that come before it, directly or not.
    fn ancestors(&self) -> Vec<u64> {
        let mut before: Vec<u64> = Vec::new();
        for NodePlan { follows, .. } in &self.nodes {
            before.push(follows.iter().fold(0, |set, &other| set | 1 << other | before[other]));
        }
        before
    }

    /// Whether two consumers, one of which changes events, might have the same one at once.
    fn has_conflict(&self) -> bool {
        let before = self.ancestors();
        let is_unordered = |a: usize, b: usize| before[a] >> b & 1 == 0 && before[b] >> a & 1 == 0;
        (0..self.nodes.len()).any(|a| {
            self.nodes[a].kind.is_exclusive() && (0..self.nodes.len()).any(|b| a != b && is_unordered(a, b))
        })
    }
}

/// What one consumer has done, on all of its threads.
#[derive(Default)]
struct Tally {
    events: AtomicU64,
    batch_sizes: AtomicU64,
    started: AtomicU64,
    stopped: AtomicU64,
    /// By key, the thread that gets it, plus one.
    owners: [AtomicU64; KEYS],
}

/// The handler of one thread of one consumer.
struct Probe {
    kind: Kind,
    node: usize,
    thread: u64,
    /// Those that must have handled an event before this one.
    follows: u64,
    /// How many of those that come before change events.
    changes: u64,
    batch_max: u64,
    tally: Arc<Tally>,
    last: Option<u64>,
    /// Events of this batch that are yet to come, at most.
    left: u64,
    /// Whether an event of the batch has come.
    is_begun: bool,
    /// Whether its last one has.
    is_ended: bool,
}

impl Probe {
    fn batch_starts(&mut self, size: u64, depth: u64) {
        assert!(self.is_ended || !self.is_begun, "a batch begins before the last one has ended");
        (self.is_begun, self.is_ended) = (false, false);
        assert!(1 <= size && size <= depth && size <= self.batch_max, "{size} of {depth}");
        self.left = size;
        self.tally.batch_sizes.fetch_add(size, Ordering::Relaxed);
    }

    fn visit(&mut self, event: &Event, sequence: u64, ends: bool) {
        assert_eq!(event.sequence, sequence, "the event is another one's");
        assert!(self.last.is_none_or(|last| last < sequence), "{sequence} after {:?}", self.last);
        self.last = Some(sequence);
        assert!(self.left > 0, "the batch was smaller");
        self.left -= 1;
        // A partition marks the end of its share of each run.
        assert!(
            !self.is_ended || self.kind == Kind::Partition,
            "{sequence} comes after the end of its batch"
        );
        (self.is_begun, self.is_ended) = (true, ends);
        let bit = 1 << self.node;
        let seen = event.seen.fetch_or(bit, Ordering::Relaxed);
        assert_eq!(seen & bit, 0, "{sequence} is handled twice");
        assert_eq!(seen & self.follows, self.follows, "{sequence} is handled too early");
        let changes = self.changes + u64::from(self.kind.is_exclusive());
        assert_eq!(event.changes, changes, "a change of {sequence} is not to be seen");
        self.tally.events.fetch_add(1, Ordering::Relaxed);
        if self.kind == Kind::Partition {
            let owner = &self.tally.owners[event.key as usize];
            let before = owner.swap(self.thread + 1, Ordering::Relaxed);
            assert!(before == 0 || before == self.thread + 1, "key {} has moved", event.key);
        }
    }

    fn starts(&mut self) {
        self.tally.started.fetch_add(1, Ordering::Relaxed);
    }

    fn stops(&mut self) {
        self.tally.stopped.fetch_add(1, Ordering::Relaxed);
    }
}

/// The hooks, which are the same for each kind of handler but for what they return.
macro_rules! hooks {
    ($($result:ty, $done:expr)?) => {
        fn on_batch_start(&mut self, size: u64, depth: u64) {
            self.batch_starts(size, depth);
        }

        fn on_start(&mut self) $(-> $result)? {
            self.starts();
            $($done)?
        }

        fn on_shutdown(&mut self) $(-> $result)? {
            self.stops();
            $($done)?
        }
    };
}

impl EventHandler<Event> for Probe {
    fn on_event(&mut self, event: &Event, sequence: u64, ends: bool) {
        self.visit(event, sequence, ends);
    }
    hooks!();
}

impl EventHandlerMut<Event> for Probe {
    fn on_event(&mut self, event: &mut Event, sequence: u64, ends: bool) {
        event.changes += 1;
        self.visit(event, sequence, ends);
    }
    hooks!();
}

impl BatchHandler<Event> for Probe {
    fn on_batch(&mut self, events: &[Event], sequence: u64, ends: bool) {
        assert!(!events.is_empty());
        for (at, event) in (sequence..).zip(events) {
            self.visit(event, at, ends && at + 1 == sequence + events.len() as u64);
        }
    }
    hooks!();
}

impl TryEventHandler<Event> for Probe {
    fn on_event(&mut self, event: &Event, context: &mut EventContext<'_>) -> Result<(), HandlerError> {
        context.release_previous();
        self.visit(event, context.sequence(), context.is_end_of_batch());
        Ok(())
    }
    hooks!(Result<(), HandlerError>, Ok(()));
}

fn check<P: ProducerKind>(
    mut disruptor: Disruptor<Event, P, Wait>,
    plan: &Plan,
    second_producer: impl Fn(&Disruptor<Event, P, Wait>) -> Option<RingBuffer<Event, P, Wait>>,
) {
    let tallies = add_consumers(&mut disruptor, plan);
    let started = if plan.is_stepped {
        disruptor.into_stepper().map(|mut stepper| {
            let mut published = 0;
            for (round, &(count, keep)) in plan.claims.iter().enumerate() {
                let mut is_idle = false;
                while let Err(full) = publish(stepper.ring_buffer(), count, keep, RingBuffer::try_claim_n) {
                    assert!(matches!(full, ClaimError::Full { .. }), "{full}");
                    assert!(!is_idle, "nobody has anything to do, but: {full}");
                    let one = round % stepper.consumers();
                    is_idle = !stepper.step_one(one) && !stepper.step();
                }
                published += keep as u64;
            }
            stepper.run_until_idle();
            let failure = stepper.first_failure();
            assert!(failure.is_none(), "{failure:?}");
            let stats = stepper.stats();
            assert!(stats.consumers.iter().all(|consumer| consumer.lag == 0), "{stats}");
            (published, stats.cursor)
        })
    } else {
        disruptor.start().map(|()| {
            let second = second_producer(&disruptor);
            let producers = 1 + u64::from(second.is_some());
            let publish_all = |producer: &mut RingBuffer<Event, P, Wait>| {
                for &(count, keep) in &plan.claims {
                    // Only a poisoned disruptor refuses, and the shutdown tells why.
                    let _poisoned = publish(producer, count, keep, RingBuffer::claim_n);
                }
            };
            std::thread::scope(|scope| {
                if let Some(mut second) = second {
                    scope.spawn(move || publish_all(&mut second));
                }
                publish_all(disruptor.ring_buffer());
            });
            let published: usize = plan.claims.iter().map(|(_, keep)| keep).sum();
            let drained = disruptor.shutdown().unwrap_or_else(|error| panic!("{error}: {error:?}"));
            (published as u64 * producers, drained.end)
        })
    };
    let (published, end) = match started {
        Ok(counts) => counts,
        Err(StartError::Conflict { .. }) => return assert!(plan.has_conflict(), "nobody is in the way"),
        Err(error) => panic!("{error}"),
    };
    assert!(!plan.has_conflict(), "a consumer changes what another one has");
    for (node, tally) in plan.nodes.iter().zip(tallies) {
        let seen = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let by_all = if node.kind == Kind::Partition { node.threads as u64 } else { 1 };
        let threads = if matches!(node.kind, Kind::Partition | Kind::Pool) { node.threads as u64 } else { 1 };
        assert_eq!(seen(&tally.events), published, "{node:?} has handled each event once");
        assert_eq!(seen(&tally.batch_sizes), (end - plan.first) * by_all, "{node:?} was told of each");
        assert_eq!((seen(&tally.started), seen(&tally.stopped)), (threads, threads));
    }
}

fn add_consumers<P: ProducerKind>(disruptor: &mut Disruptor<Event, P, Wait>, plan: &Plan) -> Vec<Arc<Tally>> {
    let before = plan.ancestors();
    let set = |kind: fn(Kind) -> bool| {
        let nodes = plan.nodes.iter().enumerate();
        nodes.filter(|(_, node)| kind(node.kind)).fold(0_u64, |set, (index, _)| set | 1 << index)
    };
    let exclusive = set(Kind::is_exclusive);
    let mut ids: Vec<ConsumerId> = Vec::new();
    let mut tallies = Vec::new();
    for (index, node) in plan.nodes.iter().enumerate() {
        let tally = Arc::new(Tally::default());
        let probe = |thread| Probe {
            kind: node.kind,
            node: index,
            thread,
            follows: node.follows.iter().fold(0, |set, other| set | 1 << other),
            changes: u64::from((before[index] & exclusive).count_ones()),
            batch_max: node.batch_max,
            tally: Arc::clone(&tally),
            last: None,
            left: 0,
            is_begun: false,
            is_ended: true,
        };
        let probes = || (0..node.threads as u64).map(probe).collect::<Vec<_>>();
        let follows: Vec<_> = node.follows.iter().map(|&other| ids[other]).collect();
        macro_rules! add {
            ($consumer:expr) => {{
                let consumer = $consumer.max_batch(usize::try_from(node.batch_max).unwrap_or(usize::MAX));
                if follows.is_empty() {
                    disruptor.handle(consumer).map(|group| group.id())
                } else {
                    disruptor.after(&follows).and_then(|group| Ok(group.then_handle(consumer)?.id()))
                }
            }};
        }
        let id: Result<ConsumerId, GraphError> = match node.kind {
            Kind::Reading => add!(Consumer::reading(probe(0))),
            Kind::Modifying => add!(Consumer::modifying(probe(0))),
            Kind::Batches => add!(Consumer::batches(probe(0))),
            Kind::Fallible => add!(Consumer::fallible(probe(0))),
            Kind::Pool => add!(Consumer::workers(probes())),
            Kind::Partition => add!(Consumer::partitioned(|event: &Event| event.key, probes())),
        };
        ids.push(id.expect("consumers join an open disruptor"));
        tallies.push(tally);
    }
    tallies
}

/// Claims `count` slots and publishes `keep` of them.
fn publish<P: ProducerKind>(
    producer: &mut RingBuffer<Event, P, Wait>,
    count: usize,
    keep: usize,
    claim: fn(&mut RingBuffer<Event, P, Wait>, usize) -> Claimed<'_, P>,
) -> Result<(), ClaimError> {
    let mut claim = claim(producer, count)?;
    let first = claim.sequences().start;
    (first..).zip(claim.slots_mut()).for_each(|(at, event)| event.write(at, at % KEYS as u64));
    claim.publish_prefix(keep);
    Ok(())
}
