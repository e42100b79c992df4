//! An LMAX-style disruptor.
