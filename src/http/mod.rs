//! Layer 6: a node behind REST, with curl as its first client.
//!
//! `server.rs` is the front, which knows sockets and limits and nothing of disruptors; [`Server`] puts the two
//! together. `routes/` is the interface: one table from which requests are dispatched and `/openapi.json` is made.
//! Between them stands `app.rs`: who asks, in which form, and what is told when something is wrong. Nothing here
//! keeps state of its own that outlives a request, but for counters.

mod access;
mod app;
mod call;
mod media;
mod openapi;
mod problem;
mod query;
mod response;
mod routes;
mod server;
mod stats;
#[cfg(feature = "tls")]
mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use crate::node::{Node, Settings};

pub use server::Limits;
pub use server::head::{Fault, Head};

/// A node's REST interface.
pub struct Server {
    front: server::Front,
}

impl Server {
    /// Serves a node on a listener, with the limits and the certificate that its settings give.
    ///
    /// Errors: the operating system's, or what is wrong with the certificate.
    pub fn start(node: Arc<Node>, listener: TcpListener) -> io::Result<Self> {
        let settings = node.settings();
        let limits = Limits {
            connections: settings.number("server.max_connections") as usize,
            connections_per_address: settings.number("server.max_connections_per_address") as usize,
            lanes: settings.number("server.max_streams") as usize,
            lanes_per_address: settings.number("server.max_streams_per_address") as usize,
            ..Limits::default()
        };
        Self::start_with(node, listener, limits)
    }

    /// Serves a node on a listener, with limits of the caller's.
    ///
    /// Errors: the operating system's.
    pub fn start_with(node: Arc<Node>, listener: TcpListener, limits: Limits) -> io::Result<Self> {
        let wrap = wrap(&node.settings()).map_err(io::Error::other)?;
        let stats = Arc::new(server::FrontStats::default());
        let app = Arc::new(app::App::new(Arc::clone(&node), Arc::clone(&stats), listener.local_addr()?));
        let front = server::Front::start(listener, app, limits, stats, wrap)?;
        node.announce_http(front.address());
        Ok(Self { front })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.front.address()
    }

    /// Accepts nothing more, finishes the requests that are in flight, and ends.
    pub fn stop(self) {
        self.front.stop();
    }
}

/// What makes streams of sockets: plain ones, unless the settings have a certificate.
fn wrap(settings: &Settings) -> Result<server::Wrap, String> {
    match (settings.text("server.tls_certificate"), settings.text("server.tls_key")) {
        (None, None) => Ok(Arc::new(|socket| Ok(Box::new(socket)))),
        (Some(certificate), Some(key)) => encrypted(certificate, key),
        _ => Err("server.tls_certificate and server.tls_key are given together, or not at all".to_owned()),
    }
}

#[cfg(feature = "tls")]
fn encrypted(certificate: &str, key: &str) -> Result<server::Wrap, String> {
    tls::wrap(certificate.as_ref(), key.as_ref())
}

#[cfg(not(feature = "tls"))]
fn encrypted(_certificate: &str, _key: &str) -> Result<server::Wrap, String> {
    Err("server.tls_certificate: this program has no TLS; build it with the feature `tls`".to_owned())
}
