//! What datagrams and streams look like on the network: an envelope around what the machine says.
//!
//! ```text
//!  0  2 bytes  "bB"
//!  2  1 byte   version, 1
//!  3  1 byte   flags: 1 compressed, 2 encrypted
//!  4  4 bytes  CRC-32C of the cluster's name
//!  8  4 bytes  CRC-32C of everything else
//! 12           if encrypted, a nonce of 24 bytes, and behind the body 16 bytes that authenticate it and bytes 0 to 7
//!              the body: if compressed, its length as 4 bytes, and an LZ4 block
//! ```
//!
//! Encryption is XChaCha20-Poly1305, whose nonces are long enough to be random for as long as a key is used. What is
//! closed in a context (a conversation, and a place in it) opens in that context only.
//!
//! Opening is total: it never panics, and takes no more memory than the limit that it is given.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use thiserror::Error;

/// What an envelope adds at most.
pub const ENVELOPE_BYTES: usize = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;

const MAGIC: &[u8; 2] = b"bB";
const VERSION: u8 = 1;
const COMPRESSED: u8 = 1;
const ENCRYPTED: u8 = 2;
const HEADER_BYTES: usize = 12;
/// The part of the header that does not depend on the body.
const FIXED_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const KEYS_MAX: usize = 16;
/// Shorter bodies do not shrink.
const COMPRESSIBLE_BYTES_MIN: usize = 64;

/// Why bytes are not taken for a message of this cluster.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// Something else than this protocol.
    #[error("it is no message of this protocol")]
    Foreign,
    /// A later version of it.
    #[error("it has version {0}, and this node knows version 1")]
    Version(u8),
    /// From a cluster with another name.
    #[error("it is from a cluster with another name")]
    OtherCluster,
    /// Changed on its way.
    #[error("it was damaged on its way")]
    Damaged,
    /// In clear, while this node has a key.
    #[error("it is not encrypted, and this node takes nothing in clear")]
    Clear,
    /// Encrypted, while this node has no key.
    #[error("it is encrypted, and this node has no key")]
    NoKey,
    /// None of this node's keys opens it.
    #[error("none of this node's keys opens it")]
    WrongKey,
    /// More than is allowed.
    #[error("it has more than {0} bytes")]
    TooLong(usize),
}

/// The keys of a cluster: one to close with, all to open with, so that keys can change while nodes run.
#[derive(Clone, Default)]
pub struct Keyring {
    keys: Vec<[u8; KEY_BYTES]>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring of {} keys", self.keys.len())
    }
}

impl Keyring {
    /// No encryption.
    pub fn none() -> Self {
        Self::default()
    }

    /// Closes with the first key, and opens with any of them.
    pub fn new(keys: impl IntoIterator<Item = [u8; KEY_BYTES]>) -> Self {
        Self { keys: keys.into_iter().collect() }
    }

    /// Whether nothing is encrypted.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys themselves, that with which it closes first. They are to be kept where nobody else reads.
    pub fn keys(&self) -> &[[u8; KEY_BYTES]] {
        &self.keys
    }

    /// By which its keys are named, that with which it closes first.
    pub fn ids(&self) -> Vec<String> {
        self.keys.iter().map(key_id).collect()
    }

    /// Opens with one more key, and tells by which name. That it has the key already is well.
    ///
    /// Errors: [`KeyError::Clear`], [`KeyError::TooMany`].
    pub fn add(&mut self, key: [u8; KEY_BYTES]) -> Result<String, KeyError> {
        let id = key_id(&key);
        match self.keys.len() {
            0 => return Err(KeyError::Clear),
            _ if self.keys.contains(&key) => {}
            KEYS_MAX.. => return Err(KeyError::TooMany),
            _ => self.keys.push(key),
        }
        Ok(id)
    }

    /// Closes with this key from now on.
    ///
    /// Errors: [`KeyError::Unknown`].
    pub fn prefer(&mut self, id: &str) -> Result<(), KeyError> {
        let place = self.place(id)?;
        self.keys[..=place].rotate_right(1);
        Ok(())
    }

