//! Notes of nodes to all others: small, best effort, each at most once at each node.
//!
//! A node counts its notes. Of each origin the highest number is known, and which of the 64 up to it have come; what is
//! older is ignored. A node that has lost its memory learns its number from others, and counts above it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};
use thiserror::Error;

use super::member::NodeId;

/// A note, whatever the limit of a datagram is.
pub const NOTE_BYTES_MAX: usize = 512;
/// Notes of this node and of others that wait to be passed on.
pub const NOTES_MAX: usize = 256;
/// No node has sent so many; who says so lies.
const NUMBER_MAX: u64 = 1 << 62;

/// Why a note is not sent.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoteError {
    /// More than goes along with a datagram.
    #[error("a note of {bytes} bytes; at most {most} go along with a datagram")]
    TooLong {
        /// What it has.
        bytes: usize,
        /// What it may have.
        most: usize,
    },
    /// Too many are on their way.
    #[error("{NOTES_MAX} notes are still on their way; try again in a second")]
    TooMany,
}

/// Which notes have come.
#[derive(Debug, Default)]
pub struct Notes {
    /// How many this node has sent.
    sent: u64,
    origins: BTreeMap<NodeId, Window>,
}

#[derive(Debug, Default)]
struct Window {
    highest: u64,
    /// Bit `n` is set if `highest - n` has come.
    came: u64,
}

impl Notes {
    /// The number of this node's next note.
    pub fn next(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// Takes up that this node has sent so many, as others say.
    pub fn learn(&mut self, sent: u64) {
        if sent < NUMBER_MAX {
            self.sent = self.sent.max(sent);
        }
    }

    /// Whether this note of another node comes for the first time.
    pub fn is_new(&mut self, from: &NodeId, number: u64) -> bool {
        if number >= NUMBER_MAX {
            return false;
        }
        let window = self.origins.entry(from.clone()).or_default();
        if number > window.highest {
            let ahead = number - window.highest;
            window.came = if ahead < 64 { window.came << ahead } else { 0 } | 1;
            window.highest = number;
            return true;
        }
        let behind = window.highest - number;
        let is_new = behind < 64 && window.came & 1 << behind == 0;
        if is_new {
            window.came |= 1 << behind;
        }
        is_new
    }

    /// The highest number of each other node.
    pub fn highest(&self) -> impl Iterator<Item = (&NodeId, u64)> {
        self.origins.iter().map(|(origin, window)| (origin, window.highest))
    }

    /// Forgets a node.
    pub fn forget(&mut self, node: &NodeId) {
        self.origins.remove(node);
    }
}

/// A note's bytes as bytes, where MessagePack would else have a list of numbers.
pub fn write<S: Serializer>(body: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(body)
}

/// The opposite.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    deserializer.deserialize_bytes(Bytes)
}

struct Bytes;

impl<'de> Visitor<'de> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::Notes;
    use crate::cluster::swim::member::NodeId;

    #[test]
    fn each_comes_once_in_any_order_and_none_after_long() {
        let from = NodeId::new("a").expect("a name");
        let mut notes = Notes::default();
        for (number, is_new) in [
            (3, true),
            (3, false),
            (1, true),
            (2, true),
            (2, false),
            (66, true),
            (3, false),
            (4, true),
            (130, true),
            (66, false),
            (67, true),
            (1 << 62, false),
            ((1 << 62) - 1, true),
            (131, false),
        ] {
            assert_eq!(notes.is_new(&from, number), is_new, "{number}");
        }
        notes.learn(5);
        notes.learn(u64::MAX);
        assert_eq!((notes.next(), notes.next()), (6, 7));
    }
}
