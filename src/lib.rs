//! An LMAX-style disruptor for programs that count microseconds: a preallocated ring through which
//! threads hand events to each other, along any graph of consumers, without locks on the way.
//!
//! The layers, lowest first; each knows only those before it.

pub mod base;
pub mod sys;

pub mod metrics;

#[cfg(any(feature = "client", feature = "http"))]
pub mod api;
pub mod disruptor;

#[cfg(feature = "cluster")]
pub mod cluster;
#[cfg(feature = "http")]
pub mod engine;
#[cfg(feature = "http")]
pub mod replication;

#[cfg(feature = "http")]
pub mod node;

#[cfg(feature = "http")]
pub mod http;

#[cfg(feature = "client")]
pub mod client;

#[cfg(feature = "cli")]
pub mod cli;

pub use disruptor::{
    BatchHandler, Consumer, Disruptor, DisruptorBuilder, EventHandler, EventHandlerMut, EventPoller,
    RingBuffer, TryEventHandler,
};

/// The Rust blocks of the README and of the pages in docs, as doctests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/ARCHITECTURE.md")]
    struct Architecture;
    #[cfg(feature = "cluster")]
    #[doc = include_str!("../docs/CLUSTER.md")]
    struct Cluster;
    #[doc = include_str!("../docs/BENCHMARKS.md")]
    struct Benchmarks;
    #[doc = include_str!("../docs/PERFORMANCE.md")]
    struct Performance;
    #[doc = include_str!("../docs/PLACEMENT.md")]
    struct Placement;
    #[doc = include_str!("../docs/SOUNDNESS.md")]
    struct Soundness;
    #[doc = include_str!("../docs/STYLE.md")]
    struct Style;
    #[doc = include_str!("../docs/TUNING.md")]
    struct Tuning;
}
