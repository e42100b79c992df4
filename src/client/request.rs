//! One request and its answer, tried as often as is useful.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::error::{ClientError, Problem};
use crate::base::rng::Rng;

/// A client of one server. Any thread may use it or a clone of it; each request has a connection of its own.
///
/// ```no_run
/// use badbatch::client::Client;
///
/// let client = Client::new("http://127.0.0.1:8080")?;
/// let published = client.publish("main", &serde_json::json!({"message": "Hello, World!"}))?;
/// println!("sequence {}", published["sequence"]);
/// for tailed in client.tail("main", 0).take(10) {
///     println!("{:?}", tailed?);
/// }
/// # Ok::<(), badbatch::client::ClientError>(())
/// ```
#[derive(Debug)]
pub struct Client {
    endpoint: String,
    key: Option<Secret>,
    headers: Vec<(String, Secret)>,
    timeout: Duration,
    attempts: u32,
    observer: Option<Observer>,
    /// For pauses that differ, and for keys of requests.
    rng: Mutex<Rng>,
}

impl Clone for Client {
    /// A client of the same server, told the same.
    fn clone(&self) -> Self {
        Self {
            endpoint: self.endpoint.clone(),
            key: self.key.clone(),
            headers: self.headers.clone(),
            timeout: self.timeout,
            attempts: self.attempts,
            observer: self.observer.clone(),
            // Not a copy: no two requests may have the same idempotency key.
            rng: Mutex::new(Rng::new(self.random())),
        }
    }
}

/// A text that is not shown.
#[derive(Clone)]
struct Secret(String);

/// What a client tells of each attempt.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Exchange<'e> {
    /// The method.
    pub method: &'e str,
    /// The path, with its query.
    pub path: &'e str,
    /// The status, if an answer in HTTP came.
    pub status: Option<u16>,
    /// From the connection to the end of the answer.
    pub took: Duration,
}

#[derive(Clone)]
struct Observer(Arc<dyn Fn(Exchange<'_>) + Send + Sync>);

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Observer")
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(not shown)")
    }
}

/// What is sent.
#[derive(Clone, Debug)]
pub enum Body {
    /// A JSON value.
    Json(Value),
    /// Bytes of some media type.
    Bytes(&'static str, Vec<u8>),
}

/// A good answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The status, below 300.
    pub status: u16,
    /// The media type.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

const TIMEOUT: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// What some server may not want.
const LARGE_BYTES: usize = 1 << 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a request is sent on to another node: homes move seldom.
const REDIRECTIONS_MAX: usize = 3;

impl Client {
    /// A client of the server at `http://host:port`. Sends nothing yet.
    ///
    /// Errors: [`ClientError::Endpoint`].
    pub fn new(endpoint: &str) -> Result<Self, ClientError> {
        let endpoint = endpoint.trim_end_matches('/');
        let host = endpoint.strip_prefix("http://").unwrap_or_default();
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b'?' | b'#' | b'@');
        if host.is_empty() || !host.bytes().all(is_plain) {
            // A password in a URL is not repeated.
            let given = endpoint.rsplit('@').next().unwrap_or_default().to_owned();
            return Err(ClientError::Endpoint { given });
        }
        let mut seed = [0; 8];
        // Without randomness from the system, keys are still unlike those of other processes.
        let seed = match getrandom::fill(&mut seed) {
            Ok(()) => u64::from_le_bytes(seed),
            Err(_) => u64::from(std::process::id()) << 32 | u64::from(seed.as_ptr().addr() as u32),
        };
        let rng = Mutex::new(Rng::new(seed));
        Ok(Self {
            endpoint: endpoint.to_owned(),
            key: None,
            headers: Vec::new(),
            timeout: TIMEOUT,
            attempts: ATTEMPTS,
            observer: None,
            rng,
        })
    }

