//! A node of the crate foca in the simulated network.
//!
//! Set up as foca recommends for a local network of a known size (`Config::new_lan`, whose figures are memberlist's and
//! so are ours), with an identity that renews itself, and with the codec that its examples use. It has no streams: it
//! joins by a datagram, and cannot tell a process that is gone from a machine that is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use badbatch::base::rng::Rng;
use badbatch::cluster::swim::{Event, Input, Member, Metadata, NodeId, Output, Record, State};
use foca::{Config, Foca, Identity, NoCustomBroadcast, Notification, PostcardCodec, Runtime, Timer};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use serde::{Deserialize, Serialize};

use crate::measure::net::{DATAGRAM_BYTES_MAX, Machine, address, id, node_at};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Id {
    address: SocketAddr,
    /// Counts its returns.
    life: u32,
}

impl Identity for Id {
    type Addr = SocketAddr;

    fn renew(&self) -> Option<Self> {
        Some(Self { life: self.life + 1, ..*self })
    }

    fn addr(&self) -> SocketAddr {
        self.address
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.life > adversary.life
    }
}

pub struct FocaNode {
    foca: Foca<Id, PostcardCodec, SmallRng, NoCustomBroadcast>,
    /// Whom it asks to join, each second while it takes part in no cluster, as our driver does with its seeds.
    seed: Option<SocketAddr>,
    seek_at: Duration,
    world: World,
}

/// What foca asks of the world.
struct World {
    now: Duration,
    rng: Rng,
    outputs: Vec<Output>,
    timers: BinaryHeap<Reverse<(Duration, u64)>>,
    waiting: BTreeMap<u64, Timer<Id>>,
    counter: u64,
    is_new: bool,
    is_active: bool,
    states: BTreeMap<NodeId, State>,
}

impl FocaNode {
    /// In a network that will have so many nodes.
    pub fn new(count: usize, node: usize, seed: u64, now: Duration) -> Self {
        let size = NonZeroU32::new(count as u32).expect("there is one");
        let mut config = Config::new_lan(size);
        config.max_packet_size = DATAGRAM_BYTES_MAX.try_into().expect("it is more than nothing");
        // A process that starts later is another one: its time is part of its name, as in foca's example.
        let own = Id { address: address(node), life: now.as_secs() as u32 };
        let world = World {
            now,
            rng: Rng::new(seed),
            outputs: Vec::new(),
            timers: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            counter: 0,
            is_new: true,
            is_active: false,
            states: BTreeMap::new(),
        };
        Self {
            foca: Foca::new(own, config, SmallRng::seed_from_u64(seed), PostcardCodec),
            seed: None,
            seek_at: Duration::ZERO,
            world,
        }
    }
}

impl Machine for FocaNode {
    fn handle(&mut self, now: Duration, input: Input<'_>) -> Vec<Output> {
        self.world.now = self.world.now.max(now);
        while let Some(Reverse((due, key))) = self.world.timers.peek().copied()
            && due <= self.world.now
        {
            self.world.timers.pop();
            let timer = self.world.waiting.remove(&key).expect("each is there once");
            // An error tells of a timer that came too late, after which foca goes on.
            let _told = self.foca.handle_timer(timer, &mut self.world);
        }
        // What is not for this node, or from one that is down, is an error that its caller logs.
        let _told = match input {
            Input::Datagram { body, .. } => self.foca.handle_data(body, &mut self.world),
            Input::Join(address) => {
                (self.seed, self.seek_at) = (Some(address), now);
                Ok(())
            }
            Input::Leave => {
                self.seed = None;
                self.foca.leave_cluster(&mut self.world)
            }
            _ => Ok(()),
        };
        self.seek();
        std::mem::take(&mut self.world.outputs)
    }

    fn deadline(&self) -> Duration {
        let timer = self.world.timers.peek().map_or(Duration::MAX, |Reverse((due, _))| *due);
        if self.is_seeking() { timer.min(self.seek_at) } else { timer }
    }

    fn remember(&mut self, records: &[Record]) {
        let own = self.foca.identity().address;
        let others = records.iter().filter(|record| record.address != own);
        self.seed = others.clone().next().map(|record| record.address);
        let members = others.map(|record| foca::Member::alive(Id { address: record.address, life: 0 }));
        self.foca.apply_many(members, false, &mut self.world).expect("they are well formed");
        self.world.outputs.clear();
    }

    fn state_of(&self, id: &NodeId) -> Option<State> {
        self.world.states.get(id).copied()
    }
}

impl FocaNode {
    fn is_seeking(&self) -> bool {
        self.seed.is_some() && !self.world.is_active
    }

    fn seek(&mut self) {
        if let Some(address) = self.seed.filter(|_| self.is_seeking() && self.seek_at <= self.world.now) {
            self.seek_at = self.world.now + Duration::from_secs(1);
            let _told = self.foca.announce(Id { address, life: 0 }, &mut self.world);
        }
    }
}

impl World {
    fn tell(&mut self, of: &Id, state: State, event: fn(Member) -> Event) {
        let id = id(node_at(of.address));
        let member = Member {
            id: id.clone(),
            address: of.address,
            incarnation: u64::from(of.life),
            state,
            metadata: Metadata::default(),
            since: self.now,
        };
        self.states.insert(id, state);
        self.outputs.push(Output::Event(event(member)));
    }
}

impl Runtime<Id> for World {
    fn notify(&mut self, notification: Notification<'_, Id>) {
        match notification {
            Notification::MemberUp(of) => self.tell(of, State::Alive, Event::Joined),
            Notification::MemberDown(of) => self.tell(of, State::Dead, Event::Died),
            Notification::Active => (self.is_new, self.is_active) = (false, true),
            // It goes on only once somebody has sent it something.
            Notification::Idle | Notification::Rejoin(_) => self.is_active = false,
            _ => {}
        }
    }

    fn send_to(&mut self, to: Id, data: &[u8]) {
        self.outputs.push(Output::Datagram { to: to.address, body: data.to_vec() });
    }

    fn submit_after(&mut self, event: Timer<Id>, after: Duration) {
        // Nodes that start together do not all begin together, as ours.
        let is_periodic =
            !matches!(event, Timer::ChangeSuspectToDown { .. } | Timer::SendIndirectProbe { .. });
        let after = match self.is_new && is_periodic {
            true => Duration::from_nanos(self.rng.below(after.as_nanos() as u64 + 1)),
            false => after,
        };
        self.counter += 1;
        self.timers.push(Reverse((self.now + after, self.counter)));
        self.waiting.insert(self.counter, event);
    }
}
