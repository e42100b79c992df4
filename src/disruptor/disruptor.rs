//! The disruptor itself: its consumers, its start, and its end.

use std::io;
use std::mem;
use std::ops::Range;
use std::ptr;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_utils::CachePadded;

use super::consumer::{Consumer, Sharing};
use super::control::Phase;
use super::error::{GraphError, StartError};
use super::failure::{ExceptionHandler, Failure, FailurePolicy};
use super::gate::Gate;
use super::graph::{Conflict, ConsumerId, Graph, Node};
use super::group::Group;
use super::handler::{EventHandler, EventHandlerMut};
use super::home::{Belongings, Home, seat_late};
use super::launch::{Launch, launch};
use super::poller::EventPoller;
use super::processor::{Position, Processor, Runner};
use super::ring::Ring;
use super::ring_buffer::RingBuffer;
use super::sequencer::{MultiProducer, ProducerKind, Sequencer, SingleProducer};
use super::stage::{Access, IntoStage, Stage};
use super::stats::{Monitor, Stats};
use super::stepper::Stepper;
use super::sync::AtomicU64;
use super::wait::WaitStrategy;
use super::wait_strategies::BlockingWaitStrategy;
use crate::sys::memory::MemoryReport;
use crate::sys::placement::Plan;

/// A worker takes at most so many events at once, unless it is told otherwise.
const POOL_BATCH_MAX: u64 = 64;

type GateList = Arc<[Arc<Gate>]>;

/// A ring with its producers and its consumers.
///
/// Its life: add consumers, [`start`](Self::start), publish, [`shutdown`](Self::shutdown). Consumers
/// and pollers may be added and removed while events flow. Dropping it shuts it down, and waits.
/// Source: LMAX `Disruptor`.
pub struct Disruptor<E, P: ProducerKind = MultiProducer, W: WaitStrategy = BlockingWaitStrategy> {
    pub(super) ring: Arc<Ring<E, P, W>>,
    /// The built-in producer, unless it was taken out.
    pub(super) producer: Option<RingBuffer<E, P, W>>,
    pub(super) graph: Graph,
    /// What `start` starts.
    pub(super) launches: Vec<Launch>,
    /// By thread, the node that it belongs to.
    pub(super) threads: Vec<(usize, JoinHandle<()>)>,
    policy: FailurePolicy,
    home: Home,
}

