//! A replicated disruptor of this node: its replica behind a lock, and what follows from a change of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::link::LinkFigures;
use super::message::{Answer, Request};
use super::placement::{Candidate, followers};
use super::reign::Reign;
use super::replica::{Log, Replica, Role};
use crate::base::deadline::Deadline;
use crate::cluster::Cluster;
use crate::cluster::swim::{Member, NodeId};
use crate::engine::{Event, NamedDisruptor, Whereabouts};

/// The metadata by which a node says where its REST interface is, and that by which it names its zone.
const HTTP: &str = "http";
pub const ZONE: &str = "zone";

/// A disruptor as a log.
pub struct Window(pub Arc<NamedDisruptor>);

impl Log for Window {
    fn start(&self) -> u64 {
        self.0.kept().start
    }

    fn end(&self) -> u64 {
        self.0.kept().end
    }

    fn floor(&self) -> u64 {
        self.0.floor()
    }

    fn handed(&self) -> u64 {
        self.0.handed()
    }

    fn set_handed(&mut self, handed: u64) {
        self.0.set_handed(handed);
    }

    fn run(&self, from: u64, bytes_max: usize) -> Vec<Event> {
        self.0.run(from, bytes_max)
    }

    fn append(&mut self, events: &[Event]) {
        // Only the replica writes a window that follows, so that it ends where the replica has looked.
        let _is_next = self.0.append(self.end(), events);
    }

    fn truncate_to(&mut self, sequence: u64) {
        self.0.truncate_to(sequence);
    }

    fn skip_to(&mut self, sequence: u64) {
        self.0.skip_to(sequence);
    }

    fn lead(&mut self) -> Result<(), String> {
        self.0.lead().map_err(|error| error.to_string())
    }

    fn follow(&mut self) {
        self.0.follow(Duration::ZERO);
        if let Some(copies) = self.0.copies() {
            copies.cease();
        }
    }
}

/// A replicated disruptor of this node.
pub struct Entry {
    pub disruptor: Arc<NamedDisruptor>,
    /// The definition as it is told to followers.
    pub definition: String,
    replica: Mutex<Replica<Window>>,
    /// Rung when the part of this node, or who its followers are, may have changed.
    pub changed: Condvar,
    /// Held while this node claims to be the home.
    pub claiming: Mutex<()>,
    /// Whether the next start of the node is to begin with it: it was made here, or had its home here.
    pub is_defined: AtomicBool,
    /// Whether it takes events when this node becomes the home.
    pub starts: AtomicBool,
    /// Since when it waits for a home, or has stopped its intake for another one.
    pub waits_since: Mutex<Instant>,
    pub yielded: Mutex<Option<Instant>>,
    /// Those that have a thread.
    pub links: Mutex<BTreeMap<NodeId, Arc<LinkFigures>>>,
    /// Why there is no home yet.
    pub trouble: Mutex<Option<String>>,
}

impl Entry {
    /// A disruptor that follows, until it is the home.
    pub fn new(
        me: NodeId,
        disruptor: Arc<NamedDisruptor>,
        is_claimant: bool,
        promised: Option<Reign>,
    ) -> Self {
        disruptor.follow(Duration::ZERO);
        let definition = disruptor.definition();
        let mut replica = Replica::new(
            me,
            &definition.name,
            definition.replicas,
            Window(Arc::clone(&disruptor)),
            is_claimant,
        );
        replica.promise(promised);
        Self {
            definition: definition.to_json().to_string(),
            disruptor,
            replica: Mutex::new(replica),
            changed: Condvar::new(),
            claiming: Mutex::default(),
            is_defined: AtomicBool::new(is_claimant),
            starts: AtomicBool::new(true),
            waits_since: Mutex::new(Instant::now()),
            yielded: Mutex::default(),
            links: Mutex::default(),
            trouble: Mutex::default(),
        }
    }

    /// The disruptor's name.
    pub fn name(&self) -> &str {
        self.disruptor.name()
    }

    /// Nodes that have an event when it is acknowledged.
    pub fn level(&self) -> usize {
        let definition = self.disruptor.definition();
        definition.consistency.followers_needed(definition.replicas) + 1
    }