    /// Opens with this key no more.
    ///
    /// Errors: [`KeyError::Unknown`], [`KeyError::InUse`].
    pub fn remove(&mut self, id: &str) -> Result<(), KeyError> {
        match self.place(id)? {
            0 => Err(KeyError::InUse),
            place => {
                self.keys.remove(place);
                Ok(())
            }
        }
    }

    fn place(&self, id: &str) -> Result<usize, KeyError> {
        self.keys.iter().position(|key| key_id(key) == id).ok_or_else(|| KeyError::Unknown(id.to_owned()))
    }
}

/// What names a key without telling anything of it: what authenticates nothing, under a nonce that nothing else has.
fn key_id(key: &[u8; KEY_BYTES]) -> String {
    let payload = Payload { msg: &[], aad: b"badbatch key" };
    let tag = XChaCha20Poly1305::new(&Key::from(*key)).encrypt(&XNonce::default(), payload);
    let tag = tag.expect("nothing is short enough");
    tag[..KEY_ID_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

const KEY_ID_BYTES: usize = 8;

/// Why a keyring stays as it is.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// Encryption begins with the first start of a node that has a key.
    #[error("this cluster is not encrypted; restart its nodes with a key")]
    Clear,
    /// There is no such key.
    #[error("there is no key `{0}`")]
    Unknown(String),
    /// The node closes with it.
    #[error("messages are closed with this key; use another one first")]
    InUse,
    /// There is no room for another key.
    #[error("there are {KEYS_MAX} keys already; remove one first")]
    TooMany,
}

/// Puts bodies into envelopes, and takes them out.
#[derive(Clone, Debug)]
pub struct Envelope {
    name_hash: [u8; 4],
    pub(super) keyring: Keyring,
    compresses: bool,
}

impl Envelope {
    /// For the cluster of this name.
    pub fn new(cluster: &str, keyring: Keyring, compresses: bool) -> Self {
        Self { name_hash: crc32c::crc32c(cluster.as_bytes()).to_be_bytes(), keyring, compresses }
    }

    /// The body in its envelope, at most [`ENVELOPE_BYTES`] longer.
    ///
    /// Shape: two of the same body differ if they are encrypted, by their nonces.
    pub fn close(&self, body: &[u8]) -> Vec<u8> {
        self.close_in(&[], body)
    }

    /// As [`close`](Self::close), to be opened in this context only.
    pub fn close_in(&self, context: &[u8], body: &[u8]) -> Vec<u8> {
        let compressed = (self.compresses && body.len() >= COMPRESSIBLE_BYTES_MIN)
            .then(|| lz4_flex::block::compress_prepend_size(body))
            .filter(|compressed| compressed.len() < body.len());
        let body = compressed.as_deref().unwrap_or(body);
        let key = self.keyring.keys.first();
        let flags = (u8::from(compressed.is_some()) * COMPRESSED) | (u8::from(key.is_some()) * ENCRYPTED);
        let mut bytes = Vec::with_capacity(body.len() + ENVELOPE_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[VERSION, flags]);
        bytes.extend_from_slice(&self.name_hash);
        bytes.extend_from_slice(&[0; 4]);
        match key {
            None => bytes.extend_from_slice(body),
            Some(key) => {
                let mut nonce = [0; NONCE_BYTES];
                getrandom::fill(&mut nonce).expect("the system has randomness once it has started");
                let aad = [&bytes[..FIXED_BYTES], context].concat();
                let payload = Payload { msg: body, aad: &aad };
                let sealed = XChaCha20Poly1305::new(&Key::from(*key)).encrypt(&XNonce::from(nonce), payload);
                bytes.extend_from_slice(&nonce);
                bytes.extend(sealed.expect("a body is far below the limit of 256 GiB"));
            }
        }
        let sum = sum(&bytes[..FIXED_BYTES], context, &bytes[HEADER_BYTES..]);
        bytes[FIXED_BYTES..HEADER_BYTES].copy_from_slice(&sum);
        bytes
    }

    /// The body, of at most `bytes_max` bytes.
    ///
    /// Errors: why it is none for this node.
    pub fn open(&self, bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, WireError> {
        self.open_in(&[], bytes, bytes_max)
    }

    /// As [`open`](Self::open), of what was closed in this context.
    ///
    /// Errors: as [`open`](Self::open); another context counts as damage.
    pub fn open_in(&self, context: &[u8], bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, WireError> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES).ok_or(WireError::Foreign)?;
        if !header.starts_with(MAGIC) {
            return Err(WireError::Foreign);
        }
        let (version, flags) = (header[2], header[3]);
        if version != VERSION {
            return Err(WireError::Version(version));
        }
        if header[4..FIXED_BYTES] != self.name_hash {
            return Err(WireError::OtherCluster);
        }
        if sum(&header[..FIXED_BYTES], context, rest) != header[FIXED_BYTES..] {
            return Err(WireError::Damaged);
        }
        if flags & !(COMPRESSED | ENCRYPTED) != 0 {
            return Err(WireError::Foreign);
        }
        let body = match (flags & ENCRYPTED != 0, self.keyring.keys.is_empty()) {
            (false, true) => rest.to_vec(),
            (false, false) => return Err(WireError::Clear),
            (true, true) => return Err(WireError::NoKey),
            (true, false) => self.unseal(&[&header[..FIXED_BYTES], context].concat(), rest)?,
        };
        if flags & COMPRESSED == 0 {
            return if body.len() <= bytes_max { Ok(body) } else { Err(WireError::TooLong(bytes_max)) };
        }
        let (length, block) = body.split_first_chunk::<4>().ok_or(WireError::Damaged)?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > bytes_max {
            return Err(WireError::TooLong(bytes_max));
        }
        let mut whole = vec![0; length];
        match lz4_flex::block::decompress_into(block, &mut whole) {
            Ok(written) if written == length => Ok(whole),
            _ => Err(WireError::Damaged),
        }
    }

    fn unseal(&self, aad: &[u8], rest: &[u8]) -> Result<Vec<u8>, WireError> {
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(WireError::Damaged)?;
        let opened = self.keyring.keys.iter().find_map(|key| {
            let payload = Payload { msg: sealed, aad };
            XChaCha20Poly1305::new(&Key::from(*key)).decrypt(&XNonce::from(*nonce), payload).ok()
        });
        opened.ok_or(WireError::WrongKey)
    }
}

fn sum(fixed: &[u8], context: &[u8], rest: &[u8]) -> [u8; 4] {
    [context, rest]
        .iter()
        .fold(crc32c::crc32c(fixed), |sum, part| crc32c::crc32c_append(sum, part))
        .to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::{ENVELOPE_BYTES, Envelope, KeyError, Keyring, WireError};

    const BODY: &[u8] = b"a body that says the same again and again and again and again and again and again";
    const MAX: usize = 4096;

    fn with_keys(keys: &[u8]) -> Envelope {
        Envelope::new("one", Keyring::new(keys.iter().map(|key| [*key; 32])), true)
    }

    #[test]
    fn what_is_closed_can_be_opened_by_those_who_may() {
        let clear = Envelope::new("one", Keyring::none(), false);
        let small = Envelope::new("one", Keyring::none(), true);
        let (old, both, new) = (with_keys(&[1]), with_keys(&[2, 1]), with_keys(&[2]));
        let opens = |by: &Envelope, of: &Envelope| by.open(&of.close(BODY), MAX);
        for (by, of) in
            [(&clear, &small), (&small, &clear), (&old, &old), (&both, &old), (&both, &both), (&new, &both)]
        {
            assert_eq!(opens(by, of).as_deref(), Ok(BODY));
        }
        assert!(small.close(BODY).len() < clear.close(BODY).len());
        assert!(new.close(&[7; 20]).len() <= 20 + ENVELOPE_BYTES);
        let check = |by: &Envelope, of: &Envelope, error| assert_eq!(opens(by, of), Err(error));
        check(&old, &both, WireError::WrongKey);
        check(&old, &clear, WireError::Clear);
        check(&clear, &old, WireError::NoKey);
        check(&Envelope::new("two", Keyring::none(), false), &clear, WireError::OtherCluster);
        assert_eq!(clear.open(&clear.close(BODY), 10), Err(WireError::TooLong(10)));
        assert_eq!(clear.open(&small.close(BODY), 10), Err(WireError::TooLong(10)));
        assert_eq!(clear.open(b"GET / HTTP/1.1\r\n\r\n", MAX), Err(WireError::Foreign));
    }

    #[test]
    fn what_is_closed_in_a_context_opens_in_no_other() {
        for envelope in [Envelope::new("one", Keyring::none(), true), with_keys(&[1])] {
            let closed = envelope.close_in(b"first", BODY);
            assert_eq!(envelope.open_in(b"first", &closed, MAX).as_deref(), Ok(BODY));
            assert_eq!(envelope.open_in(b"second", &closed, MAX), Err(WireError::Damaged));
            assert_eq!(envelope.open(&closed, MAX), Err(WireError::Damaged));
        }
    }

    #[test]
    fn the_key_authenticates_the_context_which_a_sum_does_not() {
        let envelope = with_keys(&[1]);
        let mut forged = envelope.close_in(b"first", BODY);
        let sum = super::sum(&forged[..8], b"second", &forged[12..]);
        forged[8..12].copy_from_slice(&sum);
        assert_eq!(envelope.open_in(b"second", &forged, MAX), Err(WireError::WrongKey));
    }

    #[test]
    fn keys_come_into_use_and_go() {
        let mut keyring = Keyring::new([[1; 32]]);
        let old = keyring.ids().remove(0);
        assert_eq!(old.len(), 16);
        let new = keyring.add([2; 32]).expect("there is room");
        assert_eq!(keyring.add([2; 32]), Ok(new.clone()), "it is there");
        assert_eq!(keyring.ids(), [old.clone(), new.clone()]);
        assert_eq!(keyring.remove(&old), Err(KeyError::InUse));
        keyring.prefer(&new).expect("it is there");
        assert_eq!(keyring.keys(), [[2; 32], [1; 32]]);
        keyring.remove(&old).expect("it is not in use");
        assert_eq!(keyring.prefer(&old), Err(KeyError::Unknown(old)));
        assert_eq!(Keyring::none().add([1; 32]), Err(KeyError::Clear));
        (3..18).for_each(|byte| drop(keyring.add([byte; 32]).expect("there is room")));
        assert_eq!(keyring.add([18; 32]), Err(KeyError::TooMany));
    }

    #[test]
    fn nothing_is_sent_in_clear_once_there_is_a_key() {
        let closed = with_keys(&[3]).close(b"short and secret");
        assert!(!closed.windows(6).any(|part| part == b"secret"));
        assert_ne!(closed, with_keys(&[3]).close(b"short and secret"), "each has its own nonce");
    }

    #[test]
    fn each_flipped_bit_is_found() {
        for envelope in [Envelope::new("one", Keyring::none(), true), with_keys(&[5])] {
            let closed = envelope.close(BODY);
            for bit in 0..8 * closed.len() {
                let mut damaged = closed.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(envelope.open(&damaged, MAX).is_err(), "bit {bit}");
            }
            for length in 0..closed.len() {
                assert!(envelope.open(&closed[..length], MAX).is_err(), "{length} bytes");
            }
        }
    }

    #[test]
    fn what_only_a_later_version_can_say_is_told_apart() {
        let envelope = Envelope::new("one", Keyring::none(), false);
        for (place, byte, error) in [(2, 2, WireError::Version(2)), (3, 4, WireError::Foreign)] {
            let mut bytes = envelope.close(BODY);
            bytes[place] = byte;
            let sum = super::sum(&bytes[..8], &[], &bytes[12..]);
            bytes[8..12].copy_from_slice(&sum);
            assert_eq!(envelope.open(&bytes, MAX), Err(error));
        }
    }

    #[test]
    fn a_length_that_is_not_true_takes_no_memory() {
        let body = [&u32::MAX.to_le_bytes()[..], b"nothing"].concat();
        let mut bytes = Envelope::new("one", Keyring::none(), false).close(&body);
        // As if that were compressed.
        bytes[3] = super::COMPRESSED;
        let sum = super::sum(&bytes[..8], &[], &bytes[12..]);
        bytes[8..12].copy_from_slice(&sum);
        let open = Envelope::new("one", Keyring::none(), false).open(&bytes, MAX);
        assert_eq!(open, Err(WireError::TooLong(MAX)));
    }
}