impl<E: Send + 'static, P: ProducerKind, W: WaitStrategy> Disruptor<E, P, W> {
    pub(super) fn new(ring: Arc<Ring<E, P, W>>, policy: FailurePolicy, home: Home) -> Self {
        let producer = Some(RingBuffer::new(Arc::clone(&ring)));
        let (graph, launches, threads) = (Graph::default(), Vec::new(), Vec::new());
        Self { ring, producer, graph, launches, threads, policy, home }
    }

    /// Adds a handler that reads every event, right behind the producers.
    ///
    /// Several threads may read an event at once, so it must be `Sync`:
    ///
    /// ```compile_fail,E0277
    /// # use std::cell::Cell;
    /// # let mut disruptor = badbatch::DisruptorBuilder::new().buffer_size(8).build::<Cell<u64>>()?;
    /// disruptor.handle_events_with(|event: &Cell<u64>, _: u64, _: bool| event.set(1))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// And any event moves between threads, so it must be `Send`:
    ///
    /// ```compile_fail,E0277
    /// # use std::rc::Rc;
    /// let disruptor = badbatch::DisruptorBuilder::new().buffer_size(8).build::<Rc<u64>>()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle_events_with<H>(&mut self, handler: H) -> Result<Group<'_, E, P, W>, GraphError>
    where
        E: Sync,
        H: EventHandler<E>,
    {
        self.handle(Consumer::reading(handler))
    }

    /// Adds a handler that changes every event, right behind the producers.
    pub fn handle_events_mut_with<H: EventHandlerMut<E>>(
        &mut self,
        handler: H,
    ) -> Result<Group<'_, E, P, W>, GraphError> {
        self.handle(Consumer::modifying(handler))
    }

    /// Adds a consumer of any kind, right behind the producers.
    ///
    /// Before [`start`](Self::start), its thread waits for the start. After it, the thread starts at
    /// once, and the first event is the next one that is claimed; it follows every consumer that
    /// changes events, and if it changes events itself, every consumer there is.
    pub fn handle<S: IntoStage<E>>(
        &mut self,
        consumer: Consumer<E, S>,
    ) -> Result<Group<'_, E, P, W>, GraphError> {
        let id = self.add(consumer, Vec::new())?;
        Ok(Group::new(self, vec![id]))
    }

    /// The group of these consumers, so that others can be added behind all of them.
    pub fn after(&mut self, ids: &[ConsumerId]) -> Result<Group<'_, E, P, W>, GraphError> {
        for &id in ids {
            self.graph.find(id, self.ring.control.brand)?;
        }
        Ok(Group::new(self, ids.to_vec()))
    }

    /// Adds a poller behind these consumers; right behind the producers if there are none.
    ///
    /// It follows every consumer that changes events and was added before it, too.
    pub fn new_poller(&mut self, after: &[ConsumerId]) -> Result<EventPoller<E, P, W>, GraphError>
    where
        E: Sync,
    {
        self.check_open()?;
        let mut follows = self.nodes(after)?;
        follows.extend(self.exclusive_nodes());
        let name: Arc<str> = format!("poller-{}", self.graph.nodes.len()).into();
        let (upstream, gates) = self.join(name, Access::Shared, follows, 1);
        Ok(EventPoller::new(Arc::clone(&self.ring), Arc::clone(&gates[0]), upstream))
    }

    /// Removes a running consumer while events flow: it stops after the events that it is handling,
    /// and nobody waits for it any more. Returns the sequence before which it has handled all.
    ///
    /// Its thread has ended when this returns, so it cannot be called from a handler.
    pub fn remove(&mut self, id: ConsumerId) -> Result<u64, GraphError> {
        self.check_open()?;
        let node = self.graph.find(id, self.ring.control.brand)?;
        let name = || Arc::clone(&self.graph.nodes[node].name);
        if self.ring.control.phase() != Phase::Running {
            return Err(GraphError::NotStarted { name: name() });
        }
        if self.is_own_thread() {
            return Err(GraphError::OnConsumerThread { name: name() });
        }
        if let Some(follower) = self.graph.follower_of(node) {
            return Err(GraphError::HasFollowers { name: name(), follower: Arc::clone(&follower.name) });
        }
        let gates = self.graph.gates_of(&[node]);
        gates.iter().for_each(|gate| self.ring.control.stop(gate));
        self.join_threads(|of| of == node);
        let handled = gates.iter().map(|gate| gate.sequence()).min().unwrap_or_default();
        gates.iter().for_each(|gate| self.ring.control.gates.remove(gate));
        Ok(handled)
    }

    /// Starts all threads, or none: checks the graph, starts each handler, then lets them go.
    ///
    /// Errors: after `Spawn`, `Handler`, and `Pin` for a reason of the system, the handlers are gone, and the
    /// disruptor can only be dropped.
    pub fn start(&mut self) -> Result<(), StartError> {
        self.check_startable()?;
        self.home.seat(&mut self.launches)?;
        self.home.settle(&belongings(&self.ring), &self.launches);
        let threads =
            launch(&self.ring.control, mem::take(&mut self.launches)).inspect_err(|error| match error {
                StartError::Handler(failure) => self.ring.control.poison(failure.clone()),
                _ => self.ring.control.halt(),
            })?;
        self.threads = threads;
        self.ring.control.enter(Phase::Running);
        Ok(())
    }

    /// Starts the handlers on this thread instead of their own, to be driven step by step.
    pub fn into_stepper(mut self) -> Result<Stepper<E, P, W>, StartError> {
        self.check_startable()?;
        let mut runners: Vec<Box<dyn Runner>> = Vec::new();
        for launch in mem::take(&mut self.launches) {
            let started = launch.make_runner().and_then(|mut runner| match runner.start() {
                Ok(()) => Ok(runner),
                Err(failure) => Err(StartError::Handler(failure)),
            });
            match started {
                Ok(runner) => runners.push(runner),
                Err(error) => {
                    runners.iter_mut().for_each(|runner| runner.shut_down());
                    self.ring.control.halt();
                    return Err(error);
                }
            }
        }
        self.ring.control.enter(Phase::Stepping);
        Ok(Stepper::new(self, runners))
    }

    /// The built-in producer.
    ///
    /// Panics: if it has been taken out with `take_producer`.
    pub fn ring_buffer(&mut self) -> &mut RingBuffer<E, P, W> {
        self.producer.as_mut().expect("the producer has been taken out of this disruptor")
    }

    /// Which thread was placed where, and why; `None` before the start, and where nothing was placed.
    pub fn placement(&self) -> Option<&Plan> {
        self.home.plan()
    }

    /// Where the memory of the ring lies. The system is asked, page by page, which takes a moment.
    ///
    /// Errors: the system's; `Unsupported` outside Linux.
    pub fn memory_report(&self) -> io::Result<MemoryReport> {
        self.home.report(&belongings(&self.ring))
    }

    /// How far everybody is. Reads counters that are kept anyway; the hot path pays nothing.
    pub fn stats(&self) -> Stats {
        Stats::read(&self.ring.control, self.ring.cursor())
    }

    /// A reader of the [`stats`](Self::stats) that other threads can keep.
    pub fn monitor(&self) -> Monitor {
        let ring = Arc::clone(&self.ring);
        Monitor { read: Arc::new(move || Stats::read(&ring.control, ring.cursor())) }
    }

    /// The first failure of a handler that poisoned the disruptor.
    pub fn first_failure(&self) -> Option<Failure> {
        self.ring.control.failure()
    }

    /// The consumers and who follows whom, in the DOT language of Graphviz.
    pub fn to_dot(&self) -> String {
        self.graph.to_dot()
    }

    /// Adds `consumer` behind the nodes `follows`.
    pub(super) fn add<S: IntoStage<E>>(
        &mut self,
        consumer: Consumer<E, S>,
        mut follows: Vec<usize>,
    ) -> Result<ConsumerId, GraphError> {
        self.check_open()?;
        let Consumer { stages, sharing, options } = consumer;
        if stages.is_empty() {
            return Err(GraphError::NoHandlers);
        }
        let access = <S::Stage as Stage<E>>::ACCESS;
        if self.ring.control.phase() != Phase::Fresh {
            match access {
                Access::Shared => follows.extend(self.exclusive_nodes()),
                Access::Exclusive => follows = self.graph.live().collect(),
            }
        }
        let node = self.graph.nodes.len();
        let name: Arc<str> = options.name.unwrap_or_else(|| format!("consumer-{node}").into());
        if self.graph.live().any(|node| self.graph.nodes[node].name == name) {
            return Err(GraphError::NameTaken { name });
        }
        let (upstream, gates) = self.join(name, access, follows, stages.len());
        let first = gates.iter().map(|gate| gate.sequence()).max().unwrap_or_default();
        // All threads of a consumer start together, or one that never gets to work says that it stopped
        // before the others began.
        gates.iter().for_each(|gate| gate.release(first, self.ring.control.consumers_signal));
        let pool = (sharing == Sharing::Pool).then(|| Arc::new(CachePadded::new(AtomicU64::new(first))));
        let quarter = (self.ring.control.capacity / 4).max(1);
        let batch_max = options.batch_max.unwrap_or(match sharing {
            Sharing::All => quarter,
            Sharing::Pool => quarter.min(POOL_BATCH_MAX),
        });
        let exceptions =
            options.exceptions.unwrap_or_else(|| Arc::new(self.policy) as Arc<dyn ExceptionHandler<E>>);
        let launches = stages.into_iter().zip(gates.iter()).enumerate().map(|(index, (stage, gate))| {
            let position = Position {
                ring: Arc::clone(&self.ring),
                gate: Arc::clone(gate),
                upstream: Arc::clone(&upstream),
                pool: pool.clone(),
                batch_max,
                exceptions: Arc::clone(&exceptions),
            };
            let make = move || Box::new(Processor::new(position, stage.into_stage())) as Box<dyn Runner>;
            Launch {
                node,
                name: Arc::clone(&gate.name),
                pin: options.pins.of_thread(index),
                cpus: None,
                make: Box::new(make),
            }
        });
        let mut launches: Vec<Launch> = launches.collect();
        if self.ring.control.phase() == Phase::Fresh {
            self.launches.extend(launches);
        } else {
            let threads = seat_late(&mut launches)
                .and_then(|()| launch(&self.ring.control, launches))
                .inspect_err(|_| gates.iter().for_each(|gate| self.ring.control.gates.remove(gate)))?;
            self.threads.extend(threads);
        }
        Ok(ConsumerId { brand: self.ring.control.brand, node })
    }

    /// Puts a node into the graph and its gates before the producers.
    fn join(
        &mut self,
        name: Arc<str>,
        access: Access,
        mut follows: Vec<usize>,
        threads: usize,
    ) -> (GateList, GateList) {
        follows.sort_unstable();
        follows.dedup();
        let upstream = self.graph.gates_of(&follows);
        let gates: GateList = (0..threads)
            .map(|thread| {
                let name = if threads == 1 { Arc::clone(&name) } else { format!("{name}-{thread}").into() };
                Arc::new(Gate::new(name, self.ring.control.spares_publishers))
            })
            .collect();
        let control = &self.ring.control;
        for gate in gates.iter() {
            control.gates.join(gate, || self.ring.sequencer.claimed());
            control.catch_up(gate);
        }
        self.graph.nodes.push(Node { name, access, follows, gates: gates.to_vec() });
        (upstream, gates)
    }

    fn check_open(&self) -> Result<(), GraphError> {
        if self.ring.control.phase() > Phase::Running { Err(GraphError::Closed) } else { Ok(()) }
    }

    fn check_startable(&self) -> Result<(), StartError> {
        if self.ring.control.phase() != Phase::Fresh {
            return Err(StartError::AlreadyStarted);
        }
        if self.graph.live().next().is_none() {
            return Err(StartError::NoConsumers);
        }
        match self.graph.conflict() {
            None => Ok(()),
            Some(Conflict { exclusive, other }) => Err(StartError::Conflict { exclusive, other }),
        }
    }

    /// The nodes of these consumers.
    pub(super) fn nodes(&self, ids: &[ConsumerId]) -> Result<Vec<usize>, GraphError> {
        ids.iter().map(|&id| self.graph.find(id, self.ring.control.brand)).collect()
    }

    fn exclusive_nodes(&self) -> impl Iterator<Item = usize> {
        self.graph.live().filter(|&node| self.graph.nodes[node].access == Access::Exclusive)
    }
}

