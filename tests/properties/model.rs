//! A ring beside a queue that says what it must do: bytes become operations, and both must agree.
//!
//! The model knows every sequence as claimed, published or skipped, and where each poller stands.
//! It runs on one thread, so each answer of the ring is determined; `tests/properties.rs` and the
//! fuzz target `ring_ops` both feed it.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use badbatch::disruptor::{
    Batch, BuildError, ClaimBatch, ClaimError, DisruptorBuilder, EventPoller, MultiProducer,
    NamedWaitStrategy, PollError, ProducerKind, RingBuffer, ShutdownError, SingleProducer, SlotsMut,
    WaitStrategy,
};

type Wait = Box<dyn WaitStrategy>;
type Disruptor<K> = badbatch::Disruptor<u64, K, Wait>;
type Producer<K> = RingBuffer<u64, K, Wait>;

/// The end of all sequences, as the documentation of `first_sequence` has it.
const SEQUENCE_MAX: u64 = 1 << 62;
/// Enough to read one beside the other, and few enough that they often meet.
const POLLERS_MAX: usize = 4;

/// Plays the operations that `bytes` stand for on a new ring; panics where it and the model differ.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let is_single = input.below(2) == 0;
    let size = 1 << input.below(4);
    let is_started = input.below(2) == 0;
    let wait = [NamedWaitStrategy::Blocking, NamedWaitStrategy::BusySpin][input.below(2)].build();
    let first = match input.below(6) {
        0 | 1 => 0,
        2 => input.long() % SEQUENCE_MAX,
        3 => SEQUENCE_MAX - u64::from(input.byte() % 32),
        4 => SEQUENCE_MAX,
        _ => SEQUENCE_MAX.saturating_add(1).max(input.long()),
    };
    let builder = DisruptorBuilder::new().buffer_size(size).first_sequence(first).wait_strategy(wait);
    let model = Model::new(is_single, size, first, is_started);
    if is_single {
        check_ring(builder.single_producer(), model, input);
    } else {
        check_ring(builder.multi_producer(), model, input);
    }
}

fn check_ring<K: Kind>(builder: DisruptorBuilder<K, Wait>, model: Model, input: Input<'_>) {
    let disruptor = match builder.build::<u64>() {
        Ok(disruptor) => disruptor,
        Err(error) => {
            assert!(matches!(error, BuildError::FirstSequenceOutOfRange { max: SEQUENCE_MAX, .. }));
            assert!(model.first > SEQUENCE_MAX, "{} is a fine first sequence", model.first);
            return;
        }
    };
    assert!(model.first <= SEQUENCE_MAX, "{} is no fine first sequence", model.first);
    let mut session = Session { disruptor: None, producers: Vec::new(), pollers: Vec::new(), model, input };
    session.open(disruptor);
    while !session.input.0.is_empty() && session.disruptor.is_some() {
        session.step();
    }
    session.end();
}

/// What the bytes say; zeros once they are used up.
struct Input<'b>(&'b [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    fn long(&mut self) -> u64 {
        (0..8).fold(0, |long, _| long << 8 | u64::from(self.byte()))
    }

    /// A number of slots, with a liking for the limits.
    fn size(&mut self, capacity: usize) -> usize {
        match self.below(16) {
            0 => 0,
            1 => usize::MAX,
            2 => capacity + 1,
            3 | 4 => capacity,
            other => 1 + other % capacity,
        }
    }
}

/// What the two kinds of producers do not have in common.
trait Kind: ProducerKind + Sized {
    /// The producers that the session starts with.
    fn producers(disruptor: &mut Disruptor<Self>) -> Vec<Producer<Self>>;

    /// Another producer beside this one, if there can be one.
    fn another(producer: &Producer<Self>) -> Option<Producer<Self>>;
}

impl Kind for SingleProducer {
    fn producers(disruptor: &mut Disruptor<Self>) -> Vec<Producer<Self>> {
        disruptor.take_producer().into_iter().collect()
    }

    fn another(_producer: &Producer<Self>) -> Option<Producer<Self>> {
        None
    }
}

