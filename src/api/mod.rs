//! Layer 2: the words that a server and its clients have in common.
//!
//! Nothing here knows how a server or a client is made. Start with [`CODES`].

mod codes;

pub use codes::{CODES, Code, explain};