    /// Does something with the replica, then what follows from it.
    pub fn with<T>(&self, cluster: &Cluster, work: impl FnOnce(&mut Replica<Window>) -> T) -> T {
        let mut replica = self.replica.lock();
        let version = |replica: &mut Replica<Window>| replica.home().map(|home| home.set().version);
        let before = version(&mut replica);
        let done = work(&mut replica);
        self.tell_publishers(&mut replica, cluster);
        let after = version(&mut replica);
        if before != after {
            // Those who send to followers have something else to say.
            self.disruptor.wake_readers();
        }
        let (was_home, is_home) = (before.is_some(), after.is_some());
        if was_home != is_home {
            let reign = replica.reign().map_or(0, |reign| reign.epoch);
            let what = if is_home { "is the home" } else { "is the home no more" };
            log::info!(target: "replication", disruptor = self.name(), epoch = reign; "this node {what}");
            *self.yielded.lock() = None;
        }
        if is_home {
            // Relaxed: read by those who keep the definitions, whenever.
            self.is_defined.store(true, Ordering::Relaxed);
        }
        self.changed.notify_all();
        done
    }

    /// Looks at the replica.
    pub fn look<T>(&self, work: impl FnOnce(&mut Replica<Window>) -> T) -> T {
        work(&mut self.replica.lock())
    }

    /// Whether this node is the home.
    pub fn is_home(&self) -> bool {
        self.look(|replica| replica.home().is_some())
    }

    /// Waits until something holds of the replica; false if it does not in time.
    pub fn wait_until(&self, deadline: Deadline, holds: impl Fn(&mut Replica<Window>) -> bool) -> bool {
        let mut replica = self.replica.lock();
        loop {
            if holds(&mut replica) {
                return true;
            }
            let left = deadline.remaining().unwrap_or(Duration::MAX / 4);
            if left.is_zero() {
                return false;
            }
            self.changed.wait_for(&mut replica, left);
        }
    }

    /// What those who publish must know: by whose copies events are acknowledged, or where the home is.
    fn tell_publishers(&self, replica: &mut Replica<Window>, cluster: &Cluster) {
        let whereabouts = match replica.role() {
            Role::Home(home) => {
                let Some(copies) = self.disruptor.copies() else { return };
                let has = |node: &NodeId| home.links().get(node).map(|link| link.has()).unwrap_or_default();
                let counted = home.counted();
                copies.set(counted.iter().map(|node| (node.as_str(), has(node))));
                return;
            }
            Role::Following(Some(home)) => whereabouts(self.name(), home, cluster.member(home)),
            Role::Following(None) => {
                Whereabouts::Nowhere("this node has a copy, and no home has spoken to it yet".to_owned())
            }
            Role::Claiming => {
                let trouble = self.trouble.lock().clone();
                let trouble = trouble.map_or_else(String::new, |trouble| format!(" ({trouble})"));
                Whereabouts::Nowhere(format!("this node asks the others for copies{trouble}"))
            }
        };
        self.disruptor.set_whereabouts(whereabouts);
    }

    /// Chooses followers among the members that are there, if this is the home.
    pub fn choose(&self, cluster: &Cluster, own_zone: Option<&str>) -> Option<Chosen> {
        let members = cluster.members();
        let there: Vec<_> = members.iter().filter(|member| member.state.is_present()).collect();
        let candidates: Vec<_> = there
            .iter()
            .map(|member| Candidate { id: &member.id, zone: member.metadata.get(ZONE).map(String::as_str) })
            .collect();
        let count = self.disruptor.definition().replicas - 1;
        let wanted = followers(self.name(), own_zone, &candidates, count);
        self.with(cluster, |replica| {
            let end = replica.log.end();
            let reign = replica.reign().cloned()?;
            let home = replica.home()?;
            home.want(wanted, end);
            let released = home.take_released();
            Some(Chosen {
                reign,
                choice: home.choice(),
                released,
                linked: home.links().keys().cloned().collect(),
            })
        })
    }

    /// Answers another node.
    pub fn hear(&self, cluster: &Cluster, conversation: u64, request: Request) -> Answer {
        self.with(cluster, |replica| replica.hear(conversation, request))
    }
}

/// Who has a copy of a home's disruptor, and who is to have none any more.
pub struct Chosen {
    pub reign: Reign,
    pub choice: u64,
    pub released: Vec<NodeId>,
    pub linked: Vec<NodeId>,
}

fn whereabouts(name: &str, home: &NodeId, member: Option<Member>) -> Whereabouts {
    match member.filter(|member| member.state.is_present()) {
        Some(member) => {
            let http = member.metadata.get(HTTP).map(|address| match address.contains("://") {
                true => address.clone(),
                false => format!("http://{address}"),
            });
            Whereabouts::At(home.as_str().to_owned(), http)
        }
        None => Whereabouts::Nowhere(format!(
            "its home `{home}` is gone; `badbatch disruptor promote {name}` makes this node its home"
        )),
    }
}
