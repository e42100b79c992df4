//! Replication, running: threads and conversations between the nodes of a cluster.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use super::claim::{Claim, Outcome, Purpose, Step};
use super::entry::{Chosen, Entry};
use super::link::{ANSWER_TIME, Link, LinkFigures, ask};
use super::message::{Answer, Hello, Request, decode, encode};
use super::reign::Reign;
use super::replica::Role;
use crate::base::deadline::Deadline;
use crate::cluster::swim::NodeId;
use crate::cluster::{Cluster, Conversation};
use crate::engine::{Author, Defaults, Definition, Engine, EngineError, NamedDisruptor};

/// What conversations between homes and followers are about.
pub const TOPIC: &str = "replication";
/// Between two looks at what should be tried again.
const TICK: Duration = Duration::from_secs(1);
/// How long a node that waits for others goes without them, where no event was promised to be elsewhere.
const LATE: Duration = Duration::from_secs(10);
/// A home that has nothing to say for this long has gone.
const SILENCE: Duration = Duration::from_secs(10);
/// How long a home that yields waits for its sinks, and for its followers.
const FLUSH: Duration = Duration::from_secs(2);
/// When a home that has yielded goes on, since nobody took its place.
const YIELD: Duration = Duration::from_secs(5);
/// How long it may take to say what one has.
const ASK_TIME: Duration = Duration::from_secs(2);
/// How long a new disruptor's followers are waited for.
const GREET: Duration = Duration::from_secs(2);
/// How long another node may take to become the home.
const PROMOTION: Duration = Duration::from_secs(20);
/// Promises of disruptors that this node has no copy of.
const PROMISES_MAX: usize = 4096;

/// Why a node does not become the home.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PromoteError {
    /// The disruptor has no replicas.
    #[error("disruptor `{0}` has no replicas")]
    NotReplicated(String),
    /// Something that was acknowledged could be lost.
    #[error(
        "{reached} of {wanted} copies answer; events that were acknowledged could be lost, unless it is forced"
    )]
    Uncertain {
        /// Copies that answered and have all that was acknowledged when they were made.
        reached: usize,
        /// As many as there must be.
        wanted: usize,
    },
    /// It did not work, and may work later.
    #[error("{0}")]
    Failed(String),
}

