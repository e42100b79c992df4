//! A server in this process, and a client that can say anything to it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use badbatch::http::{Limits, Server};
use badbatch::node::{Node, Settings};
use serde_json::Value;

/// How long a test waits for what must come: it fails long before anybody loses patience.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_badbatch");

/// A server that ends with the test.
pub struct Running {
    pub node: Arc<Node>,
    server: Option<Server>,
    pub address: SocketAddr,
}

impl Running {
    /// Starts a server with these settings, on a port that the system chooses.
    pub fn start(settings: &str) -> Self {
        Self::start_with(settings, Limits::default())
    }

    pub fn start_with(settings: &str, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        Self::start_on(listener, settings, limits)
    }

    /// Starts a server where another one was.
    pub fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("the port is free again");
        Self::start_on(listener, "", Limits::default())
    }

    fn start_on(listener: TcpListener, settings: &str, limits: Limits) -> Self {
        let settings = Settings::gather(Some(settings), |_| None, &[]).expect("the settings are right");
        let node = Node::start(settings, || {}).expect("the node starts");
        let server = Server::start_with(Arc::clone(&node), listener, limits).expect("the server starts");
        let address = server.address();
        Self { node, server: Some(server), address }
    }

    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Ends the server, and tells whether every event was handed on.
    pub fn stop(mut self) -> bool {
        self.end()
    }

    fn end(&mut self) -> bool {
        let Some(server) = self.server.take() else { return true };
        self.node.begin_drain();
        server.stop();
        self.node.stop().left.is_empty()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// A server as a process of its own, which ends with the test.
pub struct Process {
    pub child: Child,
    out: BufReader<ChildStdout>,
    pub greeting: String,
    /// The lines of its log. They are read at once, so that it never waits for a reader.
    log: Receiver<String>,
}

impl Process {
    pub fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .arg("server")
            .args(arguments)
            .env_remove("BADBATCH_CONFIG")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut out = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut errors = BufReader::new(child.stderr.take().expect("its errors are piped"));
        let (sender, log) = channel();
        let read = move || {
            let mut line = String::new();
            while errors.read_line(&mut line).is_ok_and(|read| read > 0) {
                // Who has ended the test reads no more.
                let _told = sender.send(std::mem::take(&mut line));
            }
        };
        thread::Builder::new().name("log".to_owned()).spawn(read).expect("a thread starts");
        let mut greeting = String::new();
        while !greeting.contains("Ctrl-C") {
            let read = out.read_line(&mut greeting).expect("it greets");
            if read == 0 {
                panic!("it ended: {greeting}{}", log.iter().collect::<String>());
            }
        }
        Self { child, out, greeting, log }
    }

    /// The next line of its log.
    pub fn log_line(&self) -> String {
        self.log.recv_timeout(PATIENCE).expect("it tells")
    }

    pub fn address(&self) -> std::net::SocketAddr {
        let (_, rest) = self.greeting.split_once("API      http://").expect("it tells its address");
        rest.split('/').next().and_then(|address| address.parse().ok()).expect("it is an address")
    }

    pub fn client(&self) -> Client {
        Client::new(self.address())
    }

    pub fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.expect("there is a shell").success());
    }

    /// Waits for the end, and returns the status with what was said on the way.
    pub fn end(mut self) -> (Option<i32>, String, String) {
        let mut out = String::new();
        self.out.read_to_string(&mut out).expect("it is text");
        (self.child.wait().expect("it ends").code(), out, self.log.iter().collect())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// A folder that is gone after the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("badbatch-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the folder is made");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

/// A response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// A connection to a server.
pub struct Client {
    pub stream: BufReader<TcpStream>,
    address: SocketAddr,
    /// Whether the last answer said that the connection ends.
    is_over: bool,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Self { stream: BufReader::new(stream), address, is_over: false }
    }

    /// A request with a body, in the usual form.
    pub fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        if self.is_over {
            *self = Self::new(self.address);
        }
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("host")) {
            head += &format!("Host: {}\r\n", self.address);
        }
        headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        self.say(&[head.as_bytes(), b"\r\n", body].concat());
        let answer = self.answer(method == "HEAD");
        self.is_over = answer.header("connection") == "close";
        answer
    }

    /// A request without a body, whose answer is read by the caller.
    pub fn ask_for(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.address);
        self.say(head.as_bytes());
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    pub fn post(&mut self, path: &str, json: &str) -> Answer {
        self.ask("POST", path, &[("Content-Type", "application/json")], json.as_bytes())
    }

    /// Bytes as they are. That the server has closed already shows in its answer.
    pub fn say(&mut self, bytes: &[u8]) {
        let _said = self.stream.get_mut().write_all(bytes);
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line comes");
        line.trim_end().to_owned()
    }

    /// The next response.
    pub fn answer(&mut self, is_head: bool) -> Answer {
        let mut answer = self.head();
        while answer.status == 100 {
            answer = self.head();
        }
        if is_head || matches!(answer.status, 204 | 304) {
            return answer;
        }
        if answer.header("transfer-encoding") == "chunked" {
            while let Some(piece) = self.chunk() {
                answer.body.extend(piece);
            }
        } else if let Ok(length) = answer.header("content-length").parse() {
            answer.body.resize(length, 0);
            self.stream.read_exact(&mut answer.body).expect("the body comes");
        } else {
            self.stream.read_to_end(&mut answer.body).expect("the body comes");
        }
        answer
    }

    pub fn head(&mut self) -> Answer {
        let line = self.line();
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("`{line}` is no status line"));
        let mut headers = BTreeMap::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        Answer { status, headers, body: Vec::new() }
    }

    /// The next chunk; `None` at the end.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let length = usize::from_str_radix(&self.line(), 16).expect("a chunk has a length");
        let mut piece = vec![0; length + 2];
        self.stream.read_exact(&mut piece).expect("the chunk comes");
        piece.truncate(length);
        (length > 0).then_some(piece)
    }

    /// Whether the server has closed.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.fill_buf(), Ok(rest) if rest.is_empty()) || self.stream.fill_buf().is_err()
    }
}

/// Whether a value has everything that a shape has. `"*"` is anything, `"number"` a number, `"text"` a text; an object
/// may have more members, a list has one shape for all items or one per item.
pub fn fits(value: &Value, shape: &Value) -> bool {
    match (value, shape) {
        (_, Value::String(word)) if word == "*" => true,
        (Value::Number(_), Value::String(word)) if word == "number" => true,
        (Value::String(_), Value::String(word)) if word == "text" => true,
        (Value::Object(members), Value::Object(shapes)) => {
            shapes.iter().all(|(name, shape)| members.get(name).is_some_and(|value| fits(value, shape)))
        }
        (Value::Array(items), Value::Array(shapes)) => {
            items.len() == shapes.len() && items.iter().zip(shapes).all(|(item, shape)| fits(item, shape))
        }
        _ => value == shape,
    }
}
