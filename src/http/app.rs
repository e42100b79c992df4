//! From a request to a response: who asks, in which form, and what is told when something is wrong.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::access::{Caller, Callers, check_site, is_allowed};
use super::call::Call;
use super::media::{Media, compress, convert, decompress};
use super::problem::Problem;
use super::query::{Query, decode};
use super::response::{JSON, Response};
use super::routes::{self, Found, Route, Work};
use super::server::{Exchange, FrontStats, Head, Method, Plan, Refusal, Service};
use super::stats::RequestStats;
use crate::base::ulid::UlidSource;
use crate::engine::{Answer, Attempt};
use crate::node::Node;

/// The node's REST interface, as the front sees it.
pub struct App {
    pub node: Arc<Node>,
    pub front: Arc<FrontStats>,
    pub requests: RequestStats,
    callers: Callers,
    pub bound: SocketAddr,
    ids: UlidSource,
}

/// What every path understands besides its own parameters.
const COMMON_PARAMETERS: [&str; 2] = ["format", "pretty"];
/// A body that nobody asked for: it is read and passed over.
const STRAY_BODY_BYTES_MAX: usize = 64 << 10;

impl App {
    pub fn new(node: Arc<Node>, front: Arc<FrontStats>, bound: SocketAddr) -> Self {
        let salt = node.clock().unix_micros() as u32;
        let ids = UlidSource::new(salt);
        Self { node, front, requests: RequestStats::new(), callers: Callers::default(), bound, ids }
    }

