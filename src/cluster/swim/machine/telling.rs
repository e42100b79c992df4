//! What nodes tell besides who lives: their services, notes, and that somebody dead will not come back.

use std::sync::Arc;

use super::{Output, Swim};
use crate::cluster::swim::member::{Event, NodeId, State};
use crate::cluster::swim::message::{ServiceRecord, Update, encode};
use crate::cluster::swim::notes::{NOTE_BYTES_MAX, NOTES_MAX, NoteError};
use crate::cluster::swim::offers::Change;
use crate::cluster::swim::service::{
    Offer, SERVICE_BYTES_MAX, SERVICES_MAX, STATUS_NOTE_BYTES_MAX, Service, ServiceError, Status,
    check_status_note,
};

/// What an update has around a service's record.
const UPDATE_BYTES: usize = 3;

impl Swim {
    /// What is offered by this node, and by members that take part; by node and id.
    pub fn offers(&self) -> impl Iterator<Item = &Arc<Offer>> {
        let takes_part = |node: &NodeId| match *node == self.settings.id {
            true => !self.is_leaving,
            false => self.member(node.as_str()).is_some_and(|member| member.state.is_present()),
        };
        self.offers.by_node().filter(move |(node, _)| takes_part(node)).flat_map(|(_, offers)| offers)
    }

    /// How often a member was not taken up since there were [`members_max`](super::Settings::members_max).
    pub fn refused_members(&self) -> u64 {
        self.refused
    }

    /// How often a service of another node was not taken up since there were as many.
    pub fn refused_services(&self) -> u64 {
        self.offers.refused()
    }

    /// What this node offers under an id.
    pub fn own_offer(&self, id: &str) -> Option<&Arc<Offer>> {
        self.offers.get(&self.settings.id, id)
    }

    /// Whether this node may offer a service, with this note at its status.
    ///
    /// Errors: [`ServiceError`].
    pub fn check_offer(&self, service: &Service, note: &str) -> Result<(), ServiceError> {
        if self.is_leaving {
            return Err(ServiceError::Leaving);
        }
        service.check()?;
        check_status_note(note)?;
        let (node, service) = (self.settings.id.clone(), service.clone());
        let offer = Offer { node, service, status: Status::Passing, load: u32::MAX, note: String::new() };
        let id = offer.service.id.clone();
        let record = ServiceRecord::Offered { version: u64::MAX, offer: Arc::new(offer) };
        // Whatever note it will have.
        let bytes = record.bytes() + 1 + STATUS_NOTE_BYTES_MAX;
        let most = SERVICE_BYTES_MAX.min(self.broadcasts.bytes_max().saturating_sub(UPDATE_BYTES));
        if bytes > most {
            return Err(ServiceError::TooLong { bytes, most });
        }
        if self.own_offer(&id).is_none() && self.offers.of(&self.settings.id).count() >= SERVICES_MAX {
            return Err(ServiceError::TooMany);
        }
        Ok(())
    }

    /// Whether this node may send a note.
    ///
    /// Errors: [`NoteError`].
    pub fn check_note(&self, body: &[u8]) -> Result<(), NoteError> {
        let from = self.settings.id.clone();
        let around = encode(&Update::Note { from, number: u64::MAX, body: Vec::new() }).len() + 2;
        let most = NOTE_BYTES_MAX.min(self.broadcasts.bytes_max().saturating_sub(around));
        if body.len() > most {
            return Err(NoteError::TooLong { bytes: body.len(), most });
        }
        if self.broadcasts.notes() >= NOTES_MAX { Err(NoteError::TooMany) } else { Ok(()) }
    }

    pub(super) fn offer(&mut self, service: &Service, status: Status, load: u32, note: &str) {
        let (node, note) = (self.settings.id.clone(), note.to_owned());
        let offer = Offer { node, service: service.clone(), status, load, note };
        let is_new = self.own_offer(&service.id).is_none_or(|before| **before != offer);
        if is_new && self.check_offer(service, &offer.note).is_ok() {
            let said = self.offers.offer(self.now, offer);
            self.say(said);
        }
    }

    pub(super) fn withdraw(&mut self, id: &str) {
        let said = self.offers.withdraw(self.now, id);
        self.say(said);
    }

    fn say(&mut self, said: Option<(ServiceRecord, Change)>) {
        if let Some((record, change)) = said {
            self.broadcasts.push(&Update::Service(record));
            self.tell_change(change);
        }
    }

    pub(super) fn hear_service(&mut self, record: ServiceRecord) {
        if *record.node() == self.settings.id {
            if let Some(answer) = self.offers.hear_own(self.now, &record)
                && !self.is_leaving
            {
                self.broadcasts.push(&Update::Service(answer));
            }
            return;
        }
        let Some(state) = self.member(record.node().as_str()).map(|member| member.state) else { return };
        if let Some(change) = self.offers.hear(self.now, &record) {
            self.broadcasts.push(&Update::Service(record));
            if state.is_present() {
                self.tell_change(change);
            }
        }
    }

    fn tell_change(&mut self, Change { before, after }: Change) {
        let event = match (before, after) {
            (None, Some(after)) => Event::Registered(after),
            (Some(before), Some(after)) if *before != (Offer { load: before.load, ..(*after).clone() }) => {
                Event::Changed(after)
            }
            (Some(before), None) => Event::Deregistered(before),
            _ => return,
        };
        self.outputs.push(Output::Event(event));
    }

    pub(super) fn note(&mut self, body: &[u8]) {
        if self.check_note(body).is_ok() {
            let (from, number) = (self.settings.id.clone(), self.notes.next());
            self.broadcasts.push(&Update::Note { from, number, body: body.to_vec() });
        }
    }

    pub(super) fn hear_note(&mut self, from: NodeId, number: u64, body: Vec<u8>) {
        if from == self.settings.id {
            // From before this node lost its memory.
            return self.notes.learn(number);
        }
        // Who is not known sends no notes, so that there is a limit to what is remembered of them.
        let is_known = self.members.contains_key(&from);
        if !is_known || body.len() > NOTE_BYTES_MAX || !self.notes.is_new(&from, number) {
            return;
        }
        if self.broadcasts.notes() < NOTES_MAX {
            self.broadcasts.push(&Update::Note { from: from.clone(), number, body: body.clone() });
        }
        self.outputs.push(Output::Event(Event::Note { from, body }));
    }

    pub(super) fn force_leave(&mut self, id: &NodeId) {
        let dead = self.member(id.as_str()).filter(|member| member.state == State::Dead);
        if let Some(incarnation) = dead.map(|member| member.incarnation) {
            self.left(id.clone(), incarnation);
        }
    }
}
