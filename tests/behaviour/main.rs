//! What the disruptor promises, from the outside. One module per part of its face.

mod consuming;
mod ending;
mod failing;
mod graphs;
mod joining;
mod placing;
mod polling;
mod producing;
mod seeing;
mod support;
mod waiting;