    /// The client's name for its request, if it is a decent one, or one of ours.
    fn request_id(&self, head: &Head) -> String {
        let is_decent =
            |id: &&str| (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        let given = head.header("x-request-id").filter(is_decent);
        given.map_or_else(|| self.ids.next(self.node.clock().unix_micros()).to_string(), str::to_owned)
    }

    /// Whether a request publishes and is then answered by other nodes, in the end.
    fn waits_for_replicas(&self, route: &Route, parameters: &[String]) -> bool {
        let engine = self.node.engine();
        let waits = |name: &String| {
            let disruptor = decode(name).map(|name| engine.find(&name));
            disruptor.is_some_and(|found| found.is_ok_and(|disruptor| disruptor.waits_for_replicas()))
        };
        // One without a name publishes to several.
        engine.has_replicas() && route.method == "POST" && parameters.first().is_none_or(waits)
    }

    /// Everything that is decided before the body is looked at.
    fn admit<'c>(
        &'c self,
        head: &'c Head,
        peer: SocketAddr,
        route: &'static Route,
        parameters: Vec<String>,
    ) -> Result<Call<'c>, Problem> {
        let caller = match route.role {
            None => Caller { role: crate::node::Role::Viewer, scope: None, identity: peer.ip().to_string() },
            Some(role) => {
                let caller = Caller::of(head, peer, &self.node)?;
                caller.needs(role)?;
                caller
            }
        };
        if route.role.is_some() {
            let settings = self.node.requests_per_second();
            self.callers.take(&caller.identity, settings, self.node.clock().monotonic())?;
            if !route.is_for_scoped_keys() {
                caller.must_be_unscoped()?;
            }
        }
        let known: Vec<&str> =
            route.query.iter().map(|parameter| parameter.name).chain(COMMON_PARAMETERS).collect();
        let query = Query::parse(&head.query, &known)?;
        let call = Call { app: self, head, route, parameters, query, body: Vec::new(), caller };
        call.must_not_drain()?;
        Ok(call)
    }

    fn handle(
        &self,
        head: &Head,
        body: Vec<u8>,
        peer: SocketAddr,
        found: &Found,
    ) -> Result<Response, Problem> {
        check_site(head, self.bound.ip(), &self.node.cors_origins())?;
        let (route, parameters) = match found {
            Found::Route(place, parameters) => (&routes::ROUTES[*place], parameters),
            Found::OtherMethods(methods) if head.method == Method::Options => {
                return Ok(self.preflight(head, methods));
            }
            Found::OtherMethods(methods) => {
                let detail = format!("this path knows {}", methods.join(", "));
                return Err(Problem::new("method_not_allowed", detail).header("Allow", methods.join(", ")));
            }
            Found::Nothing => {
                return Err(Problem::new(
                    "route_not_found",
                    "there is nothing here; /openapi.json lists what there is",
                ));
            }
        };
        let parameters = parameters.iter().map(|part| decode(part)).collect::<Option<Vec<_>>>();
        let parameters =
            parameters.ok_or_else(|| Problem::field("path", "a part of the path is not UTF-8"))?;
        let mut call = self.admit(head, peer, route, parameters)?;
        let handler = match route.work {
            Work::Answer(handler) | Work::Wait(handler) => handler,
            Work::WaitIf(handler, _) | Work::ConverseOrWait(_, handler) => handler,
            Work::Converse(_) => unreachable!("conversations do not come here"),
        };
        if route.body.is_some() {
            call.body = decompress(head, body, route.body_max)?;
        }
        let key = head.header("idempotency-key").filter(|_| route.is_idempotent).map(str::to_owned);
        let response = match key {
            Some(key) => self.once(&key, &mut call, handler)?,
            None => handler(&mut call)?,
        };
        if response.header_value("content-type") != Some(JSON) {
            return Ok(response);
        }
        let media = call.wanted(&[Media::Json, Media::Yaml, Media::MessagePack])?;
        let is_browser = head.header("accept").is_some_and(|accept| accept.contains("text/html"));
        let is_pretty = call.query.boolean("pretty")?.unwrap_or(is_browser);
        convert(response, media, is_pretty)
    }

    /// Does a request that has a key at most once.
    fn once(
        &self,
        key: &str,
        call: &mut Call<'_>,
        handler: super::call::Handler,
    ) -> Result<Response, Problem> {
        if key.is_empty() || key.len() > 256 || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Problem::field("Idempotency-Key", "is 1 to 256 visible ASCII characters"));
        }
        let name = format!("{} {} {} {key}", call.caller.identity, call.route.method, call.head.path);
        let mut hash = Sha256::new();
        for part in
            [call.head.query.as_bytes(), call.head.header("content-type").unwrap_or_default().as_bytes()]
        {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(&call.body);
        match self.node.idempotency().attempt(name, hash.finalize().into()) {
            Attempt::Fresh(ticket) => {
                // What fails may be tried again under the same key.
                let response = handler(call)?;
                let content_type = response.header_value("content-type").unwrap_or(JSON).to_owned();
                ticket.finish(Answer {
                    status: response.status,
                    content_type,
                    body: response.body.as_slice().into(),
                });
                Ok(response)
            }
            Attempt::Done(answer) => {
                Ok(Response::new(answer.status, &answer.content_type, answer.body.to_vec())
                    .header("Idempotency-Replayed", "true"))
            }
            Attempt::Other => Err(Problem::new(
                "idempotency_conflict",
                format!("the key `{key}` was used for another request"),
            )),
            Attempt::InProgress => {
                let problem =
                    Problem::new("idempotency_in_progress", "a request with this key is being done");
                Err(problem.retry_after(std::time::Duration::from_secs(1)))
            }
        }
    }

    /// Tells a browser what pages of another origin may do.
    fn preflight(&self, head: &Head, methods: &[&'static str]) -> Response {
        let response = Response::empty(204).header("Allow", methods.join(", "));
        let origin = head.header("origin").unwrap_or_default();
        if !is_allowed(origin, head.header("host").unwrap_or_default(), &self.node.cors_origins()) {
            return response;
        }
        response
            .header("Access-Control-Allow-Methods", methods.join(", "))
            .header(
                "Access-Control-Allow-Headers",
                "authorization, content-type, content-encoding, idempotency-key, last-event-id, x-api-key, x-request-id",
            )
            .header("Access-Control-Max-Age", "600")
    }

    /// What every response has, and the records of it.
    fn finish(&self, head: &Head, response: Response, request: &Request<'_>) -> Response {
        let response = self.with_common_headers(head, response, &request.id);
        let response = compress(head, response);
        self.record(head, response.status, response.body.len(), request);
        response
    }

    fn with_common_headers(&self, head: &Head, response: Response, request_id: &str) -> Response {
        let mut response = response
            .header("X-Request-Id", request_id)
            .header("X-Content-Type-Options", "nosniff")
            .header("Vary", "Accept, Accept-Encoding, Origin");
        if response.header_value("cache-control").is_none() {
            response = response.header("Cache-Control", "no-store");
        }
        if let Some(origin) = head.header("origin")
            && is_allowed(origin, head.header("host").unwrap_or_default(), &self.node.cors_origins())
        {
            let exposed = "x-request-id, retry-after, idempotency-replayed, location, ratelimit";
            response = response
                .header("Access-Control-Allow-Origin", origin)
                .header("Access-Control-Expose-Headers", exposed);
        }
        response
    }

    fn record(&self, head: &Head, status: u16, bytes: usize, request: &Request<'_>) {
        let took = request.started.elapsed();
        let place = match request.found {
            Found::Route(place, _) => Some(*place),
            _ => None,
        };
        self.requests.record(place, status, took);
        // A server that has enough says 503 many times, and 502 and 504 are of other nodes: numbers tell that, not the log.
        let is_fault = status >= 500 && !matches!(status, 502..=504);
        let level = if is_fault { log::Level::Warn } else { log::Level::Debug };
        log::log!(
            target: "access", level, method = head.method.as_str(), path = head.path.as_str(), status = status,
            bytes = bytes, micros = took.as_micros() as u64, peer = request.peer.to_string().as_str(),
            request_id = request.id.as_str();
            "request"
        );
    }
}