impl<E: Send + 'static, W: WaitStrategy> Disruptor<E, SingleProducer, W> {
    /// The producer, to be moved to its thread; `None` if it was taken before.
    ///
    /// Drop it before the shutdown, which otherwise fails with
    /// [`ProducerActive`](super::ShutdownError::ProducerActive). It cannot be cloned:
    ///
    /// ```compile_fail,E0599
    /// # let mut disruptor = badbatch::DisruptorBuilder::new().buffer_size(8).single_producer().build::<u64>()?;
    /// let producer = disruptor.take_producer().unwrap();
    /// let second = producer.clone(); // two threads would claim the same slots
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn take_producer(&mut self) -> Option<RingBuffer<E, SingleProducer, W>> {
        let producer = self.producer.take()?;
        self.ring.control.producer_taken();
        Some(producer)
    }
}

impl<E: Send + 'static, W: WaitStrategy> Disruptor<E, MultiProducer, W> {
    /// Another producer, to be moved to its thread.
    pub fn producer(&self) -> RingBuffer<E, MultiProducer, W> {
        RingBuffer::new(Arc::clone(&self.ring))
    }
}

/// What a ring has in memory.
fn belongings<E, P: ProducerKind, W>(ring: &Ring<E, P, W>) -> Belongings<'_> {
    let gates = ring.control.gates.snapshot();
    let gates = gates.iter().map(|gate| addresses(&**gate));
    let counters = [addresses(ring), addresses(&*ring.control), ring.sequencer.stamps()];
    Belongings { slots: ring.slots.block(), sequences: counters.into_iter().chain(gates).collect() }
}

fn addresses<T>(value: &T) -> Range<usize> {
    let start = ptr::from_ref(value).addr();
    start..start + size_of::<T>()
}