/// The copies of this node's disruptors on others, and of theirs here.
pub struct Replication {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

pub(super) struct Shared {
    pub cluster: Arc<Cluster>,
    engine: Arc<Engine>,
    zone: Option<String>,
    pub entries: RwLock<BTreeMap<String, Arc<Entry>>>,
    /// What was promised before there was a copy.
    promises: Mutex<BTreeMap<String, Reign>>,
    conversations: AtomicU64,
    is_over: Arc<AtomicBool>,
    links: Mutex<Vec<JoinHandle<()>>>,
    /// Told when the disruptors that the next start is to begin with may be others.
    on_change: Box<dyn Fn() + Send + Sync>,
}

/// What a thread does until all is over.
type Work = fn(&Arc<Shared>);

impl Replication {
    /// Replicates the disruptors of an engine among the members of a cluster. `on_change` is called, on any thread, when
    /// it may be [defined here](Self::is_defined) what was not, or the other way round.
    ///
    /// Shape: two threads, and one for each follower of each disruptor that has its home here.
    ///
    /// Errors: the operating system's.
    pub fn start(
        cluster: Arc<Cluster>,
        engine: Arc<Engine>,
        zone: Option<String>,
        on_change: impl Fn() + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            cluster: Arc::clone(&cluster),
            engine,
            zone,
            entries: RwLock::default(),
            promises: Mutex::default(),
            conversations: AtomicU64::new(0),
            is_over: Arc::default(),
            links: Mutex::default(),
            on_change: Box::new(on_change),
        });
        let weak = Arc::downgrade(&shared);
        cluster.on_conversation(TOPIC, move |conversation| {
            if let Some(shared) = Weak::upgrade(&weak) {
                shared.converse(conversation);
            }
        });
        let replication = Self { shared, threads: Mutex::default() };
        let works: [(&str, Work); 2] =
            [("replication-members", Shared::watch), ("replication-claims", Shared::recover)];
        for (name, work) in works {
            let shared = Arc::clone(&replication.shared);
            let thread = Builder::new().name(name.to_owned()).spawn(move || work(&shared))?;
            replication.threads.lock().push(thread);
        }
        Ok(replication)
    }

    /// Takes a disruptor with replicas that is defined on this node, and that does not run. It follows until it is known
    /// whether its home is here.
    pub fn adopt(&self, disruptor: &Arc<NamedDisruptor>, starts: bool) {
        self.shared.adopt(disruptor, starts);
    }

    /// As [`adopt`](Self::adopt), for one that a client makes: it waits until that is known, and until enough followers
    /// are there, but not for long.
    pub fn create(&self, disruptor: &Arc<NamedDisruptor>, starts: bool) {
        let entry = self.shared.adopt(disruptor, starts);
        let outcome = self.shared.claim(&entry, Purpose::Create);
        *entry.trouble.lock() = trouble(&outcome);
        let needed = entry.level() - 1;
        entry.wait_until(Deadline::after(GREET), |replica| {
            replica.home().is_none_or(|home| {
                let counted = home.counted();
                let greeted = counted.iter().filter(|node| home.links()[*node].is_open()).count();
                greeted >= needed || counted.len() < needed
            })
        });
    }

    /// Whether the next start of this node is to begin with a disruptor, and whether it is to take events.
    pub fn is_defined(&self, name: &str) -> Option<bool> {
        let entry = self.shared.entry(name)?;
        // Relaxed: as where they are stored.
        entry.is_defined.load(Ordering::Relaxed).then(|| entry.starts.load(Ordering::Relaxed))
    }

    /// Makes this node the home of a disruptor that it has a copy of.
    ///
    /// Errors: [`PromoteError`]; the home is where it was, or nowhere.
    pub fn promote(&self, name: &str, by_force: bool) -> Result<(), PromoteError> {
        self.shared.promote(name, by_force)
    }

    /// Takes a disruptor out, here and, if this is its home, everywhere.
    pub fn remove(&self, name: &str) {
        let Some(entry) = self.shared.entries.write().remove(name) else { return };
        let home = entry.with(&self.shared.cluster, |replica| {
            let reign = replica.reign().cloned();
            let linked = replica.home().map(|home| home.links().keys().cloned().collect::<Vec<_>>());
            replica.retire();
            Some((reign?, linked?))
        });
        entry.disruptor.wake_readers();
        let Some((reign, linked)) = home else { return };
        let request = Request::Release(name.to_owned(), reign, u64::MAX);
        thread::scope(|scope| {
            for node in &linked {
                let request = &request;
                let tell = move || ask(&self.shared.cluster, node, request, ANSWER_TIME);
                let told = Builder::new().name("replication-release".to_owned()).spawn_scoped(scope, tell);
                if let Err(error) = told {
                    log::error!(target: "replication", "no thread to tell `{node}`: {error}");
                }
            }
        });
    }

    /// Has other nodes become the homes of what has its home here, since this node ends.
    pub fn hand_over(&self) {
        let entries: Vec<_> = self.shared.entries.read().values().cloned().collect();
        thread::scope(|scope| {
            for entry in entries.into_iter().filter(|entry| entry.is_home()) {
                let hand_over = move || self.shared.hand_over(&entry);
                let thread =
                    Builder::new().name("replication-hand-over".to_owned()).spawn_scoped(scope, hand_over);
                if let Err(error) = thread {
                    log::error!(target: "replication", "no thread to hand over: {error}");
                }
            }
        });
    }

    /// Ends every thread. What has its home here keeps it.
    pub fn end(&self) {
        // Relaxed: everybody is woken, and looks.
        self.shared.is_over.store(true, Ordering::Relaxed);
        for entry in self.shared.entries.read().values() {
            entry.look(|_| entry.changed.notify_all());
            entry.disruptor.wake_readers();
        }
        let links = std::mem::take(&mut *self.shared.links.lock());
        for thread in self.threads.lock().drain(..).chain(links) {
            // It does nothing that could panic but by our own fault, which has been printed.
            let _ended = thread.join();
        }
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.shared.cluster
    }

    pub(super) fn entry(&self, name: &str) -> Option<Arc<Entry>> {
        self.shared.entry(name)
    }
}

