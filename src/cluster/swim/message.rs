//! What nodes say to each other, and its form: MessagePack, one value after the other.
//!
//! A datagram holds at most one [`Message`] and as many [`Update`]s as fit. A stream holds one [`Exchange`].
//! Decoding is total: whatever bytes come, it ends with values or an error, and takes memory for what is there only.

use std::net::SocketAddr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::member::{Metadata, NodeId, State};
use crate::base::rng::Rng;

/// What a datagram asks or answers. Variants have short names on the wire, where every byte counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Are you there? `to` is who is meant: an address may have changed hands.
    #[serde(rename = "p")]
    Ping {
        /// By which the answer is known.
        number: u32,
        /// Who asks.
        from: NodeId,
        /// Who is asked.
        to: NodeId,
    },
    /// Ask somebody for me.
    #[serde(rename = "r")]
    PingRequest {
        /// By which the answer is known.
        number: u32,
        /// Who asks.
        from: NodeId,
        /// Who is to be asked.
        to: NodeId,
        /// Where that is.
        address: SocketAddr,
    },
    /// I am there, or the one whom I asked for you is.
    #[serde(rename = "k")]
    Ack {
        /// Of the question.
        number: u32,
    },
    /// The one whom I asked for you does not answer, but I do.
    #[serde(rename = "n")]
    Nack {
        /// Of the question.
        number: u32,
        /// Who has asked in vain.
        from: NodeId,
    },
}

/// What one node has to say of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Update {
    /// It lives. Only the node itself begins this.
    #[serde(rename = "a")]
    Alive {
        /// Who.
        id: NodeId,
        /// At which incarnation.
        incarnation: u64,
        /// Where.
        address: SocketAddr,
        /// What it says of itself.
        metadata: Metadata,
    },
    /// It does not answer `from`.
    #[serde(rename = "s")]
    Suspect {
        /// Who.
        id: NodeId,
        /// At which incarnation.
        incarnation: u64,
        /// Who found out.
        from: NodeId,
        /// Whether the machine has told `from` that nobody listens there.
        is_refused: bool,
    },
    /// It has not said that it lives.
    #[serde(rename = "d")]
    Dead {
        /// Who.
        id: NodeId,
        /// At which incarnation.
        incarnation: u64,
    },
    /// It goes by its own will. Only the node itself begins this.
    #[serde(rename = "l")]
    Left {
        /// Who.
        id: NodeId,
        /// At which incarnation.
        incarnation: u64,
    },
}

impl Update {
    /// Of whom it is.
    pub fn id(&self) -> &NodeId {
        match self {
            Self::Alive { id, .. }
            | Self::Suspect { id, .. }
            | Self::Dead { id, .. }
            | Self::Left { id, .. } => id,
        }
    }

    /// At which incarnation.
    pub fn incarnation(&self) -> u64 {
        match self {
            Self::Alive { incarnation, .. }
            | Self::Suspect { incarnation, .. }
            | Self::Dead { incarnation, .. }
            | Self::Left { incarnation, .. } => *incarnation,
        }
    }
}

/// A member in a full state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Who.
    pub id: NodeId,
    /// Where.
    pub address: SocketAddr,
    /// At which incarnation.
    pub incarnation: u64,
    /// Whether it lives.
    pub state: State,
    /// What it says of itself.
    pub metadata: Metadata,
}

impl Record {
    /// What stands for it in a digest. A suspect counts as one that is alive, since that is soon decided.
    pub fn digest(&self) -> u64 {
        digest(&self.id, self.incarnation, self.state)
    }
}

/// What stands for a record in a digest: sums of them do not depend on their order.
pub fn digest(id: &NodeId, incarnation: u64, state: State) -> u64 {
    // FNV-1a over the name, then mixed with the rest.
    let name = id.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let state = match state {
        State::Alive | State::Suspect => 0,
        State::Dead => 1,
        State::Left => 2,
    };
    let mixed = Rng::new(name ^ Rng::new(incarnation).next_u64()).next_u64();
    Rng::new(mixed ^ state).next_u64()
}