    /// With an access key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(Secret(key.into()));
        self
    }

    /// With a header on every request, as a proxy may want.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), Secret(value.into())));
        self
    }

    /// Calls this after each attempt, on the caller's thread.
    #[must_use]
    pub fn observe(mut self, observer: impl Fn(Exchange<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Observer(Arc::new(observer)));
        self
    }

    /// How long an answer is waited for, in whole seconds, at least one.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.max(Duration::from_secs(1));
        self
    }

    /// How often a request is tried that may be tried again; 1 for once.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Where the server is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Publishes an event: any JSON but null, or an object that describes one.
    ///
    /// Shape: safe to try again, since it has a key of its own.
    pub fn publish(&self, disruptor: &str, event: &Value) -> Result<Value, ClientError> {
        let path = format!("{}/events", disruptor_path(disruptor));
        self.json("POST", &path, Some(Body::Json(event.clone())))
    }

    /// Publishes up to 1000 events as a whole.
    ///
    /// Shape: as [`publish`](Self::publish).
    pub fn publish_batch(&self, disruptor: &str, events: &[Value]) -> Result<Value, ClientError> {
        let path = format!("{}/events/batch", disruptor_path(disruptor));
        self.json("POST", &path, Some(Body::Json(json!(events))))
    }

    /// The event at a sequence.
    pub fn event(&self, disruptor: &str, sequence: u64) -> Result<Value, ClientError> {
        self.json("GET", &format!("{}/events/{sequence}", disruptor_path(disruptor)), None)
    }

    /// Makes a disruptor.
    ///
    /// Shape: as [`publish`](Self::publish).
    pub fn create(&self, definition: &Value) -> Result<Value, ClientError> {
        self.json("POST", "/api/v1/disruptor", Some(Body::Json(definition.clone())))
    }

    /// Shows a disruptor.
    pub fn show(&self, disruptor: &str) -> Result<Value, ClientError> {
        self.json("GET", &disruptor_path(disruptor), None)
    }

    /// `start`, `stop`, `pause`, `resume` or `reset`.
    pub fn change(&self, disruptor: &str, action: &str) -> Result<Value, ClientError> {
        self.json("POST", &format!("{}/{}", disruptor_path(disruptor), encoded(action)), None)
    }

    /// Drains a disruptor and deletes it.
    pub fn delete(&self, disruptor: &str) -> Result<(), ClientError> {
        self.request("DELETE", &disruptor_path(disruptor), None, self.timeout).map(drop)
    }

    /// How the server does, also if that is badly.
    pub fn health(&self) -> Result<Value, ClientError> {
        match self.once("GET", "/health", None, "", self.timeout) {
            Ok(answer) => serde_json::from_slice(&answer.body)
                .map_err(|error| self.garbage(format!("its answer is not JSON: {error}"))),
            Err(error) => Err(error),
        }
    }

    /// A request whose answer is JSON; null if it has no body.
    pub fn json(&self, method: &str, path: &str, body: Option<Body>) -> Result<Value, ClientError> {
        let answer = self.request(method, path, body, self.timeout)?;
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body)
            .map_err(|error| self.garbage(format!("its answer is not JSON: {error}")))
    }

    /// A request, tried again where that is safe: a POST has a key by which the server knows it again.
    ///
    /// Shape: `path` with its query, already encoded. Blocks for up to `timeout` per attempt, and between attempts for
    /// 0.1 s, twice as long each time, or for as long as the server says.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<Body>,
        timeout: Duration,
    ) -> Result<Answer, ClientError> {
        let idempotency_key = format!("{:016x}{:016x}", self.random(), self.random());
        self.request_as(&idempotency_key, method, path, body, timeout)
    }

    /// As [`request`](Self::request), with an idempotency key of the caller's: a POST that was answered under it is
    /// not done again, also by another process.
    pub fn request_as(
        &self,
        idempotency_key: &str,
        method: &str,
        path: &str,
        body: Option<Body>,
        timeout: Duration,
    ) -> Result<Answer, ClientError> {
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let error = match self.once(method, path, body.as_ref(), idempotency_key, timeout) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if attempt >= self.attempts || !error.is_transient() {
                return Err(error);
            }
            let told = match &error {
                ClientError::Problem(problem) => problem.retry_after.unwrap_or_default(),
                _ => Duration::ZERO,
            };
            // From half to one and a half, so that clients that failed together do not come back together.
            let jitter = 0.5 + self.random() as f64 / u64::MAX as f64;
            thread::sleep(pause.mul_f64(jitter).max(told).min(LONGEST_PAUSE));
            pause *= 2;
        }
        unreachable!("the last attempt returns")
    }

    /// One attempt, at the node that a server says is the disruptor's home if it is not that itself.
    fn once(
        &self,
        method: &str,
        path: &str,
        body: Option<&Body>,
        idempotency_key: &str,
        timeout: Duration,
    ) -> Result<Answer, ClientError> {
        let mut url = format!("{}{path}", self.endpoint);
        for _ in 0..REDIRECTIONS_MAX {
            match self.send(&url, method, path, body, idempotency_key, timeout) {
                Err(ClientError::Problem(problem)) if problem.location.is_some() => {
                    url = problem.location.unwrap_or_default();
                }
                other => return other,
            }
        }
        self.send(&url, method, path, body, idempotency_key, timeout)
    }

    fn send(
        &self,
        url: &str,
        method: &str,
        path: &str,
        body: Option<&Body>,
        idempotency_key: &str,
        timeout: Duration,
    ) -> Result<Answer, ClientError> {
        let method_name = match method {
            "GET" => minreq::Method::Get,
            "POST" => minreq::Method::Post,
            "PUT" => minreq::Method::Put,
            "PATCH" => minreq::Method::Patch,
            "DELETE" => minreq::Method::Delete,
            "HEAD" => minreq::Method::Head,
            "OPTIONS" => minreq::Method::Options,
            other => minreq::Method::Custom(other.to_owned()),
        };
        let mut request = minreq::Request::new(method_name, url)
            .with_timeout(timeout.as_secs().max(1))
            .with_follow_redirects(false)
            .with_header("user-agent", concat!("badbatch-client/", env!("CARGO_PKG_VERSION")))
            .with_header("accept", "application/json, */*;q=0.1");
        if method == "POST" {
            request = request.with_header("idempotency-key", idempotency_key);
        }
        for (name, Secret(value)) in &self.headers {
            request = request.with_header(name, value);
        }
        if let Some(Secret(key)) = &self.key {
            request = request.with_header("authorization", format!("Bearer {key}"));
        }
        let body = body.map(|body| match body {
            Body::Json(value) => ("application/json", value.to_string().into_bytes()),
            Body::Bytes(media, bytes) => (*media, bytes.clone()),
        });
        let sent = body.as_ref().map_or(0, |(_, bytes)| bytes.len());
        if let Some((media, bytes)) = body {
            request = request.with_header("content-type", media).with_body(bytes);
        }
        let started = Instant::now();
        let response = request.send();
        if let Some(Observer(observe)) = &self.observer {
            let status = response.as_ref().ok().map(|response| response.status_code);
            observe(Exchange { method, path, status, took: started.elapsed() });
        }
        let response = response.map_err(|error| self.told(error, timeout, sent))?;
        let status = response.status_code;
        let content_type = response.header("content-type").unwrap_or_default().to_owned();
        // What minreq makes of a connection that ends at once, or begins with something else than HTTP.
        if status == 503 && response.headers.is_empty() && response.as_bytes().is_empty() {
            let cause = "no answer in HTTP came".to_owned();
            return Err(ClientError::Unreachable { endpoint: self.endpoint.clone(), cause });
        }
        let announced = response.header("content-length").and_then(|length| length.parse().ok());
        if method != "HEAD" && announced.is_some_and(|length: usize| length > response.as_bytes().len()) {
            let cause = "the answer was cut off".to_owned();
            return Err(ClientError::Unreachable { endpoint: self.endpoint.clone(), cause });
        }
        let is_told = (200..300).contains(&status) || path == "/health";
        match status {
            _ if is_told => Ok(Answer { status, content_type, body: response.into_bytes() }),
            _ => {
                let location = response.header("location").map(str::to_owned);
                Err(self.problem(status, response.as_bytes(), location))
            }
        }
    }

    fn problem(&self, status: u16, body: &[u8], location: Option<String>) -> ClientError {
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return self.garbage(format!("status {status} without a problem"));
        };
        let text = |name: &str| body[name].as_str().map(str::to_owned);
        match (text("code"), text("detail")) {
            (Some(code), Some(detail)) => {
                let retry_after = body["retry_after_ms"].as_u64().map(Duration::from_millis);
                // Nobody else is followed anywhere.
                let location = location.filter(|_| code == "not_home");
                ClientError::Problem(Box::new(Problem { status, code, detail, body, retry_after, location }))
            }
            _ => self.garbage(format!("status {status} without a problem")),
        }
    }

    /// What became of a request with a body of so many bytes.
    fn told(&self, error: minreq::Error, after: Duration, sent: usize) -> ClientError {
        let endpoint = self.endpoint.clone();
        match error {
            minreq::Error::IoError(error) => match error.kind() {
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                    ClientError::TimedOut { endpoint, after }
                }
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset if sent > LARGE_BYTES => {
                    let cause = format!("{error}, while {sent} bytes were sent: perhaps more than it takes");
                    ClientError::Unreachable { endpoint, cause }
                }
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
                    self.garbage(error.to_string())
                }
                _ => ClientError::Unreachable { endpoint, cause: error.to_string() },
            },
            minreq::Error::AddressNotFound => {
                ClientError::Unreachable { endpoint, cause: "the host has no address".to_owned() }
            }
            other => self.garbage(other.to_string()),
        }
    }

    fn garbage(&self, what: String) -> ClientError {
        ClientError::Garbage { endpoint: self.endpoint.clone(), what }
    }

    fn random(&self) -> u64 {
        self.rng.lock().next_u64()
    }
}

/// The path of a disruptor, by its name or identifier; those of what it has begin with it.
///
/// ```
/// use badbatch::client::disruptor_path;
///
/// assert_eq!(disruptor_path("a/b"), "/api/v1/disruptor/a%2Fb");
/// ```
pub fn disruptor_path(name: &str) -> String {
    format!("/api/v1/disruptor/{}", encoded(name))
}

/// A text as a part of a path, or of a query, for [`Client::json`] and [`Client::request`].
///
/// Source: RFC 3986, 2.1 and 2.3: all but unreserved characters become `%` and two digits for each byte.
pub fn encoded(text: &str) -> String {
    let keep = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'~');
    let part = |byte: u8| if keep(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(part).collect()
}
