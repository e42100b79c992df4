//! What goes through a simulated network, as lines that people read.
//!
//! ```text
//!   20.314  n0 -> n1  ping 7 for n1; n2 suspect@0 by n0      a datagram
//!   20.314  n0 => n1  digest 5f1c                            a request or an answer on a stream
//!   20.314  n0        n2 is suspect, at 0                    an event that a node tells
//! ```

use std::time::Duration;

use badbatch::cluster::swim::{
    Event, Exchange, Member, Message, Metadata, NodeId, Record, ServiceRecord, Update, decode,
    decode_exchange,
};

/// A line of a transcript.
pub fn line(now: Duration, who: &str, what: &str) -> String {
    format!("{:>8.3}  {who:<8}  {what}\n", now.as_secs_f64())
}

/// What a datagram holds.
pub fn datagram(body: &[u8]) -> String {
    let (message, updates) = decode(body).expect("nodes send what can be decoded");
    let message = message.as_ref().map_or("gossip".to_owned(), self::message);
    std::iter::once(message).chain(updates.iter().map(update)).collect::<Vec<_>>().join("; ")
}

fn message(message: &Message) -> String {
    match message {
        Message::Ping { number, to, .. } => format!("ping {number} for {}", name(to)),
        Message::PingRequest { number, to, .. } => format!("ping request {number} for {}", name(to)),
        Message::Ack { number } => format!("ack {number}"),
        Message::Nack { number, from } => format!("nack {number} by {}", name(from)),
    }
}

fn update(update: &Update) -> String {
    match update {
        Update::Alive { id, incarnation, metadata, .. } => {
            format!("{} alive@{incarnation}{}", name(id), says(metadata))
        }
        Update::Suspect { id, incarnation, from, is_refused } => {
            let why = if *is_refused { ", refused" } else { "" };
            format!("{} suspect@{incarnation} by {}{why}", name(id), name(from))
        }
        Update::Dead { id, incarnation } => format!("{} dead@{incarnation}", name(id)),
        Update::Left { id, incarnation } => format!("{} left@{incarnation}", name(id)),
        Update::Service(record) => service(record),
        Update::Note { from, number, body } => {
            format!("note {number} of {}: {}", name(from), String::from_utf8_lossy(body))
        }
    }
}

fn service(record: &ServiceRecord) -> String {
    let what = match record {
        ServiceRecord::Offered { version, offer } => format!("{}@{version}", offer.status.name()),
        ServiceRecord::Withdrawn { version, .. } => format!("withdrawn@{version}"),
    };
    format!("{}/{} {what}", name(record.node()), record.id())
}

/// What a stream holds.
pub fn exchange(body: &[u8]) -> String {
    match decode_exchange(body).expect("nodes send what can be decoded") {
        Exchange::State { members, services, notes } => {
            let notes = notes.iter().map(|(from, number)| format!("{number} notes of {}", name(from)));
            let parts = members.iter().map(record).chain(services.iter().map(service)).chain(notes);
            format!("state: {}", parts.collect::<Vec<_>>().join(", "))
        }
        Exchange::Digest(digest) => format!("digest {:04x}", digest >> 48),
        Exchange::Same => "same".to_owned(),
        Exchange::Ping { number, to } => format!("ping {number} for {}", name(&to)),
        Exchange::Ack { number } => format!("ack {number}"),
        Exchange::Suspected { id, incarnation } => format!("{} is suspected@{incarnation}", name(&id)),
    }
}

fn record(record: &Record) -> String {
    let Record { id, incarnation, state, metadata, .. } = record;
    format!("{} {}@{incarnation}{}", name(id), state.name(), says(metadata))
}

/// What a node tells.
pub fn event(event: &Event) -> String {
    let at = |member: &Member, what: &str| {
        format!("{} {what}, at {}{}", name(&member.id), member.incarnation, says(&member.metadata))
    };
    match event {
        Event::Joined(member) => at(member, "is there"),
        Event::Updated(member) => at(member, "says something else"),
        Event::Suspected(member) => at(member, "is suspect"),
        Event::Refuted(member) => at(member, "has refuted"),
        Event::Died(member) => at(member, "is dead"),
        Event::Left(member) => at(member, "has left"),
        Event::Forgotten(id) => format!("{} is forgotten", name(id)),
        Event::NameTaken(address) => format!("its name is taken at {address}"),
        other => format!("{other:?}"),
    }
}

fn name(id: &NodeId) -> String {
    id.as_str()
        .rsplit('-')
        .next()
        .and_then(|number| number.parse::<usize>().ok())
        .map_or_else(|| id.to_string(), |number| format!("n{number}"))
}

fn says(metadata: &Metadata) -> String {
    metadata.iter().map(|(name, value)| format!(" {name}={value}")).collect()
}
