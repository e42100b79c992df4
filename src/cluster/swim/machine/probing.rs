//! Asking others whether they are there, by way of others as well, and asking for others.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Known, Purpose, Swim, Timer};
use crate::cluster::swim::member::{NodeId, State};
use crate::cluster::swim::message::{Exchange, Message};

/// Pings of one probe that have a number of their own.
const PINGS_MAX: u32 = 15;

/// A question of this node's.
#[derive(Debug)]
pub struct Probe {
    /// That of those who ask for this node. Its own pings have those that follow, so that each answer tells its time.
    number: u32,
    target: NodeId,
    incarnation: u64,
    asked_at: Vec<Duration>,
    is_answered: bool,
    /// Whether others are asked as well.
    is_late: bool,
    asked: usize,
    /// Who was asked to ask, and has had no answer either.
    nacks: Vec<NodeId>,
    /// Whether the other machine has said that nobody listens there.
    is_refused: bool,
}

/// A question for somebody else.
#[derive(Debug)]
pub struct Relay {
    pub to: SocketAddr,
    pub number: u32,
    pub target: NodeId,
    pub address: SocketAddr,
}

impl Swim {
    pub(super) fn begin_probe(&mut self) {
        let Some(target) = self.next_target() else { return };
        self.counter += 1;
        let number = self.counter as u32;
        self.counter += u64::from(PINGS_MAX);
        let incarnation = self.members[&target].member.incarnation;
        self.probe = Some(Probe {
            number,
            target,
            incarnation,
            asked_at: Vec::new(),
            is_answered: false,
            is_late: false,
            asked: 0,
            nacks: Vec::new(),
            is_refused: false,
        });
        self.ask(number);
        self.after(self.awareness.stretched(self.settings.probe_timeout), Timer::ProbeLate(number));
    }

    /// Asks the target until it answers, since a lost datagram need not trouble anybody else: when an answer takes longer
    /// than usual, and in the end more often, since that costs less than to suspect one that lives.
    pub(super) fn ask(&mut self, number: u32) {
        let Some(probe) = self.probe.as_mut().filter(|probe| probe.number == number && !probe.is_answered)
        else {
            return;
        };
        probe.asked_at.push(self.now);
        let own_number = number.wrapping_add((probe.asked_at.len() as u32).min(PINGS_MAX));
        let is_late = probe.is_late;
        let Some(Known { member, round_trip, .. }) = self.members.get(&probe.target) else { return };
        let patience = self.awareness.stretched(self.settings.probe_timeout);
        let pause = if is_late { patience / 8 } else { (*round_trip * 5 / 4).clamp(patience / 4, patience) };
        let from = self.settings.id.clone();
        let message = Message::Ping { number: own_number, from, to: member.id.clone() };
        self.send_to(member.address, Some(&message), self.charge(member));
        self.after(pause, Timer::ProbeAgain(number));
    }

    /// The next member that takes part, in an order in which each comes once before any comes again.
    fn next_target(&mut self) -> Option<NodeId> {
        for _ in 0..self.order.len() {
            if self.next >= self.order.len() {
                self.next = 0;
                for place in (1..self.order.len()).rev() {
                    let other = self.rng.below(place as u64 + 1) as usize;
                    self.order.swap(place, other);
                }
            }
            let id = self.order[self.next].clone();
            self.next += 1;
            if self.members[&id].member.state.is_present() {
                return Some(id);
            }
        }
        None
    }

    pub(super) fn ask_others(&mut self, number: u32) {
        let Some(probe) = self.probe.as_ref().filter(|probe| probe.number == number && !probe.is_answered)
        else {
            return;
        };
        let target = probe.target.clone();
        let Some(address) = self.members.get(&target).map(|known| known.member.address) else { return };
        let others = self.pick(self.settings.indirect_probes, |member| {
            member.state == State::Alive && member.id != target
        });
        let from = self.settings.id.clone();
        let message = Message::PingRequest { number, from, to: target.clone(), address };
        for other in &others {
            self.send(*other, Some(&message));
        }
        if let Some(probe) = &mut self.probe {
            (probe.is_late, probe.asked) = (true, others.len());
        }
        self.request(address, &Exchange::Ping { number, to: target }, Purpose::Ping(number));
    }

    pub(super) fn end_probe(&mut self) {
        let Some(probe) = self.probe.take().filter(|probe| !probe.is_answered) else { return };
        if probe.is_refused {
            return self.suspect(probe.target, probe.incarnation, self.settings.id.clone(), true);
        }
        // Who was asked and does not even say no may not have got the question: then this node is the slow one.
        let delta = if probe.asked > 0 { probe.asked.saturating_sub(probe.nacks.len()) } else { 1 };
        self.awareness.add(delta as i32);
        // Each of them has found the same by itself.
        for from in std::iter::once(self.settings.id.clone()).chain(probe.nacks) {
            self.suspect(probe.target.clone(), probe.incarnation, from, false);
        }
        // It is to hear of it even where there is too much else to tell.
        if let Some(member) = self.member(probe.target.as_str())
            && let Some(charge) = self.charge(member)
        {
            self.send_to(member.address, None, Some(charge));
        }
    }

    pub(super) fn answered(&mut self, number: u32) {
        let is_of = |probe: &&mut Probe| number.wrapping_sub(probe.number) <= PINGS_MAX && !probe.is_answered;
        if let Some(probe) = self.probe.as_mut().filter(is_of) {
            probe.is_answered = true;
            self.awareness.add(-1);
            let ping = number.wrapping_sub(probe.number).checked_sub(1);
            let asked_at = ping.and_then(|ping| probe.asked_at.get(ping as usize));
            if let (Some(asked_at), Some(known)) = (asked_at, self.members.get_mut(&probe.target)) {
                known.round_trip = self.now - *asked_at;
            }
        } else if let Some(relay) = self.relays.remove(&number) {
            self.send(relay.to, Some(&Message::Ack { number: relay.number }));
        }
    }

    /// The machine of the one who is asked says that nobody listens there.
    pub(super) fn refused(&mut self, number: u32) {
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.number == number) {
            probe.is_refused = true;
            self.end_probe();
        }
    }

    /// Somebody has asked in vain.
    pub(super) fn denied(&mut self, number: u32, by: NodeId) {
        if let Some(probe) = self.probe.as_mut().filter(|probe| probe.number == number)
            && probe.nacks.len() < probe.asked
            && !probe.nacks.contains(&by)
        {
            probe.nacks.push(by);
        }
    }

    /// Asks for somebody else, twice.
    pub(super) fn ask_for(&mut self, relay: Relay) {
        self.counter += 1;
        let number = self.counter as u32;
        self.relays.insert(number, relay);
        self.relay(number);
        self.after(self.settings.probe_timeout * 2 / 5, Timer::RelayAgain(number));
        self.after(self.settings.probe_timeout * 4 / 5, Timer::RelayLate(number));
    }

    pub(super) fn relay(&mut self, number: u32) {
        if let Some(Relay { target, address, .. }) = self.relays.get(&number) {
            let (from, to, address) = (self.settings.id.clone(), target.clone(), *address);
            self.send(address, Some(&Message::Ping { number, from, to }));
        }
    }

    /// Tells the one who wanted that asked that there is no answer.
    pub(super) fn deny(&mut self, number: u32) {
        if let Some(relay) = self.relays.remove(&number) {
            let (number, from) = (relay.number, self.settings.id.clone());
            self.send(relay.to, Some(&Message::Nack { number, from }));
        }
    }
}