/// What goes over a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exchange {
    /// Everything that a node knows; the answer is the same of the other.
    #[serde(rename = "s")]
    State(Vec<Record>),
    /// A sum of everything that a node knows; the answer is [`Exchange::Same`], or the other's [`Exchange::State`].
    #[serde(rename = "d")]
    Digest(u64),
    /// I know the same.
    #[serde(rename = "e")]
    Same,
    /// As [`Message::Ping`], where datagrams may be lost; the answer is [`Exchange::Ack`].
    #[serde(rename = "p")]
    Ping {
        /// By which the answer is known.
        number: u32,
        /// Who is asked.
        to: NodeId,
    },
    /// I am there.
    #[serde(rename = "k")]
    Ack {
        /// Of the question.
        number: u32,
    },
    /// Somebody was told that nobody listens where you are; the answer is what you say of yourself, above that, as an
    /// [`Exchange::State`].
    #[serde(rename = "u")]
    Suspected {
        /// Who is meant.
        id: NodeId,
        /// At which incarnation.
        incarnation: u64,
    },
}

/// Bytes that are no message.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("not a message: {0}")]
pub struct Malformed(String);

/// The bytes of a value.
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec(value).expect("messages have no maps of unknown length and memory takes all")
}

/// What a datagram holds.
///
/// Errors: a value that is none. What came before it counts for nothing.
pub fn decode(mut bytes: &[u8]) -> Result<(Option<Message>, Vec<Update>), Malformed> {
    let message = next(&mut bytes)?;
    let mut updates = Vec::new();
    while !bytes.is_empty() {
        updates.push(next(&mut bytes)?);
    }
    Ok((message, updates))
}

/// What a stream holds.
///
/// Errors: as [`decode`].
pub fn decode_exchange(bytes: &[u8]) -> Result<Exchange, Malformed> {
    decode_whole(bytes)
}

/// A value that fills all of the bytes.
///
/// Errors: as [`decode`].
pub fn decode_whole<T: DeserializeOwned>(mut bytes: &[u8]) -> Result<T, Malformed> {
    let value = next(&mut bytes)?;
    if bytes.is_empty() { Ok(value) } else { Err(Malformed("something follows it".to_owned())) }
}

fn next<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, Malformed> {
    let mut reader = rmp_serde::Deserializer::new(*bytes);
    reader.set_max_depth(DEPTH_MAX);
    let value = T::deserialize(&mut reader).map_err(|error| Malformed(error.to_string()))?;
    *bytes = reader.into_inner();
    Ok(value)
}

/// No message is deeper.
const DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::{Exchange, Message, Record, Update, decode, decode_exchange, encode};
    use crate::cluster::swim::member::{Metadata, NodeId, State};
    use std::collections::BTreeMap;

    #[test]
    fn what_is_said_is_heard() {
        let id = |name: &str| NodeId::new(name).expect("a name");
        let address = "[::1]:7946".parse().expect("an address");
        let metadata = Metadata::new(BTreeMap::from([("zone".to_owned(), "a".to_owned())]));
        let ask = Message::PingRequest { number: 7, from: id("a"), to: id("b"), address };
        let updates = [
            Update::Alive { id: id("c"), incarnation: u64::MAX, address, metadata: metadata.clone() },
            Update::Suspect { id: id("c"), incarnation: 1, from: id("a"), is_refused: true },
            Update::Dead { id: id("c"), incarnation: 1 },
            Update::Left { id: id("c"), incarnation: 1 },
        ];
        let mut bytes = encode(&Some(&ask));
        updates.iter().for_each(|update| bytes.extend(encode(update)));
        assert_eq!(decode(&bytes), Ok((Some(ask), updates.to_vec())));
        assert_eq!(decode(&encode(&None::<Message>)), Ok((None, Vec::new())));
        let record = Record { id: id("d"), address, incarnation: 3, state: State::Left, metadata };
        let state = Exchange::State(vec![record; 3]);
        let bytes = encode(&state);
        assert_eq!(decode_exchange(&bytes), Ok(state));
        assert!(decode_exchange(&[&bytes[..], &[0]].concat()).is_err());
        for length in 0..bytes.len() {
            assert!(decode_exchange(&bytes[..length]).is_err(), "{length}");
        }
    }
}
