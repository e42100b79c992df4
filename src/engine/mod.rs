//! Layer 3: disruptors with names, for programs that know their events only at run time.
//!
//! An [`Engine`] holds [`NamedDisruptor`]s. Each one carries [`Event`]s, which are bytes with some metadata, to its
//! sinks, and keeps the last ones readable in a window, so that a reader never holds up a producer unless it asks
//! to. Nothing here knows of HTTP, of a configuration file or of a terminal; events are volatile, and what must
//! outlive the process goes through a sink. Start with [`NamedDisruptor`], then `window.rs` and `sink/`.

mod copies;
mod definition;
mod error;
mod event;
mod fields;
mod idempotency;
mod limiter;
mod named;
mod publish_json;
mod registry;
mod ring;
mod sink;
mod subscription;
mod window;

pub use copies::Copies;
pub use definition::{
    Consistency, Defaults, Definition, ProducerType, SinkDefinition, SinkKind, check_name, check_size,
};
pub(crate) use definition::{PRODUCER_TYPES, WAIT_STRATEGIES, word};
pub use error::EngineError;
pub use event::{BlockError, ContentType, Draft, Event, PAYLOAD_BYTES_MAX};
pub use fields::{FieldError, Fields, whole_number};
pub use idempotency::{Answer, Attempt, Idempotency, Remembered, Ticket};
pub use limiter::Limiter;
pub use named::{Lifecycle, NamedDisruptor, Published, Rejections, SinkReport, Whereabouts};
pub use publish_json::{rfc3339, write_event, write_json_string};
pub use registry::{Author, Engine, EngineOptions};
pub use subscription::{Subscription, Tailed};
pub use window::Lookup;