/// What is known about a request from its head on.
struct Request<'r> {
    id: String,
    started: Instant,
    peer: SocketAddr,
    found: &'r Found,
}

impl Service for App {
    fn plan(&self, head: &Head) -> Plan {
        let Found::Route(place, parameters) = routes::find(head.method.as_str(), &head.path) else {
            return Plan::Answer { body_max: STRAY_BODY_BYTES_MAX };
        };
        let route = &routes::ROUTES[place];
        let body_max = if route.body.is_some() { route.body_max } else { STRAY_BODY_BYTES_MAX };
        match route.work {
            Work::Answer(_) => Plan::Answer { body_max },
            Work::Wait(_) => Plan::Wait { body_max },
            // To wait when it need not be costs a thread, and is right all the same.
            Work::WaitIf(_, parameter) if head.query.contains(parameter) => Plan::Wait { body_max },
            Work::WaitIf(..) if self.waits_for_replicas(route, &parameters) => Plan::Wait { body_max },
            Work::WaitIf(..) => Plan::Answer { body_max },
            Work::ConverseOrWait(..) if head.header("idempotency-key").is_some() => Plan::Wait { body_max },
            Work::Converse(_) | Work::ConverseOrWait(..) => Plan::Converse,
        }
    }

    fn answer(&self, head: &Head, body: Vec<u8>, peer: SocketAddr) -> Response {
        let found = routes::find(head.method.as_str(), &head.path);
        let request = Request { id: self.request_id(head), started: Instant::now(), peer, found: &found };
        let response = self.handle(head, body, peer, &found);
        let response = response.unwrap_or_else(|problem| problem.answer(head, &request.id));
        self.finish(head, response, &request)
    }

    fn converse(&self, head: &Head, exchange: &mut Exchange<'_>) -> io::Result<()> {
        let found = routes::find(head.method.as_str(), &head.path);
        let peer = exchange.peer();
        let request = Request { id: self.request_id(head), started: Instant::now(), peer, found: &found };
        let Found::Route(place, parameters) = &found else {
            unreachable!("only routes are planned as conversations")
        };
        let route = &routes::ROUTES[*place];
        let (Work::Converse(talk) | Work::ConverseOrWait(talk, _)) = route.work else {
            unreachable!("only conversations come here")
        };
        let admitted = check_site(head, self.bound.ip(), &self.node.cors_origins()).and_then(|()| {
            let parameters = parameters.iter().map(|part| decode(part)).collect::<Option<Vec<_>>>();
            let parameters =
                parameters.ok_or_else(|| Problem::field("path", "a part of the path is not UTF-8"))?;
            self.admit(head, peer, route, parameters)
        });
        let begin = |response: Response| self.with_common_headers(head, response, &request.id);
        let outcome = admitted.and_then(|mut call| match head.method {
            // What a stream would say has no length, and nobody wants to hear it.
            Method::Head => Ok(routes::Talked::Respond(Response::empty(200))),
            _ => talk(&mut call, exchange, &begin),
        });
        match outcome {
            Ok(routes::Talked::Respond(response)) => exchange.respond(self.finish(head, response, &request)),
            Ok(routes::Talked::Sent(result)) => {
                self.record(head, 200, 0, &request);
                result
            }
            Err(problem) => {
                let response = problem.answer(head, &request.id);
                exchange.respond(self.finish(head, response, &request))
            }
        }
    }

    fn refuse(&self, head: Option<&Head>, refusal: Refusal) -> Response {
        let problem = Problem::from(refusal);
        let (id, path) = match head {
            Some(head) => (self.request_id(head), head.path.as_str()),
            None => (self.ids.next(self.node.clock().unix_micros()).to_string(), ""),
        };
        let found = head.map_or(Found::Nothing, |head| routes::find(head.method.as_str(), &head.path));
        let place = if let Found::Route(place, _) = found { Some(place) } else { None };
        self.requests.record(place, problem.status, std::time::Duration::ZERO);
        log::debug!(target: "access", status = problem.status, path = path, request_id = id.as_str(); "refused: {refusal:?}");
        problem.to_response(path, &id).header("X-Request-Id", id).header("X-Content-Type-Options", "nosniff")
    }
}
