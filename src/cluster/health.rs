//! How well things are: checks of a node's own services, and the node's health in three levels.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::driver::Cluster;
use super::http_check;
use super::swim::{STATUS_NOTE_BYTES_MAX, Service, ServiceError, State, Status};
use crate::base::deadline::Deadline;

/// How the status of a service is found. The node that offers it looks itself, nobody else does.
///
/// Shape: all checks of a node run one after the other in one thread, so one that waits for its timeout delays the others.
/// Intervals and TTLs last from 100 ms to a day, timeouts at most 5 s and no longer than their interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Somebody reports, and the service is critical if nobody has done so for this long.
    Ttl(Duration),
    /// A connection to the service's address and port: it opens, or the service is critical.
    Tcp {
        /// Between the end of one and the beginning of the next one.
        interval: Duration,
        /// For the connection. Looking up a host's name may take longer.
        timeout: Duration,
    },
    /// `GET` by HTTP/1.1 without encryption: an answer of 2xx is passing, 429 is a warning, everything else is critical.
    /// Redirections are not followed.
    Http {
        /// What is asked for, from `/` on.
        path: String,
        /// Between the end of one and the beginning of the next one.
        interval: Duration,
        /// Until the status of the answer is there. Looking up a host's name may take longer.
        timeout: Duration,
    },
}

const SPAN_MIN: Duration = Duration::from_millis(100);
const SPAN_MAX: Duration = Duration::from_secs(24 * 3600);
const TIMEOUT_MAX: Duration = Duration::from_secs(5);

impl Check {
    /// Whether services can be checked so.
    ///
    /// Errors: [`ServiceError::Check`].
    pub fn validate(&self) -> Result<(), ServiceError> {
        let refuse = |message: String| Err(ServiceError::Check(message));
        let span = self.interval().unwrap_or_else(|| self.timeout());
        if !(SPAN_MIN..=SPAN_MAX).contains(&span) {
            return refuse(format!("a check every {span:?} cannot be; take 100 ms to a day"));
        }
        if let Self::Ttl(_) = self {
            return Ok(());
        }
        let timeout = self.timeout();
        if timeout.is_zero() || timeout > TIMEOUT_MAX.min(span) {
            let most = TIMEOUT_MAX.min(span);
            return refuse(format!(
                "a check cannot wait for {timeout:?}; take more than 0, and at most {most:?}"
            ));
        }
        let Self::Http { path, .. } = self else { return Ok(()) };
        if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse(format!("{path:?} is no path of an HTTP check; take / and ASCII without spaces"));
        }
        Ok(())
    }

    /// Between two of them, if they come by themselves.
    fn interval(&self) -> Option<Duration> {
        match self {
            Self::Ttl(_) => None,
            Self::Tcp { interval, .. } | Self::Http { interval, .. } => Some(*interval),
        }
    }

    fn timeout(&self) -> Duration {
        match self {
            Self::Ttl(timeout) | Self::Tcp { timeout, .. } | Self::Http { timeout, .. } => *timeout,
        }
    }

    /// What a service is before anything is known of it.
    pub(super) fn first(check: Option<&Self>) -> (Status, &'static str) {
        match check {
            None => (Status::Passing, ""),
            Some(Self::Ttl(_)) => (Status::Critical, "nobody has reported yet"),
            Some(Self::Tcp { .. } | Self::Http { .. }) => (Status::Critical, "not checked yet"),
        }
    }
}

/// The checks of a node, and the thread that runs them.
#[derive(Debug, Default)]
pub struct Checks {
    book: Mutex<Book>,
    /// Rung when something may be due earlier than it was, and at the end.
    changed: Condvar,
}

/// Which services are checked, and when.
#[derive(Debug, Default)]
pub struct Book {
    watched: BTreeMap<String, Watched>,
    counter: u64,
    is_over: bool,
}

#[derive(Clone, Debug)]
struct Watched {
    /// Tells registrations of one id apart.
    number: u64,
    check: Check,
    address: String,
    port: u16,
    /// Nothing for a TTL that nobody has reported on, or that is over.
    due: Option<Instant>,
}