impl Kind for MultiProducer {
    fn producers(disruptor: &mut Disruptor<Self>) -> Vec<Producer<Self>> {
        let producer = disruptor.producer();
        vec![producer.clone(), producer]
    }

    fn another(producer: &Producer<Self>) -> Option<Producer<Self>> {
        Some(producer.clone())
    }
}

/// What is known of a sequence that has been claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Claimed,
    Published(u64),
    Skipped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Fresh,
    Running,
    Closed,
    Halted,
}

/// How a claim waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Wait,
    Try,
    Timeout,
}

/// How many slots a claim wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Exactly(usize),
    UpTo(usize),
}

/// A [`ClaimError`] that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    BadSize,
    Unpublished(Range<u64>),
    Full(u64),
    TimedOut(u64),
    NotStarted,
    Closed,
    Halted,
    Exhausted,
}

impl From<ClaimError> for Refusal {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::BadSize { .. } => Self::BadSize,
            ClaimError::Unpublished { claimed } => Self::Unpublished(claimed),
            ClaimError::Full { missing, .. } => Self::Full(missing),
            ClaimError::TimedOut { missing, .. } => Self::TimedOut(missing),
            ClaimError::NotStarted => Self::NotStarted,
            ClaimError::Closed => Self::Closed,
            ClaimError::Halted => Self::Halted,
            ClaimError::Exhausted => Self::Exhausted,
            other => panic!("no model ends in: {other}"),
        }
    }
}

/// What one producer holds.
#[derive(Clone, Debug)]
struct Held {
    tokens: Range<u64>,
    forgotten: Range<u64>,
}

impl Held {
    const NOTHING: Self = Self { tokens: 0..0, forgotten: 0..0 };
}

struct Model {
    is_single: bool,
    capacity: u64,
    first: u64,
    life: Life,
    /// Where the accepted events end, once that is known.
    end: u64,
    /// What was claimed from `base` on. A single producer's claims stay its own until published.
    marks: VecDeque<Mark>,
    base: u64,
    /// By slot, what was written there last.
    contents: Vec<u64>,
    /// By producer.
    held: Vec<Held>,
    /// By poller, the next sequence that it has not read.
    cursors: Vec<u64>,
    /// The value that was written last; each is written once.
    written: u64,
}

impl Model {
    fn new(is_single: bool, size: usize, first: u64, is_started: bool) -> Self {
        Self {
            is_single,
            capacity: size as u64,
            first,
            life: if is_started { Life::Running } else { Life::Fresh },
            end: u64::MAX,
            marks: VecDeque::new(),
            base: first,
            contents: vec![0; size],
            held: Vec::new(),
            cursors: Vec::new(),
            written: 0,
        }
    }

    /// Everything below is claimed, or published if there is a single producer.
    fn claimed(&self) -> u64 {
        self.base + self.marks.len() as u64
    }

    fn mark(&self, sequence: u64) -> Mark {
        self.marks[(sequence - self.base) as usize]
    }

    fn slot(&mut self, sequence: u64) -> &mut u64 {
        &mut self.contents[(sequence & (self.capacity - 1)) as usize]
    }

    /// Everything below is published or given up.
    fn settled(&self) -> u64 {
        let open = self.marks.iter().position(|mark| *mark == Mark::Claimed).unwrap_or(self.marks.len());
        self.base + open as u64
    }

    /// Slots below may be claimed: no poller reads them, and nobody writes them any more.
    fn limit(&self) -> u64 {
        self.cursors.iter().copied().fold(self.settled(), u64::min) + self.capacity
    }

    fn refusal(&self) -> Option<Refusal> {
        match self.life {
            Life::Fresh | Life::Running => None,
            Life::Closed => Some(Refusal::Closed),
            Life::Halted => Some(Refusal::Halted),
        }
    }

    /// Whether a claim of this kind would wait for something that this thread would have to do.
    fn would_hang(&self, want: Want, form: Form) -> bool {
        let least = if let Want::Exactly(n) = want { n.min(self.capacity as usize) as u64 } else { 1 };
        self.life == Life::Running && form == Form::Wait && self.claimed() + least > self.limit()
    }

