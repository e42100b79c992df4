//! Who asks, and whether they may.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use parking_lot::Mutex;

use super::problem::Problem;
use super::server::{Head, Method};
use crate::engine::Limiter;
use crate::node::{Node, Role};

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    pub role: Role,
    /// The beginning of the names of the disruptors that this is about; all of them if there is none.
    pub scope: Option<String>,
    /// What tells callers apart: a key, or an address.
    pub identity: String,
}

impl Caller {
    /// Finds out by the request's key.
    ///
    /// Errors: a key is needed, and there is none or a wrong one.
    pub fn of(head: &Head, peer: SocketAddr, node: &Node) -> Result<Self, Problem> {
        let anybody = || Self { role: Role::Admin, scope: None, identity: peer.ip().to_string() };
        if !node.needs_keys() && node.keys().is_empty() {
            return Ok(anybody());
        }
        let known = key_of(head).and_then(|key| node.keys().check(&key, node.clock().unix_micros()));
        match known {
            Some((role, scope, id)) => Ok(Self { role, scope, identity: format!("key {id}") }),
            None if !node.needs_keys() => Ok(anybody()),
            None => {
                let detail = "send a key as `Authorization: Bearer bb_...` or `X-API-Key: bb_...`";
                Err(Problem::new("unauthorized", detail)
                    .header("WWW-Authenticate", "Bearer, Basic realm=\"badbatch\""))
            }
        }
    }

    /// Whether the caller's role is high enough.
    pub fn needs(&self, role: Role) -> Result<(), Problem> {
        if self.role >= role {
            return Ok(());
        }
        let detail =
            format!("this needs the role {}, and the key has the role {}", role.name(), self.role.name());
        Err(Problem::new("forbidden", detail))
    }

    /// Whether a disruptor is within the caller's scope.
    pub fn reaches(&self, name: &str) -> bool {
        self.scope.as_ref().is_none_or(|scope| name.starts_with(scope.as_str()))
    }

    /// The same, with what to tell if it is not.
    pub fn must_reach(&self, name: &str) -> Result<(), Problem> {
        match &self.scope {
            Some(scope) if !name.starts_with(scope.as_str()) => Err(Problem::new(
                "forbidden",
                format!("the key is for disruptors whose names begin with `{scope}`"),
            )),
            _ => Ok(()),
        }
    }

    /// Whether the caller may ask about the node as a whole.
    pub fn must_be_unscoped(&self) -> Result<(), Problem> {
        match &self.scope {
            Some(_) => Err(Problem::new(
                "forbidden",
                "the key is for some disruptors, and this is about all of them",
            )),
            None => Ok(()),
        }
    }
}

fn key_of(head: &Head) -> Option<String> {
    if let Some(key) = head.header("x-api-key") {
        return Some(key.to_owned());
    }
    let (scheme, credentials) = head.header("authorization")?.split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(BASE64.decode(credentials).ok()?).ok()?;
        let (user, password) = decoded.split_once(':')?;
        return Some(if password.is_empty() { user.to_owned() } else { password.to_owned() });
    }
    None
}

/// Whether the request may come from where it comes from, as far as a browser tells.
///
/// A server on loopback is reached by every page that its user opens: such a page may give its own name to
/// 127.0.0.1 (DNS rebinding), or post a form to it (cross-site request forgery).
pub fn check_site(head: &Head, bound: IpAddr, origins: &[String]) -> Result<(), Problem> {
    let host = head.header("host").unwrap_or_default();
    let name = host_name(host);
    let is_own_name = name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || address == bound);
    if bound.is_loopback() && !is_own_name && !(host.is_empty() && head.is_old) {
        let shown: String = host.chars().take(80).collect();
        return Err(Problem::new("bad_host", format!("`{shown}` is not a name of this server")));
    }
    let changes = !matches!(head.method, Method::Get | Method::Head | Method::Options);
    if !changes {
        return Ok(());
    }
    match head.header("origin") {
        Some(origin) if is_allowed(origin, host, origins) => Ok(()),
        Some(origin) => {
            let shown: String = origin.chars().take(80).collect();
            Err(Problem::new("cross_origin", format!("pages of `{shown}` may not change anything here")))
        }
        None if head.header("sec-fetch-site").is_some_and(|site| site == "cross-site") => {
            Err(Problem::new("cross_origin", "a page of another site may not change anything here"))
        }
        None => Ok(()),
    }
}

/// Whether pages of an origin may read, and change, what is here.
pub fn is_allowed(origin: &str, host: &str, origins: &[String]) -> bool {
    let is_same = origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
    is_same || origins.iter().any(|allowed| allowed == origin)
}

/// A Host header without its port and brackets.
fn host_name(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    }
}

/// How many requests each caller may make per second.
#[derive(Debug, Default)]
pub struct Callers(Mutex<HashMap<String, (u64, Limiter)>>);

/// Callers that are told apart; when there are more, all begin anew.
const CALLERS_MAX: usize = 10_000;

impl Callers {
    /// Takes a caller's turn; `per_second` of 0 is no limit.
    pub fn take(&self, identity: &str, per_second: u64, now: Duration) -> Result<(), Problem> {
        if per_second == 0 {
            return Ok(());
        }
        let mut callers = self.0.lock();
        if callers.len() >= CALLERS_MAX && !callers.contains_key(identity) {
            callers.clear();
        }
        let fresh = || (per_second, Limiter::new(per_second, now));
        let (rate, limiter) = callers.entry(identity.to_owned()).or_insert_with(fresh);
        if *rate != per_second {
            (*rate, *limiter) = fresh();
        }
        limiter.take(1, now).map_err(|wait| {
            Problem::new("rate_limited", format!("{per_second} requests per second are allowed"))
                .with("limit", per_second)
                .header("RateLimit-Policy", format!("\"requests\";q={per_second};w=1"))
                .header("RateLimit", format!("\"requests\";r=0;t={}", wait.as_secs().max(1)))
                .retry_after(wait)
        })
    }
}