impl Checks {
    /// The book, for as long as a service and its check change together.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock()
    }

    /// Looks into the book again.
    pub fn wake(&self) {
        self.changed.notify_one();
    }

    /// Ends the thread, once it has done what it is doing.
    pub fn end(&self) {
        self.book.lock().is_over = true;
        self.wake();
    }

    /// Runs all checks until the end, and tells what they find.
    pub fn run(&self, tell: impl Fn(&str, Status, &str)) {
        let mut book = self.book.lock();
        while !book.is_over {
            let Some((due, id)) = book.next() else {
                self.changed.wait(&mut book);
                continue;
            };
            if due > Instant::now() {
                self.changed.wait_until(&mut book, due);
                continue;
            }
            let watched = book.watched[&id].clone();
            let (status, note) = match &watched.check {
                Check::Ttl(ttl) => (Status::Critical, note(format_args!("nobody has reported for {ttl:?}"))),
                Check::Tcp { timeout, .. } => MutexGuard::unlocked(&mut book, || watched.try_tcp(*timeout)),
                Check::Http { path, timeout, .. } => {
                    MutexGuard::unlocked(&mut book, || watched.try_http(path, *timeout))
                }
            };
            // It may have been registered anew meanwhile, or be gone.
            if let Some(now) = book.watched.get_mut(&id).filter(|now| now.number == watched.number) {
                now.due = watched.check.interval().map(|interval| Instant::now() + interval);
                tell(&id, status, &note);
            }
        }
    }
}

impl Book {
    /// Whether a service is checked like this already.
    pub fn has(&self, service: &Service, check: Option<&Check>) -> bool {
        match (self.watched.get(&service.id), check) {
            (None, None) => true,
            (Some(watched), Some(check)) => {
                watched.check == *check && watched.address == service.address && watched.port == service.port
            }
            _ => false,
        }
    }

    /// Has a service checked from now on, and no longer as before.
    pub fn watch(&mut self, service: &Service, check: Option<Check>) {
        self.forget(&service.id);
        let Some(check) = check else { return };
        self.counter += 1;
        let due = check.interval().map(|_| Instant::now());
        let (number, address, port) = (self.counter, service.address.clone(), service.port);
        self.watched.insert(service.id.clone(), Watched { number, check, address, port, due });
    }

    /// Has a service checked no longer.
    pub fn forget(&mut self, id: &str) {
        self.watched.remove(id);
    }

    /// Whether somebody may report on a service.
    ///
    /// Errors: [`ServiceError::Checked`]: its status is found otherwise.
    pub fn may_report(&self, id: &str) -> Result<(), ServiceError> {
        match self.watched.get(id) {
            None | Some(Watched { check: Check::Ttl(_), .. }) => Ok(()),
            Some(_) => Err(ServiceError::Checked(id.to_owned())),
        }
    }

    /// Takes up that somebody has reported on a service.
    pub fn reported(&mut self, id: &str) {
        if let Some(watched) = self.watched.get_mut(id) {
            watched.due = Some(Instant::now() + watched.check.timeout());
        }
    }

    /// What is due next. What takes no time goes before what may take some.
    fn next(&self) -> Option<(Instant, String)> {
        let now = Instant::now();
        let due = |(id, watched): (&String, &Watched)| {
            let takes_time = watched.check.interval().is_some();
            let due = watched.due?;
            Some((takes_time || due > now, due, id.clone()))
        };
        self.watched.iter().filter_map(due).min().map(|(_, due, id)| (due, id))
    }
}

impl Watched {
    fn try_tcp(&self, timeout: Duration) -> (Status, String) {
        match connect(&self.address, self.port, Deadline::after(timeout)) {
            Ok(_) => (Status::Passing, String::new()),
            Err(error) => (Status::Critical, note(error)),
        }
    }

    fn try_http(&self, path: &str, timeout: Duration) -> (Status, String) {
        let deadline = Deadline::after(timeout);
        let answer = connect(&self.address, self.port, deadline)
            .and_then(|stream| http_check::status(&stream, &self.host(), path, deadline));
        match answer {
            Ok(status) => {
                let verdict = match status {
                    200..=299 => Status::Passing,
                    429 => Status::Warning,
                    _ => Status::Critical,
                };
                (verdict, format!("HTTP {status}"))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                (Status::Critical, format!("no answer within {timeout:?}"))
            }
            Err(error) => (Status::Critical, note(error)),
        }
    }

    /// As a request names it, without what only this machine knows of it. Source: RFC 9110, 7.2; RFC 6874.
    fn host(&self) -> String {
        let address = self.address.split('%').next().unwrap_or_default();
        match address.contains(':') {
            true => format!("[{address}]:{}", self.port),
            false => format!("{address}:{}", self.port),
        }
    }
}

/// A connection to one of a name's addresses.
fn connect(address: &str, port: u16, deadline: Deadline) -> io::Result<TcpStream> {
    let addresses = (address, port).to_socket_addrs()?;
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        let left = deadline.remaining().unwrap_or(TIMEOUT_MAX);
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// A text as a note, cut to what goes with a status.
fn note(text: impl Display) -> String {
    let mut note = String::new();
    for letter in text.to_string().chars() {
        let letter = if letter.is_control() { ' ' } else { letter };
        if note.len() + letter.len_utf8() > STATUS_NOTE_BYTES_MAX {
            break;
        }
        note.push(letter);
    }
    note
}

/// How a node is, in three levels: its process, what it offers, and its cluster as it sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Process: whether the threads of membership run.
    pub is_live: bool,
    /// Component: the worst status of the services of this node, passing if there are none.
    pub services: Status,
    /// Cluster: members that are alive, this node included.
    pub alive: usize,
    /// Cluster: members that are known and have not left, this node included.
    pub known: usize,
    /// Cluster: how slow this node seems to itself, from 0, not at all, to [`SCORE_MAX`](super::swim::SCORE_MAX).
    pub awareness: u32,
}