    /// Claims slots for a producer; they are its own until `publish` or `skip`.
    fn claim(&mut self, by: usize, want: Want, form: Form) -> Result<Range<u64>, Refusal> {
        let (least, most) = match want {
            Want::Exactly(n) if n == 0 || n as u64 > self.capacity => return Err(Refusal::BadSize),
            Want::UpTo(0) => return Err(Refusal::BadSize),
            Want::Exactly(n) => (n as u64, n as u64),
            Want::UpTo(max) => (1, self.capacity.min(max as u64)),
        };
        if let Some(refusal) = self.refusal() {
            if self.held[by].tokens.is_empty() {
                self.retire(by);
            }
            return Err(refusal);
        }
        if !self.held[by].tokens.is_empty() {
            return Err(Refusal::Unpublished(self.held[by].tokens.clone()));
        }
        self.skip_forgotten(by);
        let (start, limit) = (self.claimed(), self.limit());
        if start + least > SEQUENCE_MAX {
            return Err(Refusal::Exhausted);
        }
        if start + least > limit {
            let missing = start + least - limit;
            return Err(match form {
                Form::Try => Refusal::Full(missing),
                Form::Timeout => Refusal::TimedOut(missing),
                Form::Wait => Refusal::NotStarted,
            });
        }
        let claimed = start..(start + most).min(limit).min(SEQUENCE_MAX);
        if !self.is_single {
            self.marks.extend(claimed.clone().map(|_| Mark::Claimed));
        }
        Ok(claimed)
    }

    fn publish(&mut self, sequences: Range<u64>) {
        for sequence in sequences {
            let mark = Mark::Published(*self.slot(sequence));
            if self.is_single {
                assert_eq!(sequence, self.claimed(), "a single producer publishes in order");
                self.marks.push_back(mark);
            } else {
                self.settle(sequence, mark);
            }
        }
    }

    fn skip(&mut self, sequences: Range<u64>) {
        if !self.is_single {
            sequences.for_each(|sequence| self.settle(sequence, Mark::Skipped));
        }
    }

    fn settle(&mut self, sequence: u64, mark: Mark) {
        let known = &mut self.marks[(sequence - self.base) as usize];
        assert_eq!(*known, Mark::Claimed, "sequence {sequence} is settled twice");
        *known = mark;
    }

    fn skip_forgotten(&mut self, by: usize) {
        let forgotten = mem::replace(&mut self.held[by].forgotten, 0..0);
        self.skip(forgotten);
    }

    /// A producer gives up what it holds, for good.
    fn retire(&mut self, by: usize) {
        self.skip_forgotten(by);
        let tokens = mem::replace(&mut self.held[by].tokens, 0..0);
        self.skip(tokens);
        if self.is_single && self.life == Life::Closed {
            self.end = self.claimed();
        }
    }

    /// What a poller gets: sequences, and the events among them.
    fn poll(&mut self, poller: usize, max: usize) -> Polled {
        loop {
            let next = self.cursors[poller];
            if self.life == Life::Halted {
                return Err(Nothing::Halted);
            }
            if self.end <= next {
                return Err(Nothing::Closed);
            }
            let bound = next.saturating_add(max as u64).min(self.settled_from(next)).min(self.end);
            if bound <= next {
                return Err(Nothing::Idle);
            }
            let events: Vec<_> = (next..bound)
                .filter_map(|sequence| match self.mark(sequence) {
                    Mark::Published(value) => Some((sequence, value)),
                    Mark::Claimed | Mark::Skipped => None,
                })
                .collect();
            if !events.is_empty() {
                return Ok((next..bound, events));
            }
            self.cursors[poller] = bound;
        }
    }

    fn settled_from(&self, next: u64) -> u64 {
        (next..self.claimed()).find(|&at| self.mark(at) == Mark::Claimed).unwrap_or(self.claimed())
    }

    /// Drops the marks that nobody can ask for any more.
    fn trim(&mut self) {
        let oldest = self.cursors.iter().copied().fold(self.settled(), u64::min);
        while self.base < oldest {
            self.marks.pop_front();
            self.base += 1;
        }
    }
}

/// Why a poller has got nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nothing {
    Idle,
    Closed,
    Halted,
}

