//! Membership as a pure machine: what comes in and the time decide what goes out.
//!
//! [`Swim`] has no clock, no socket, no thread and no randomness but its seed, so that a thousand of them can be run in
//! one thread, at any speed, again and again in the same way. Source: Das, Gupta, Motivala, "SWIM", DSN 2002, with what
//! Lifeguard (2017) adds.

mod awareness;
mod broadcast;
mod machine;
mod member;
mod message;
mod notes;
mod offers;
mod service;
mod suspicion;

pub use awareness::SCORE_MAX;
pub use machine::{Input, Output, Settings, Swim};
pub use member::{
    Event, METADATA_BYTES_MAX, Member, Metadata, NODE_ID_BYTES_MAX, NodeId, State, metadata_bytes,
};
pub(super) use message::decode_whole;
pub use message::{
    Exchange, Malformed, Message, Record, ServiceRecord, Subject, Update, decode, decode_exchange, encode,
};
pub use notes::{NOTE_BYTES_MAX, NoteError};
pub use service::{Offer, SERVICES_MAX, STATUS_NOTE_BYTES_MAX, Service, ServiceError, Status};
