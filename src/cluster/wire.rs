//! What datagrams and streams look like on the network: an envelope around what the machine says.
//!
//! ```text
//!  0  2 bytes  "bB"
//!  2  1 byte   version, 1
//!  3  1 byte   flags: 1 compressed, 2 encrypted
//!  4  4 bytes  CRC-32C of the cluster's name
//!  8  4 bytes  CRC-32C of everything else
//! 12           if encrypted, a nonce of 12 bytes, and behind the body 16 bytes that authenticate it and bytes 0 to 7
//!              the body: if compressed, its length as 4 bytes, and an LZ4 block
//! ```
//!
//! Opening is total: it never panics, and takes no more memory than the limit that it is given.

use std::fmt;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
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
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
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
}

/// Puts bodies into envelopes, and takes them out.
#[derive(Clone, Debug)]
pub struct Envelope {
    name_hash: [u8; 4],
    keyring: Keyring,
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
                let payload = Payload { msg: body, aad: &bytes[..FIXED_BYTES] };
                let sealed = ChaCha20Poly1305::new(&Key::from(*key)).encrypt(&Nonce::from(nonce), payload);
                bytes.extend_from_slice(&nonce);
                bytes.extend(sealed.expect("a body is far below the limit of 256 GiB"));
            }
        }
        let sum = sum(&bytes[..FIXED_BYTES], &bytes[HEADER_BYTES..]);
        bytes[FIXED_BYTES..HEADER_BYTES].copy_from_slice(&sum);
        bytes
    }

    /// The body, of at most `bytes_max` bytes.
    ///
    /// Errors: why it is none for this node.
    pub fn open(&self, bytes: &[u8], bytes_max: usize) -> Result<Vec<u8>, WireError> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES).ok_or(WireError::Foreign)?;
        if !header.starts_with(MAGIC) {
            return Err(WireError::Foreign);
        }
        let (version, flags) = (header[2], header[3]);
        if version != VERSION || flags & !(COMPRESSED | ENCRYPTED) != 0 {
            return Err(WireError::Version(version));
        }
        if header[4..FIXED_BYTES] != self.name_hash {
            return Err(WireError::OtherCluster);
        }
        if sum(&header[..FIXED_BYTES], rest) != header[FIXED_BYTES..] {
            return Err(WireError::Damaged);
        }
        let body = match (flags & ENCRYPTED != 0, self.keyring.keys.is_empty()) {
            (false, true) => rest.to_vec(),
            (false, false) => return Err(WireError::Clear),
            (true, true) => return Err(WireError::NoKey),
            (true, false) => self.unseal(&header[..FIXED_BYTES], rest)?,
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

    fn unseal(&self, fixed: &[u8], rest: &[u8]) -> Result<Vec<u8>, WireError> {
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(WireError::Damaged)?;
        let opened = self.keyring.keys.iter().find_map(|key| {
            let payload = Payload { msg: sealed, aad: fixed };
            ChaCha20Poly1305::new(&Key::from(*key)).decrypt(&Nonce::from(*nonce), payload).ok()
        });
        opened.ok_or(WireError::WrongKey)
    }
}

fn sum(fixed: &[u8], rest: &[u8]) -> [u8; 4] {
    crc32c::crc32c_append(crc32c::crc32c(fixed), rest).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::{ENVELOPE_BYTES, Envelope, Keyring, WireError};

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
    fn a_length_that_is_not_true_takes_no_memory() {
        let body = [&u32::MAX.to_le_bytes()[..], b"nothing"].concat();
        let mut bytes = Envelope::new("one", Keyring::none(), false).close(&body);
        // As if that were compressed.
        bytes[3] = super::COMPRESSED;
        let sum = super::sum(&bytes[..8], &bytes[12..]);
        bytes[8..12].copy_from_slice(&sum);
        let open = Envelope::new("one", Keyring::none(), false).open(&bytes, MAX);
        assert_eq!(open, Err(WireError::TooLong(MAX)));
    }
}
