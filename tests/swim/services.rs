//! Services and their checks, notes and health on nodes with real sockets.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use badbatch::cluster::swim::{Event, NodeId, Service, ServiceError, State, Status};
use badbatch::cluster::{Check, Choice, Cluster, Health};

use super::real::{PATIENCE, started, until, until_all_see};

fn service(id: &str, at: SocketAddr) -> Service {
    Service {
        id: id.to_owned(),
        name: "web".to_owned(),
        address: at.ip().to_string(),
        port: at.port(),
        tags: Vec::new(),
        metadata: BTreeMap::new(),
    }
}

fn nowhere() -> SocketAddr {
    "127.0.0.1:1".parse().expect("an address")
}

/// The status of a service in the eyes of a node.
fn status(node: &Cluster, id: &str) -> Option<Status> {
    node.services().iter().find(|offer| offer.service.id == id).map(|offer| offer.status)
}

fn note(node: &Cluster, id: &str) -> String {
    let offers = node.services();
    offers.iter().find(|offer| offer.service.id == id).map(|offer| offer.note.clone()).unwrap_or_default()
}

const FAST: Duration = Duration::from_millis(100);

/// A server that answers every request with one status, or not at all for 0.
struct Web {
    status: Arc<AtomicU16>,
    requests: Arc<AtomicU16>,
    is_over: Arc<AtomicBool>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    fn start() -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").expect("there is a port"))
    }

    fn start_on(listener: TcpListener) -> Self {
        let address = listener.local_addr().expect("it has one");
        let (status, is_over) = (Arc::new(AtomicU16::new(200)), Arc::new(AtomicBool::new(false)));
        let requests = Arc::new(AtomicU16::new(0));
        let (answers, counts, ends) = (Arc::clone(&status), Arc::clone(&requests), Arc::clone(&is_over));
        let serve = move || {
            let mut waiting = Vec::new();
            while let Ok((mut stream, _)) = listener.accept()
                && !ends.load(Ordering::SeqCst)
            {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    match stream.read(&mut byte) {
                        Ok(1) => head.push(byte[0]),
                        _ => break,
                    }
                }
                counts.fetch_add(1, Ordering::SeqCst);
                match answers.load(Ordering::SeqCst) {
                    0 => waiting.push(stream),
                    _ if !head.starts_with(b"GET /health?deep=1 HTTP/1.1\r\n") => {}
                    status => {
                        // A body that never ends is not waited for.
                        let answer =
                            format!("HTTP/1.1 {status} Word\r\nlocation: /\r\ncontent-length: 9999\r\n\r\nx");
                        let _sent = stream.write_all(answer.as_bytes());
                        waiting.push(stream);
                    }
                }
            }
        };
        let thread = Builder::new().name("web".to_owned()).spawn(serve).expect("a thread");
        Self { status, requests, is_over, address, thread: Some(thread) }
    }

    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _woken = TcpStream::connect(self.address);
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