impl Drop for Replication {
    fn drop(&mut self) {
        self.end();
    }
}

/// How long an answer is waited for.
fn patience(request: &Request) -> Duration {
    match request {
        Request::Ask(_) | Request::Claim(..) => ASK_TIME,
        _ => ANSWER_TIME,
    }
}

fn trouble(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Home | Outcome::Follows(_) => None,
        Outcome::Later(why) => Some(why.clone()),
        Outcome::Uncertain { reached, wanted } => Some(format!(
            "{reached} of {wanted} copies answer, and events that were acknowledged could be lost"
        )),
    }
}

impl Shared {
    fn entry(&self, name: &str) -> Option<Arc<Entry>> {
        self.entries.read().get(name).cloned()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn adopt(&self, disruptor: &Arc<NamedDisruptor>, starts: bool) -> Arc<Entry> {
        let mut entries = self.entries.write();
        let promised = self.promises.lock().remove(disruptor.name());
        let id = self.cluster.id().clone();
        let entry = Arc::new(Entry::new(id, Arc::clone(disruptor), true, promised));
        entry.starts.store(starts, Ordering::Relaxed);
        entries.insert(disruptor.name().to_owned(), Arc::clone(&entry));
        entry
    }

    /// Follows what becomes of the members.
    fn watch(self: &Arc<Self>) {
        let watch = self.cluster.watch();
        while !self.is_over() && !watch.is_over() {
            // One event says that something has changed; what, is looked up.
            let _changed = watch.next(TICK);
            let entries: Vec<_> = self.entries.read().values().cloned().collect();
            entries.iter().for_each(|entry| self.refresh(entry));
        }
    }

    /// Sees to it that a home's followers are those that it should have, and that publishers know where the home is.
    fn refresh(self: &Arc<Self>, entry: &Arc<Entry>) {
        let yielded = *entry.yielded.lock();
        if yielded.is_some_and(|since| since.elapsed() > YIELD) && entry.is_home() {
            log::warn!(target: "replication", disruptor = entry.name(); "nobody took the home over; it goes on here");
            *entry.yielded.lock() = None;
            if let Err(error) = entry.disruptor.lead() {
                log::error!(target: "replication", disruptor = entry.name(); "{error}");
            }
        }
        let Some(Chosen { reign, choice, released, linked }) =
            entry.choose(&self.cluster, self.zone.as_deref())
        else {
            return;
        };
        for node in linked {
            let figures = {
                let mut links = entry.links.lock();
                if links.contains_key(&node) {
                    continue;
                }
                Arc::clone(links.entry(node.clone()).or_default())
            };
            self.start_link(entry, node, figures);
        }
        for node in released {
            let request = Request::Release(entry.name().to_owned(), reign.clone(), choice);
            let shared = Arc::clone(self);
            // Who cannot be told now keeps a copy that nobody counts, until the next home tells it.
            let tell = move || drop(ask(&shared.cluster, &node, &request, ANSWER_TIME));
            self.spawn("replication-release", tell);
        }
    }

    fn start_link(&self, entry: &Arc<Entry>, follower: NodeId, figures: Arc<LinkFigures>) {
        let (cluster, is_over) = (Arc::clone(&self.cluster), Arc::clone(&self.is_over));
        let entry = Arc::clone(entry);
        let link = Link { cluster, entry, follower, figures, is_over };
        self.spawn("replication-link", move || {
            link.run();
            link.entry.links.lock().remove(&link.follower);
        });
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) {
        match Builder::new().name(name.to_owned()).spawn(work) {
            Ok(thread) => {
                let mut links = self.links.lock();
                links.retain(|thread| !thread.is_finished());
                links.push(thread);
            }
            // Tried again with the next look.
            Err(error) => log::error!(target: "replication", "no thread: {error}"),
        }
    }

    /// Claims, again and again, what is defined here and has no home.
    fn recover(self: &Arc<Self>) {
        while !self.is_over() {
            let entries: Vec<_> = self.entries.read().values().cloned().collect();
            let is_claimant = |entry: &&Arc<Entry>| {
                entry.look(|replica| matches!(replica.role(), Role::Claiming)) && !entry.claiming.is_locked()
            };
            let claimants: Vec<_> = entries.iter().filter(is_claimant).collect();
            thread::scope(|scope| {
                for entry in &claimants {
                    let claim = move || {
                        let is_late = entry.waits_since.lock().elapsed() > LATE;
                        let outcome = self.claim(entry, Purpose::Recover { is_late });
                        self.tell_trouble(entry, trouble(&outcome));
                    };
                    let thread =
                        Builder::new().name("replication-claim".to_owned()).spawn_scoped(scope, claim);
                    if let Err(error) = thread {
                        log::error!(target: "replication", "no thread to claim: {error}");
                    }
                }
            });
            // Those who join are asked soon; there may be none to ask yet.
            let pause = if claimants.is_empty() { TICK } else { TICK / 4 };
            let deadline = Deadline::after(pause);
            while !self.is_over() && !deadline.has_passed() {
                thread::park_timeout(deadline.remaining().unwrap_or(pause).min(TICK / 4));
            }
        }
    }

    fn tell_trouble(&self, entry: &Entry, trouble: Option<String>) {
        let mut told = entry.trouble.lock();
        if *told != trouble {
            if let Some(trouble) = &trouble {
                log::info!(target: "replication", disruptor = entry.name(); "no home yet: {trouble}");
            }
            *told = trouble;
        }
        drop(told);
        entry.with(&self.cluster, |_| ());
    }

    /// Claims to be the home.
    fn claim(self: &Arc<Self>, entry: &Arc<Entry>, purpose: Purpose) -> Outcome {
        let _alone = entry.claiming.lock();
        let members = self.cluster.members();
        let present = members.into_iter().filter(|member| member.state.is_present());
        let peers = present.map(|member| member.id).collect();
        let mut token = [0; 8];
        if let Err(error) = getrandom::fill(&mut token) {
            return Outcome::Later(format!("no randomness: {error}"));
        }
        let mut claim = Claim::new(purpose, entry.level(), u64::from_le_bytes(token), peers);
        let mut step = entry.with(&self.cluster, |replica| claim.begin(replica));
        let outcome = loop {
            match step {
                Step::Over(outcome) => break outcome,
                Step::Wait => break Outcome::Later("it waits for nobody".to_owned()),
                Step::Ask(requests) => {
                    let answers = self.ask_all(&requests);
                    step = Step::Wait;
                    for (node, answer) in answers {
                        step = entry.with(&self.cluster, |replica| claim.hear(replica, &node, answer));
                        if matches!(step, Step::Ask(_)) {
                            break;
                        }
                    }
                }
            }
        };
        if outcome == Outcome::Home {
            if !entry.starts.load(Ordering::Relaxed)
                && let Err(error) = entry.disruptor.stop(Duration::ZERO)
            {
                log::error!(target: "replication", disruptor = entry.name(); "{error}");
            }
            self.refresh(entry);
            (self.on_change)();
        }
        outcome
    }

    fn ask_all(&self, requests: &[(NodeId, Request)]) -> Vec<(NodeId, Option<Answer>)> {
        thread::scope(|scope| {
            let asked: Vec<_> = requests
                .iter()
                .map(|(node, request)| {
                    let ask = move || ask(&self.cluster, node, request, patience(request));
                    let thread = Builder::new().name("replication-ask".to_owned()).spawn_scoped(scope, ask);
                    (node.clone(), thread)
                })
                .collect();
            let answers = asked.into_iter().map(|(node, thread)| {
                // Without a thread, or with one that panicked, it is as if the node had not answered.
                (node, thread.ok().and_then(|thread| thread.join().ok()).flatten())
            });
            answers.collect()
        })
    }

    fn promote(self: &Arc<Self>, name: &str, by_force: bool) -> Result<(), PromoteError> {
        let entry = self.entry(name).ok_or_else(|| PromoteError::NotReplicated(name.to_owned()))?;
        entry.starts.store(true, Ordering::Relaxed);
        match self.claim(&entry, Purpose::Promote { by_force }) {
            Outcome::Home => Ok(()),
            Outcome::Uncertain { reached, wanted } => Err(PromoteError::Uncertain { reached, wanted }),
            Outcome::Later(why) => Err(PromoteError::Failed(why)),
            Outcome::Follows(home) => Err(PromoteError::Failed(format!("node `{home}` is its home"))),
        }
    }

    /// Has the follower become the home that has most.
    fn hand_over(&self, entry: &Entry) {
        let mut followers: Vec<(u64, NodeId)> = entry.look(|replica| {
            let Some(home) = replica.home() else { return Vec::new() };
            let counted = home.counted();
            let open = counted.into_iter().filter(|node| home.links()[node].is_open());
            open.map(|node| (home.links()[&node].has().end, node)).collect()
        });
        followers.sort();
        for (_, node) in followers.iter().rev() {
            let request = Request::Promote(entry.name().to_owned());
            match ask(&self.cluster, node, &request, PROMOTION) {
                Some(Answer::Done) => return,
                Some(Answer::Refused(why)) => {
                    log::warn!(target: "replication", disruptor = entry.name(); "`{node}` does not take over: {why}");
                }
                _ => log::warn!(target: "replication", disruptor = entry.name(); "`{node}` does not answer"),
            }
        }
        log::warn!(
            target: "replication", disruptor = entry.name();
            "nobody takes over; `badbatch disruptor promote {}` on another node makes it the home", entry.name()
        );
    }

    /// Answers another node until it has gone.
    fn converse(self: &Arc<Self>, mut conversation: Conversation) {
        // Relaxed: a number, nothing else.
        let number = self.conversations.fetch_add(1, Ordering::Relaxed);
        let mut about: Option<Arc<Entry>> = None;
        let mut heard = Instant::now();
        while !self.is_over() && heard.elapsed() < SILENCE {
            match conversation.receive(TICK) {
                Ok(None) => continue,
                Err(_) => return,
                Ok(Some(message)) => {
                    heard = Instant::now();
                    let answer = match decode(&message) {
                        Ok(request) => self.answer(number, &mut about, conversation.peer(), request),
                        Err(why) => Answer::Refused(why),
                    };
                    if conversation.send(&encode(&answer)).is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn answer(
        self: &Arc<Self>,
        number: u64,
        about: &mut Option<Arc<Entry>>,
        peer: &NodeId,
        request: Request,
    ) -> Answer {
        match request {
            Request::Hello(hello) => match self.copy_for(&hello, peer) {
                Ok(entry) => {
                    *about = Some(Arc::clone(&entry));
                    entry.hear(&self.cluster, number, Request::Hello(hello))
                }
                Err(why) => Answer::Refused(why),
            },
            Request::Events(..) | Request::Skip(_) | Request::Beat(_) => match about {
                Some(entry) => entry.hear(&self.cluster, number, request),
                None => Answer::Refused("nobody has said hello".to_owned()),
            },
            Request::Ask(ref name) | Request::Fetch(ref name, _, _) => match self.entry(name) {
                Some(entry) => entry.hear(&self.cluster, number, request),
                None => Answer::Nothing,
            },
            Request::Claim(ref name, ref reign) => {
                let entries = self.entries.read();
                match entries.get(name) {
                    Some(entry) => entry.hear(&self.cluster, number, request),
                    // Whoever makes an entry waits, and takes the promise over.
                    None => self.promise(name, reign),
                }
            }
            Request::Release(name, reign, choice) => {
                self.release(&name, &reign, choice);
                Answer::Done
            }
            Request::Yield(name) => {
                if let Some(entry) = self.entry(&name) {
                    yield_to(&entry, peer);
                }
                Answer::Done
            }
            Request::Promote(name) => match self.promote(&name, false) {
                Ok(()) => Answer::Done,
                Err(error) => Answer::Refused(error.to_string()),
            },
        }
    }

    /// What this node has of a disruptor whose home says hello; it is made if there is none.
    fn copy_for(&self, hello: &Hello, peer: &NodeId) -> Result<Arc<Entry>, String> {
        let is_home = hello.lineage.last().is_some_and(|reign| reign.home == *peer);
        if !is_home {
            return Err(format!("node `{peer}` speaks for another one"));
        }
        let definition = serde_json::from_str(&hello.definition).map_err(|error| error.to_string())?;
        let definition = Definition::from_json(&definition, Some(&hello.name), &Defaults::default())
            .map_err(|errors| format!("its definition is wrong: {}", errors[0]))?;
        let mut entries = self.entries.write();
        if let Some(entry) = entries.get(&hello.name) {
            return match *entry.disruptor.definition() == definition {
                true => Ok(Arc::clone(entry)),
                false => Err(format!("`{}` is defined otherwise here", hello.name)),
            };
        }
        if definition.replicas < 2 {
            return Err("it has no replicas".to_owned());
        }
        let made = self.engine.create(definition, Author::Client);
        let disruptor = match made {
            Ok((disruptor, true)) => disruptor,
            Ok((_, false)) => return Err("it is being made or deleted here".to_owned()),
            Err(error @ EngineError::NameTaken { .. }) => return Err(format!("{error} here")),
            Err(error) => return Err(error.to_string()),
        };
        let promised = self.promises.lock().remove(&hello.name);
        let entry = Arc::new(Entry::new(self.cluster.id().clone(), disruptor, false, promised));
        entries.insert(hello.name.clone(), Arc::clone(&entry));
        log::info!(target: "replication", disruptor = hello.name.as_str(); "this node has a copy, from node `{peer}`");
        Ok(entry)
    }

    fn promise(&self, name: &str, reign: &Reign) -> Answer {
        let mut promises = self.promises.lock();
        match promises.get(name) {
            Some(promised) if promised > reign => return Answer::Superseded(promised.clone()),
            None if promises.len() >= PROMISES_MAX => {
                return Answer::Refused("this node has made too many promises".to_owned());
            }
            _ => {}
        }
        promises.insert(name.to_owned(), reign.clone());
        Answer::Nothing
    }

    /// Drops a copy that is not needed any more.
    fn release(&self, name: &str, reign: &Reign, choice: u64) {
        let entry = {
            let mut entries = self.entries.write();
            let Some(entry) = entries.get(name) else { return };
            if !entry.look(|replica| replica.is_released(reign, choice)) {
                return;
            }
            // An old home that has not heard of the last one would find an ear again.
            if let Some(promised) = entry.look(|replica| replica.promised().cloned()) {
                let _answer = self.promise(name, &promised);
            }
            entries.remove(name).expect("it was there")
        };
        if let Err(error) = self.engine.delete(&entry.disruptor, Duration::ZERO) {
            log::error!(target: "replication", disruptor = name; "the copy does not go: {error}");
        }
        log::info!(target: "replication", disruptor = name; "the copy on this node is not needed any more");
        (self.on_change)();
    }
}

/// Takes no more events, and waits until the followers have all of them.
fn yield_to(entry: &Entry, peer: &NodeId) {
    if !entry.is_home() {
        return;
    }
    *entry.yielded.lock() = Some(Instant::now());
    let reason = format!("it moves to node `{peer}`");
    entry.disruptor.set_whereabouts(crate::engine::Whereabouts::Nowhere(reason));
    entry.disruptor.follow(FLUSH);
    let deadline = Deadline::after(FLUSH);
    entry.wait_until(deadline, |replica| {
        let end = super::replica::Log::end(&replica.log);
        replica.home().is_none_or(|home| {
            let has_all = |node: &NodeId| home.links()[node].has().end >= end;
            home.counted().iter().all(has_all)
        })
    });
}
