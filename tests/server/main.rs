//! The server through real sockets: each endpoint, each error, each form, and what lies between them.

mod access;
mod bench;
mod cli;
mod client;
mod cluster;
mod completion;
mod control;
mod doctor;
mod engine;
mod events;
mod forms;
mod front;
mod openapi;
mod program;
mod pty;
mod replication;
mod rows;
mod settings;
mod shell;
mod streams;
mod support;
mod terminal;
mod tiny_http_alone;
#[cfg(feature = "tls")]
mod tls;
mod tree;
mod watch;