#[test]
fn services_are_found_by_name_and_tag_healthy_first() {
    let nodes = started(3, |_| {});
    until_all_see(&nodes, State::Alive, 2);
    let watch = nodes[2].watch();
    for (node, id, tag) in [(0, "web-a", "blue"), (1, "web-b", "blue"), (1, "web-c", "green")] {
        let mut service = service(id, nowhere());
        service.tags = vec![tag.to_owned()];
        nodes[node].register(service, None).expect("it may be");
    }
    let mut other = service("db", nowhere());
    other.name = "db".to_owned();
    nodes[2].register(other, None).expect("it may be");
    nodes[0].report("web-a", Status::Warning, "slow").expect("it is its own");
    nodes[1].report_load("web-b", 7).expect("it is its own");
    let ids = |node: &Cluster, tag| {
        node.lookup("web", tag).into_iter().map(|offer| offer.service.id).collect::<Vec<_>>()
    };
    until("known", || {
        nodes.iter().all(|node| {
            ids(node, None) == ["web-b", "web-c", "web-a"]
                && ids(node, Some("blue")) == ["web-b", "web-a"]
                && node.lookup("web", Some("blue"))[0].load == 7
                && node.services().len() == 4
        })
    });
    assert_eq!(note(&nodes[2], "web-a"), "slow");
    let pick = |choice| nodes[2].pick("web", None, choice).expect("there are some").service.id;
    assert_eq!(pick(Choice::LeastLoaded), "web-c");
    assert_eq!([(); 3].map(|()| pick(Choice::RoundRobin)), ["web-b", "web-c", "web-b"]);
    assert_eq!(nodes[2].pick("mail", None, Choice::Random), None);
    nodes[1].deregister("web-b").expect("it is its own");
    until("gone", || nodes.iter().all(|node| ids(node, Some("blue")) == ["web-a"]));
    let mut told = Vec::new();
    until("told", || watch.next(Duration::ZERO).is_some_and(|event| matches!(event, Event::Deregistered(_))));
    told.extend(std::iter::from_fn(|| watch.next(Duration::ZERO)));
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn what_cannot_be_offered_or_reported_is_told() {
    let nodes = started(1, |_| {});
    let node = &nodes[0];
    let unknown = || Err(ServiceError::Unknown("web".to_owned()));
    assert_eq!(node.report("web", Status::Passing, ""), unknown());
    assert_eq!(node.report_load("web", 1), unknown());
    assert_eq!(node.deregister("web"), unknown());
    let refused = |change: fn(&mut Service)| {
        let mut service = service("web", nowhere());
        change(&mut service);
        node.register(service, None).expect_err("it cannot be").to_string()
    };
    for (told, part) in [
        (refused(|service| service.id = "a b".to_owned()), "\"a b\" is no id of a service; take 1 to 64 of"),
        (refused(|service| service.name.clear()), "\"\" is no name of a service"),
        (refused(|service| service.address = "http://a".to_owned()), "\"http://a\" is no address"),
        (refused(|service| service.port = 0), "take 1 to 65535"),
        (refused(|service| service.tags = vec!["a\nb".to_owned()]), "\"a\\nb\" has control characters"),
        (refused(|service| service.tags = vec!["x".repeat(2000)]), "at most 1024 fit into a datagram"),
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(node.services().is_empty());
    let check = Check::Tcp { interval: FAST, timeout: FAST };
    node.register(service("web", nowhere()), Some(check)).expect("it may be");
    assert_eq!(node.report("web", Status::Passing, ""), Err(ServiceError::Checked("web".to_owned())));
    let long = node.register(service("web", nowhere()), Some(Check::Ttl(Duration::ZERO)));
    assert!(matches!(long, Err(ServiceError::Check(_))), "{long:?}");
}

#[test]
fn a_service_that_nobody_reports_on_is_critical() {
    let nodes = started(2, |_| {});
    until_all_see(&nodes, State::Alive, 1);
    nodes[0].register(service("web", nowhere()), Some(Check::Ttl(FAST))).expect("it may be");
    until("critical", || status(&nodes[1], "web") == Some(Status::Critical));
    assert_eq!(note(&nodes[1], "web"), "nobody has reported yet");
    // A report holds as long as its time.
    for reported in [Status::Passing, Status::Warning] {
        nodes[0].report("web", reported, "").expect("it is its own");
        until("over", || note(&nodes[1], "web") == "nobody has reported for 100ms");
        assert_eq!(status(&nodes[1], "web"), Some(Status::Critical));
    }
    let long = Check::Ttl(Duration::from_secs(3600));
    nodes[0].register(service("web", nowhere()), Some(long.clone())).expect("it may be");
    nodes[0].report("web", Status::Passing, "well").expect("it is its own");
    nodes[0].report_load("web", 3).expect("it is its own");
    // Described anew, and checked as before: what is known of it stays.
    let mut anew = service("web", nowhere());
    anew.tags = vec!["blue".to_owned()];
    nodes[0].register(anew, Some(long)).expect("it may be");
    until("described anew", || {
        let found = nodes[1].lookup("web", Some("blue"));
        found.iter().any(|offer| (offer.status, offer.load) == (Status::Passing, 3) && offer.note == "well")
    });
}

#[test]
fn a_tcp_check_sees_whether_somebody_listens() {
    let nodes = started(2, |_| {});
    until_all_see(&nodes, State::Alive, 1);
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = listener.local_addr().expect("it has one");
    let check = Check::Tcp { interval: FAST, timeout: FAST };
    nodes[0].register(service("web", address), Some(check.clone())).expect("it may be");
    let mut named = service("named", address);
    named.address = "localhost".to_owned();
    nodes[0].register(named, Some(check)).expect("it may be");
    let both = |wanted| ["web", "named"].iter().all(|id| status(&nodes[1], id) == Some(wanted));
    until("passing", || both(Status::Passing));
    drop(listener);
    until("critical", || both(Status::Critical));
    assert!(note(&nodes[1], "web").contains("refused"), "{}", note(&nodes[1], "web"));
    let _listens_again = TcpListener::bind(address).expect("it was free");
    until("passing again", || both(Status::Passing));
}

#[test]
fn an_http_check_sees_the_status_of_the_answer() {
    let nodes = started(2, |_| {});
    until_all_see(&nodes, State::Alive, 1);
    let web = Web::start();
    let second = Duration::from_secs(1);
    let check = Check::Http { path: "/health?deep=1".to_owned(), interval: second, timeout: second };
    nodes[0].register(service("web", web.address), Some(check)).expect("it may be");
    for (answer, wanted, why) in [
        (204, Status::Passing, "HTTP 204"),
        (429, Status::Warning, "HTTP 429"),
        (500, Status::Critical, "HTTP 500"),
        (200, Status::Passing, "HTTP 200"),
        (302, Status::Critical, "HTTP 302"),
        (0, Status::Critical, "no answer within 1s"),
        (201, Status::Passing, "HTTP 201"),
    ] {
        web.answer(answer);
        until(why, || note(&nodes[1], "web").contains(why));
        assert_eq!(status(&nodes[1], "web"), Some(wanted), "{answer}");
    }
    let address = web.address;
    drop(web);
    until("critical", || status(&nodes[1], "web") == Some(Status::Critical));
    // What is deregistered is not checked any more, and does not come back.
    nodes[0].deregister("web").expect("it is its own");
    until("gone", || status(&nodes[1], "web").is_none());
    let listener = TcpListener::bind(address).expect("it was free");
    listener.set_nonblocking(true).expect("it can");
    // Twice as long as the interval.
    nodes[0].register(service("ttl", nowhere()), Some(Check::Ttl(2 * second))).expect("it may be");
    nodes[0].report("ttl", Status::Passing, "").expect("it is its own");
    until("over", || note(&nodes[1], "ttl").contains("2s"));
    assert!(listener.accept().is_err() && status(&nodes[0], "web").is_none());
}

#[test]
fn an_http_check_waits_for_parts_of_a_second_and_reaches_ipv6() {
    let nodes = started(1, |_| {});
    let mut webs = vec![Web::start()];
    match TcpListener::bind("[::1]:0") {
        Ok(listener) => webs.push(Web::start_on(listener)),
        Err(error) => println!("only IPv4 is tried: {error}"),
    }
    for web in webs {
        let check = Check::Http { path: "/health?deep=1".to_owned(), interval: FAST, timeout: FAST };
        nodes[0].register(service("web", web.address), Some(check)).expect("it may be");
        until("passing", || note(&nodes[0], "web") == "HTTP 200");
        web.answer(0);
        until("critical", || note(&nodes[0], "web") == "no answer within 100ms");
        assert_eq!(status(&nodes[0], "web"), Some(Status::Critical));
    }
}

#[test]
fn what_a_check_finds_does_not_count_for_another_registration() {
    let nodes = started(1, |_| {});
    let web = Web::start();
    web.answer(0);
    let second = Duration::from_secs(1);
    let hangs = Check::Http { path: "/".to_owned(), interval: second, timeout: second };
    nodes[0].register(service("web", web.address), Some(hangs)).expect("it may be");
    until("asked", || web.requests.load(Ordering::SeqCst) == 1);
    nodes[0].register(service("web", web.address), Some(Check::Ttl(PATIENCE))).expect("it may be");
    nodes[0].report("web", Status::Passing, "").expect("it is its own");
    // This one is looked at when the other one is done.
    let tcp = Check::Tcp { interval: FAST, timeout: FAST };
    nodes[0].register(service("after", web.address), Some(tcp)).expect("it may be");
    until("passing", || status(&nodes[0], "after") == Some(Status::Passing));
    assert_eq!(status(&nodes[0], "web"), Some(Status::Passing), "{}", note(&nodes[0], "web"));
}

#[test]
fn services_go_with_their_node_and_notes_come_from_it() {
    let mut nodes = started(4, |_| {});
    until_all_see(&nodes, State::Alive, 3);
    nodes[3].register(service("web", nowhere()), None).expect("it may be");
    until("known", || nodes.iter().all(|node| node.services().len() == 1));
    let watches: Vec<_> = nodes[..3].iter().map(Cluster::watch).collect();
    nodes[3].send_note(b"\x00\xffhello").expect("it is short");
    let error = nodes[3].send_note(&[0; 513]).expect_err("it is long").to_string();
    assert_eq!(error, "a note of 513 bytes; at most 512 go along with a datagram");
    for watch in &watches {
        until("heard", || match watch.next(PATIENCE) {
            Some(Event::Note { from, body }) => from == *nodes[3].id() && body == b"\x00\xffhello",
            _ => false,
        });
    }
    let id = nodes[3].id().clone();
    assert!(!nodes[0].force_leave(&id), "it lives");
    drop(nodes.remove(3));
    until_all_see(&nodes, State::Dead, 1);
    assert!(nodes.iter().all(|node| node.services().is_empty()));
    assert!(nodes[0].force_leave(&id));
    until_all_see(&nodes, State::Left, 1);
    assert!(!nodes[0].force_leave(&NodeId::new("nobody").expect("a name")));
}

#[test]
fn a_node_tells_its_health_in_three_levels() {
    let mut nodes = started(3, |_| {});
    until_all_see(&nodes, State::Alive, 2);
    let well = Health { is_live: true, services: Status::Passing, alive: 3, known: 3, awareness: 0 };
    until("well", || nodes[0].health() == well);
    nodes[0].register(service("web", nowhere()), None).expect("it may be");
    nodes[0].report("web", Status::Warning, "").expect("it is its own");
    nodes[1].register(service("web", nowhere()), Some(Check::Ttl(PATIENCE))).expect("it may be");
    assert_eq!(nodes[0].health().services, Status::Warning);
    assert_eq!(nodes[1].health().services, Status::Critical);
    drop(nodes.remove(2));
    until_all_see(&nodes, State::Dead, 1);
    until("counted", || matches!(nodes[0].health(), Health { alive: 2, known: 3, .. }));
}
