//! The interface: one table of routes, from which requests are dispatched and `/openapi.json` is made.

mod bulk;
mod cluster;
mod cluster_key;
mod disruptor;
mod event;
mod key;
mod metrics;
mod node;
mod replication;
mod service;
mod stream;
mod table;

use std::io;

use super::call::{Call, Handler};
use super::media::Media;
use super::problem::Problem;
use super::response::Response;
use super::server::Exchange;
use crate::node::Role;

pub use table::ROUTES;

/// A path with a method, and everything that is to be known about it.
#[derive(Clone, Copy)]
pub struct Route {
    pub method: &'static str,
    /// Names in braces stand for one part each.
    pub path: &'static str,
    /// What programs call it.
    pub id: &'static str,
    pub tag: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// What a key must allow; `None` if nobody needs one.
    pub role: Option<Role>,
    pub query: &'static [Parameter],
    pub body: Option<Body>,
    /// Largest body in bytes, after decompression as well.
    pub body_max: usize,
    /// What comes back when all is well.
    pub success: &'static [Success],
    /// What else may be wrong, besides what may be wrong everywhere.
    pub problems: &'static [&'static str],
    /// Whether an Idempotency-Key is understood.
    pub is_idempotent: bool,
    pub work: Work,
}

impl Route {
    /// Whether it is about disruptors, each of which is checked against a key's scope.
    pub fn is_for_scoped_keys(&self) -> bool {
        !matches!(self.tag, "node" | "key" | "cluster")
    }
}

/// A parameter in the query.
pub struct Parameter {
    pub name: &'static str,
    pub about: &'static str,
    /// A JSON schema.
    pub schema: &'static str,
}

/// What is sent.
#[derive(Clone, Copy)]
pub struct Body {
    pub media: &'static [Media],
    /// A name among the schemas.
    pub schema: &'static str,
    pub is_required: bool,
}

/// What comes back.
pub struct Success {
    pub status: u16,
    pub about: &'static str,
    pub media: &'static [Media],
    /// A name among the schemas; empty if there is no body.
    pub schema: &'static str,
}

/// How a route is served.
#[derive(Clone, Copy)]
pub enum Work {
    /// At once.
    Answer(Handler),
    /// On a thread of its own, since it waits for something.
    Wait(Handler),
    /// The same if it has this parameter.
    WaitIf(Handler, &'static str),
    /// Piece by piece.
    Converse(Talk),
    /// The same, unless it has an Idempotency-Key: then as a whole, since the key stands for the whole.
    ConverseOrWait(Talk, Handler),
}

/// Adds to a response what every response has.
pub type Begin<'b> = &'b dyn Fn(Response) -> Response;

/// Serves a route piece by piece.
pub type Talk = fn(&mut Call<'_>, &mut Exchange<'_>, Begin<'_>) -> Result<Talked, Problem>;

/// How that ended.
pub enum Talked {
    /// This is still to be answered.
    Respond(Response),
    /// Everything was sent, or the client is gone.
    Sent(io::Result<()>),
}

/// What a path leads to.
pub enum Found {
    /// A place in the table, and the parts that its path has names for, as they were sent.
    Route(usize, Vec<String>),
    /// A path that knows these methods.
    OtherMethods(Vec<&'static str>),
    Nothing,
}

/// Looks a path up. HEAD is understood wherever GET is.
pub fn find(method: &str, path: &str) -> Found {
    let method = if method == "HEAD" { "GET" } else { method };
    let fitting = ROUTES.iter().find_map(|route| Some((route.path, parts(route.path, path)?)));
    let Some((template, parts)) = fitting else { return Found::Nothing };
    let here = || ROUTES.iter().enumerate().filter(|(_, route)| route.path == template);
    if let Some((place, _)) = here().find(|(_, route)| route.method == method) {
        return Found::Route(place, parts.into_iter().map(str::to_owned).collect());
    }
    let mut methods: Vec<_> = here().map(|(_, route)| route.method).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    Found::OtherMethods(methods)
}

/// What stands in a path where its template has names.
fn parts<'p>(template: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let mut parts = Vec::new();
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parts),
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => parts.push(given),
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, ROUTES, find};
    use crate::api::CODES;

    #[test]
    fn paths_lead_to_their_routes_and_nowhere_else() {
        let check = |method: &str, path: &str, id: &str, parts: &[&str]| match find(method, path) {
            Found::Route(place, found) => assert_eq!(
                (ROUTES[place].id, found.as_slice()),
                (id, &*parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>())
            ),
            Found::OtherMethods(methods) => panic!("{path}: {methods:?}"),
            Found::Nothing => panic!("{path}"),
        };
        check("GET", "/health", "health", &[]);
        check("HEAD", "/health", "health", &[]);
        check("GET", "/api/v1/disruptor/a%2Fb/events/5", "read_event", &["a%2Fb", "5"]);
        check("GET", "/api/v1/disruptor/a/events/stream", "stream_events", &["a"]);
        check("POST", "/api/v1/disruptor/a/events/batch", "publish_batch", &["a"]);
        assert!(
            matches!(find("PUT", "/health"), Found::OtherMethods(methods) if methods == ["GET", "HEAD", "OPTIONS"])
        );
        for path in ["", "/x", "/api/v1/disruptor/", "/api/v1/disruptor//events", "//health", "/health/"] {
            assert!(matches!(find("GET", path), Found::Nothing), "{path}");
        }
    }

    #[test]
    fn the_table_is_consistent() {
        for (place, route) in ROUTES.iter().enumerate() {
            assert!(ROUTES.iter().skip(place + 1).all(|other| other.id != route.id), "{}", route.id);
            assert!(!route.success.is_empty(), "{}", route.id);
            for code in route.problems {
                assert!(CODES.iter().any(|known| known.code == *code), "{code}");
            }
            assert_eq!(route.body.is_some(), route.body_max > 0, "{}", route.id);
        }
    }
}