impl Cluster {
    /// How this node is.
    pub fn health(&self) -> Health {
        let is_live = self.runs();
        self.read(|swim| {
            let own = swim.offers().filter(|offer| offer.node == *swim.id());
            let count =
                |wants: fn(State) -> bool| 1 + swim.members().filter(|member| wants(member.state)).count();
            Health {
                is_live,
                services: own.map(|offer| offer.status).max().unwrap_or(Status::Passing),
                alive: count(|state| state == State::Alive),
                known: count(|state| state != State::Left),
                awareness: swim.awareness(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Book, Check, STATUS_NOTE_BYTES_MAX, note};
    use crate::cluster::swim::Service;
    use std::time::Duration;

    fn service(id: &str, address: &str) -> Service {
        Service {
            id: id.to_owned(),
            name: "web".to_owned(),
            address: address.to_owned(),
            port: 1,
            tags: Vec::new(),
            metadata: [].into(),
        }
    }

    #[test]
    fn a_check_that_cannot_be_is_told_with_what_can() {
        let millis = Duration::from_millis;
        let tcp = |interval, timeout| Check::Tcp { interval: millis(interval), timeout: millis(timeout) };
        let http = |path: &str, timeout| Check::Http {
            path: path.to_owned(),
            interval: millis(2000),
            timeout: millis(timeout),
        };
        let told =
            |check: &Check| check.validate().map_or_else(|error| error.to_string(), |()| String::new());
        for (check, part) in [
            (Check::Ttl(millis(100)), ""),
            (Check::Ttl(millis(99)), "every 99ms cannot be; take 100 ms to a day"),
            (Check::Ttl(Duration::MAX), "to a day"),
            (tcp(100, 100), ""),
            (tcp(100, 101), "wait for 101ms; take more than 0, and at most 100ms"),
            (tcp(60_000, 5001), "at most 5s"),
            (tcp(100, 0), "more than 0"),
            (tcp(0, 0), "every 0ns"),
            (http("/health?deep", 2000), ""),
            (http("/", 1), ""),
            (http("health", 1000), "is no path"),
            (http("/a b", 1000), "is no path"),
            (http("/a\r\nx: y", 1000), "is no path"),
        ] {
            let told = told(&check);
            assert!(told.contains(part) && told.is_empty() == part.is_empty(), "{check:?}: {told}");
        }
    }

    #[test]
    fn a_host_is_named_as_it_is_in_urls() {
        for (address, host) in [
            ("10.0.0.7", "10.0.0.7:1"),
            ("web", "web:1"),
            ("::1", "[::1]:1"),
            ("fe80::1%eth0", "[fe80::1]:1"),
        ] {
            let mut book = Book::default();
            book.watch(&service("web", address), Some(Check::Ttl(Duration::ZERO)));
            assert_eq!(book.watched["web"].host(), host);
        }
    }

    #[test]
    fn what_takes_no_time_goes_first() {
        let mut book = Book::default();
        let next = |book: &Book| book.next().map(|(_, id)| id);
        assert_eq!(next(&book), None);
        let millis = Duration::from_millis;
        let tcp = || Some(Check::Tcp { interval: millis(100), timeout: millis(100) });
        book.watch(&service("tcp-1", "::1"), tcp());
        book.watch(&service("tcp-0", "::1"), tcp());
        book.watch(&service("ttl", "::1"), Some(Check::Ttl(Duration::ZERO)));
        assert_eq!(next(&book).as_deref(), Some("tcp-1"), "nobody has reported on the other one");
        book.reported("ttl");
        assert_eq!(next(&book).as_deref(), Some("ttl"));
        book.forget("ttl");
        book.watch(&service("tcp-1", "::1"), tcp());
        assert_eq!(next(&book).as_deref(), Some("tcp-0"));
        book.watch(&service("tcp-0", "::1"), None);
        book.watch(&service("ttl", "::1"), Some(Check::Ttl(millis(60_000))));
        book.reported("ttl");
        assert_eq!(next(&book).as_deref(), Some("tcp-1"), "the other one is not due");
    }

    #[test]
    fn a_note_is_cut_between_two_letters() {
        assert_eq!(note("one\ntwo"), "one two");
        let long = note("\u{e4}".repeat(90).as_str());
        assert!(long.len() <= STATUS_NOTE_BYTES_MAX && long.len() > STATUS_NOTE_BYTES_MAX - 2);
    }
}
