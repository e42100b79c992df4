//! Layer 6: a blocking client of the REST interface, for Rust programs and for the command line.
//!
//! It speaks JSON, tries again what may be tried again, and tells a server's problems as values. Nothing here knows
//! how a server is made. Start with [`Client`].

mod error;
mod lines;
mod request;
mod tail;

pub use error::{ClientError, Problem};
pub use lines::{LineKind, LinesPublished};
pub use request::{Answer, Body, Client, Exchange, disruptor_path, encoded};
pub use tail::{Tail, Tailed};