/// The sequences of a batch, and its events with theirs.
type Polled = Result<(Range<u64>, Vec<(u64, u64)>), Nothing>;

struct Session<'b, K: Kind> {
    /// Until it ends.
    disruptor: Option<Disruptor<K>>,
    producers: Vec<Producer<K>>,
    pollers: Vec<EventPoller<u64, K, Wait>>,
    model: Model,
    input: Input<'b>,
}

impl<K: Kind> Session<'_, K> {
    fn open(&mut self, mut disruptor: Disruptor<K>) {
        self.producers = K::producers(&mut disruptor);
        self.model.held = vec![Held::NOTHING; self.producers.len()];
        self.disruptor = Some(disruptor);
        self.join();
        if self.model.life == Life::Running {
            let disruptor = self.disruptor.as_mut().expect("it has just been opened");
            disruptor.start().expect("a poller is enough to start with");
        }
    }

    fn step(&mut self) {
        match self.input.below(20) {
            0..=4 => self.claim_guard(),
            5 => self.publish_one(),
            6 => self.publish_many(),
            7 => self.claim_tokens(),
            8 => self.write_token(),
            9 => self.publish_token(),
            10..=13 => self.poll(),
            14 => self.join(),
            15 => self.leave(),
            16 => self.look(),
            17 => self.replace_producer(),
            18 if self.input.below(8) == 0 => self.close(),
            _ => self.look(),
        }
        self.model.trim();
    }

    /// A producer, a number of slots and a form that neither hangs.
    fn choose(&mut self, want: fn(usize) -> Want) -> (usize, Want, Form) {
        let by = self.input.below(self.producers.len());
        let want = want(self.input.size(self.model.capacity as usize));
        let form = [Form::Wait, Form::Try, Form::Timeout][self.input.below(3)];
        (by, want, self.without_hanging(by, want, form))
    }

    /// `form`, unless this thread would wait for itself.
    fn without_hanging(&mut self, by: usize, want: Want, form: Form) -> Form {
        let is_possible = match want {
            Want::Exactly(n) => n > 0 && n as u64 <= self.model.capacity,
            Want::UpTo(max) => max > 0,
        };
        if is_possible && self.model.refusal().is_none() && self.model.held[by].tokens.is_empty() {
            // The claim that follows begins with this, and may so get the room that it needs.
            self.model.skip_forgotten(by);
        }
        if self.model.would_hang(want, form) { Form::Try } else { form }
    }

    fn claim_guard(&mut self) {
        let up_to = self.input.below(2) == 0;
        let (by, want, form) = self.choose(if up_to { Want::UpTo } else { Want::Exactly });
        let expected = self.model.claim(by, want, form);
        let claim = make_claim(&mut self.producers[by], want, form);
        let mut claim = match (claim, expected) {
            (Ok(claim), Ok(sequences)) => {
                assert_eq!(claim.sequences(), sequences, "{want:?} {form:?}");
                claim
            }
            (Err(error), Err(refusal)) => {
                return assert_eq!(Refusal::from(error), refusal, "{want:?} {form:?}");
            }
            (actual, expected) => {
                let actual = actual.map(|claim| claim.sequences());
                panic!("{want:?} {form:?} gives {actual:?} instead of {expected:?}");
            }
        };
        let claimed = claim.sequences();
        assert_eq!((claim.len() as u64, claim.is_empty()), (claimed.end - claimed.start, false));
        let writes = self.input.below(claim.len() + 1);
        fill(&mut self.model, claimed.start, claim.slots_mut(), writes);
        let mut left = claimed.clone();
        match self.input.below(8) {
            0..=2 => {
                assert_eq!(claim.publish(), claimed);
                self.model.publish(claimed);
            }
            3 | 4 => {
                let count = self.input.size(claim.len());
                left.start += (count as u64).min(left.end - left.start);
                assert_eq!(claim.publish_prefix(count), claimed.start..left.start);
                self.model.publish(claimed.start..left.start);
                self.model.skip(left);
            }
            5 => {
                claim.abort();
                self.model.skip(left);
            }
            6 => {
                let panicked = catch_unwind(AssertUnwindSafe(|| {
                    let _held = claim;
                    give_up_if(true);
                }));
                assert!(panicked.is_err());
                self.model.skip(left);
            }
            _ => {
                mem::forget(claim);
                if !self.model.is_single {
                    self.model.held[by].forgotten = left;
                }
            }
        }
    }

    fn publish_many(&mut self) {
        let panics = self.input.below(4) == 0;
        let (by, want, mut form) = self.choose(Want::Exactly);
        if form == Form::Timeout {
            form = Form::Try;
        }
        let Want::Exactly(n) = want else { unreachable!("it was made by `Exactly`") };
        let expected = self.model.claim(by, want, form);
        let Self { model, producers, .. } = self;
        let result = catch_unwind(AssertUnwindSafe(|| {
            let write = |slots: SlotsMut<'_, u64>| {
                let claimed = expected.clone().expect("nothing is to be written without a claim");
                assert_eq!(slots.len() as u64, claimed.end - claimed.start);
                fill(model, claimed.start, slots, n);
                give_up_if(panics);
            };
            if form == Form::Wait {
                producers[by].publish_batch(n, write)
            } else {
                producers[by].try_publish_batch(n, write)
            }
        }));
        self.settle(result, expected);
    }

    fn publish_one(&mut self) {
        let panics = self.input.below(4) == 0;
        let (by, _, form) = self.choose(Want::UpTo);
        let form = self.without_hanging(by, Want::Exactly(1), form);
        let expected = self.model.claim(by, Want::Exactly(1), form);
        let Self { model, producers, .. } = self;
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut put = |event: &mut u64| {
                let claimed = expected.clone().expect("nothing is to be written without a claim");
                write(model, claimed.start, event);
                give_up_if(panics);
            };
            let published = match form {
                Form::Wait => producers[by].publish_event(|event: &mut u64, sequence: u64| {
                    assert_eq!(Ok(sequence), expected.clone().map(|claimed| claimed.start));
                    put(event);
                }),
                Form::Try => producers[by].try_publish(put),
                Form::Timeout => producers[by].publish_timeout(Duration::ZERO, put),
            };
            published.map(|sequence| sequence..sequence + 1)
        }));
        self.settle(result, expected);
    }

    /// Compares what came of a publication with a closure, which may have given up.
    fn settle(
        &mut self,
        result: std::thread::Result<Result<Range<u64>, ClaimError>>,
        expected: Result<Range<u64>, Refusal>,
    ) {
        match result {
            Ok(result) => {
                assert_eq!(result.map_err(Refusal::from), expected);
                expected.into_iter().for_each(|claimed| self.model.publish(claimed));
            }
            Err(panic) if panic.is::<GivesUp>() => {
                expected.into_iter().for_each(|claimed| self.model.skip(claimed));
            }
            Err(panic) => resume_unwind(panic),
        }
    }

    fn claim_tokens(&mut self) {
        let (by, mut want, mut form) = self.choose(Want::Exactly);
        let is_one = self.input.below(2) == 0;
        if is_one {
            want = Want::Exactly(1);
            form = self.without_hanging(by, want, form);
        } else if form == Form::Timeout {
            form = Form::Try;
        }
        let expected = self.model.claim(by, want, form);
        let producer = &mut self.producers[by];
        let one = |sequence| sequence..sequence + 1;
        let actual = match (want, form) {
            (Want::Exactly(n), Form::Wait) if !is_one => producer.next_n(n),
            (Want::Exactly(n), _) if !is_one => producer.try_next_n(n),
            (_, Form::Wait) => producer.next().map(one),
            (_, Form::Try) => producer.try_next().map(one),
            (_, Form::Timeout) => producer.next_timeout(Duration::ZERO).map(one),
        };
        assert_eq!(actual.map_err(Refusal::from), expected, "{want:?} {form:?}");
        if let Ok(tokens) = expected {
            self.model.held[by].tokens = tokens;
        }
    }

    /// A producer and a sequence, which is often one that it holds.
    fn choose_sequence(&mut self) -> (usize, u64) {
        let by = self.input.below(self.producers.len());
        let whose = self.input.below(self.producers.len());
        let Range { start, end } = self.model.held[whose].tokens.clone();
        let sequence = match self.input.below(8) {
            0 => start.wrapping_sub(1),
            1 => end,
            2 => self.input.long(),
            3 => self.model.base,
            other => start + other as u64 % (end - start).max(1),
        };
        (by, sequence)
    }

    fn write_token(&mut self) {
        let (by, sequence) = self.choose_sequence();
        let is_own = self.model.held[by].tokens.contains(&sequence);
        match self.producers[by].get_mut(sequence) {
            Ok(event) => {
                assert!(is_own, "sequence {sequence} is not this producer's");
                write(&mut self.model, sequence, event);
            }
            Err(error) => assert_eq!((error.sequence, is_own), (sequence, false)),
        }
    }

    fn publish_token(&mut self) {
        let (by, sequence) = self.choose_sequence();
        self.producers[by].publish(sequence);
        let tokens = &mut self.model.held[by].tokens;
        if tokens.contains(&sequence) {
            let published = tokens.start..sequence + 1;
            tokens.start = published.end;
            self.model.publish(published);
        }
    }

    fn poll(&mut self) {
        if self.pollers.is_empty() {
            return;
        }
        let which = self.input.below(self.pollers.len());
        let max = if self.input.below(2) == 0 { usize::MAX } else { self.input.below(4) };
        let expected = self.model.poll(which, max);
        let poller = &mut self.pollers[which];
        let actual = if max == usize::MAX { poller.poll() } else { poller.take(max) };
        let Some(batch) = agree(actual, &expected) else { return };
        match self.input.below(8) {
            0 => mem::forget(batch),
            1 => {
                let panicked = catch_unwind(AssertUnwindSafe(|| {
                    let _held = batch;
                    give_up_if(true);
                }));
                assert!(panicked.is_err());
            }
            _ => {
                self.model.cursors[which] = batch.sequences().end;
                drop(batch);
            }
        }
        assert_eq!(poller.sequence(), self.model.cursors[which]);
    }

    fn join(&mut self) {
        let Some(disruptor) = &mut self.disruptor else { return };
        if self.pollers.len() < POLLERS_MAX {
            let poller = disruptor.new_poller(&[]).expect("the disruptor is open");
            self.model.cursors.push(self.model.claimed());
            assert_eq!(poller.sequence(), self.model.claimed(), "a poller starts at the next claim");
            self.pollers.push(poller);
        }
    }

    fn leave(&mut self) {
        if !self.pollers.is_empty() {
            let which = self.input.below(self.pollers.len());
            drop(self.pollers.remove(which));
            self.model.cursors.remove(which);
        }
    }

    fn replace_producer(&mut self) {
        let by = self.input.below(self.producers.len());
        if let Some(producer) = K::another(&self.producers[by]) {
            self.producers[by] = producer;
            self.model.retire(by);
        }
    }

    /// Compares the figures that anybody can read.
    fn look(&mut self) {
        let model = &self.model;
        for (producer, held) in self.producers.iter().zip(&model.held) {
            assert_eq!(producer.capacity() as u64, model.capacity);
            if model.life != Life::Halted {
                // What is published after a halt may count or not.
                assert_eq!(producer.cursor(), model.claimed().min(model.end));
            }
            if model.settled() == model.claimed() {
                let claimed = model.claimed().max(held.tokens.end);
                let slowest = model.cursors.iter().copied().fold(claimed, u64::min);
                let free = model.capacity - (claimed - slowest);
                assert_eq!(producer.remaining_capacity() as u64, free);
            }
        }
        let Some(disruptor) = &self.disruptor else { return };
        let stats = disruptor.stats();
        assert_eq!((stats.capacity as u64, stats.cursor), (model.capacity, model.claimed()));
        let stood: Vec<_> = stats.consumers.iter().map(|consumer| consumer.sequence).collect();
        assert_eq!(stood, model.cursors);
        assert!(stats.consumers.iter().all(|consumer| consumer.sequence + consumer.lag == stats.cursor));
    }

    fn close(&mut self) {
        let Some(mut disruptor) = self.disruptor.take() else { return };
        match self.input.below(3) {
            0 => {
                self.model.life = Life::Halted;
                let halted = disruptor.halt();
                // What is claimed and unpublished may count as lost or not.
                let behind = |end: &dyn Fn(u64) -> u64| {
                    self.model.cursors.iter().filter(|&&cursor| cursor < end(cursor)).count()
                };
                let least = behind(&|cursor| self.model.settled_from(cursor));
                let most = behind(&|_| self.model.claimed());
                assert!((least..=most).contains(&halted.unconsumed.len()), "{halted:?}");
            }
            1 => {
                self.model.life = Life::Closed;
                drop(disruptor);
            }
            _ => {
                self.model.life = Life::Closed;
                match disruptor.shutdown() {
                    Ok(drained) => {
                        assert!(!self.model.is_single, "the single producer is out");
                        assert_eq!(drained.end, self.model.claimed());
                    }
                    Err(ShutdownError::ProducerActive { .. }) => assert!(self.model.is_single),
                    Err(error) => panic!("nothing has failed, but: {error}"),
                }
            }
        }
        if !self.model.is_single && self.model.life == Life::Closed {
            self.model.end = self.model.claimed();
        }
    }

    /// Closes, goes on for a while, and has every poller read to the end.
    fn end(&mut self) {
        self.close();
        for _ in 0..self.input.below(8) {
            self.step();
        }
        for by in 0..self.producers.len() {
            self.model.retire(by);
        }
        self.producers.clear();
        for (which, poller) in self.pollers.iter_mut().enumerate() {
            let over = loop {
                let expected = self.model.poll(which, usize::MAX);
                match agree(poller.poll(), &expected) {
                    Some(batch) => self.model.cursors[which] = batch.sequences().end,
                    None => break expected,
                }
            };
            let last = if self.model.life == Life::Halted { Nothing::Halted } else { Nothing::Closed };
            assert_eq!(over, Err(last), "every claim is settled, so a poller comes to the end");
        }
    }
}

