//! An LMAX-style disruptor for programs that count microseconds: a preallocated ring through which
//! threads hand events to each other, along any graph of consumers, without locks on the way.
//!
//! The layers, lowest first; each knows only those before it.

pub mod base;
pub mod sys;

pub mod disruptor;

pub use disruptor::{
    BatchHandler, Consumer, Disruptor, DisruptorBuilder, EventHandler, EventHandlerMut, EventPoller,
    RingBuffer, TryEventHandler,
};