fn make_claim<K: Kind>(
    producer: &mut Producer<K>,
    want: Want,
    form: Form,
) -> Result<ClaimBatch<'_, u64, K, Wait>, ClaimError> {
    match (want, form) {
        (Want::Exactly(n), Form::Wait) => producer.claim_n(n),
        (Want::Exactly(n), Form::Try) => producer.try_claim_n(n),
        (Want::Exactly(n), Form::Timeout) => producer.claim_n_timeout(n, Duration::ZERO),
        (Want::UpTo(max), Form::Wait) => producer.claim_up_to(max),
        (Want::UpTo(max), Form::Try) => producer.try_claim_up_to(max),
        (Want::UpTo(max), Form::Timeout) => producer.claim_up_to_timeout(max, Duration::ZERO),
    }
}

/// The payload of a panic on purpose, which prints nothing.
struct GivesUp;

fn give_up_if(panics: bool) {
    if panics {
        resume_unwind(Box::new(GivesUp));
    }
}

/// Writes an event, and checks that it was as its last user left it.
fn write(model: &mut Model, sequence: u64, event: &mut u64) {
    assert_eq!(*event, *model.slot(sequence), "an event keeps its content until it is claimed again");
    model.written += 1;
    *event = model.written;
    *model.slot(sequence) = model.written;
}

/// Writes the first `count` slots of a claim.
fn fill(model: &mut Model, first: u64, slots: SlotsMut<'_, u64>, count: usize) {
    (first..).zip(slots).take(count).for_each(|(sequence, event)| write(model, sequence, event));
}

/// The poller's batch, if it has one as expected.
fn agree<'p, K: Kind>(
    actual: Result<Batch<'p, u64, K, Wait>, PollError>,
    expected: &Polled,
) -> Option<Batch<'p, u64, K, Wait>> {
    let seen = match &actual {
        Ok(batch) => Ok((batch.sequences(), batch.iter().map(|(at, value)| (at, *value)).collect())),
        Err(PollError::Idle) => Err(Nothing::Idle),
        Err(PollError::Closed) => Err(Nothing::Closed),
        Err(PollError::Halted) => Err(Nothing::Halted),
        Err(other) => panic!("no model ends in: {other}"),
    };
    assert_eq!(seen, *expected);
    actual.ok()
}
