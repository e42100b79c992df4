//! Nodes with real sockets, on loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use badbatch::base::deadline::Deadline;
use badbatch::cluster::swim::{Event, Metadata, NodeId, State};
use badbatch::cluster::{Cluster, ClusterConfig, Keyring};

/// A test fails long before anybody loses patience.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(number: usize, seeds: &[SocketAddr]) -> ClusterConfig {
    let id = NodeId::new(&format!("node-{number}")).expect("a name");
    let mut config = ClusterConfig::new(id);
    config.seeds = seeds.to_vec();
    // Ten times as fast as the defaults.
    config.swim = |settings| {
        settings.probe_interval = Duration::from_millis(100);
        settings.probe_timeout = Duration::from_millis(50);
        settings.gossip_interval = Duration::from_millis(20);
        settings.push_pull_interval = Duration::from_secs(2);
    };
    config
}

fn start(config: ClusterConfig) -> Cluster {
    Cluster::start(config).expect("it starts")
}

/// So many nodes that join by the first one.
fn started(count: usize, with: impl Fn(&mut ClusterConfig)) -> Vec<Cluster> {
    let mut nodes: Vec<Cluster> = Vec::new();
    for number in 0..count {
        let seeds: Vec<_> = nodes.first().map(Cluster::address).into_iter().collect();
        let mut config = config(number, &seeds);
        with(&mut config);
        nodes.push(start(config));
    }
    nodes
}

fn count(node: &Cluster, state: State) -> usize {
    node.members().iter().filter(|member| member.state == state).count()
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Deadline::after(PATIENCE);
    while !is_so() {
        assert!(!deadline.has_passed(), "never {what}");
        std::thread::yield_now();
    }
}

fn until_all_see(nodes: &[Cluster], state: State, wanted: usize) {
    until("seen by all", || nodes.iter().all(|node| count(node, state) == wanted));
}

#[test]
fn ten_nodes_find_each_other_miss_one_and_say_goodbye() {
    let mut nodes = started(10, |_| {});
    until_all_see(&nodes, State::Alive, 9);
    // Dropped, it ends without a word.
    drop(nodes.remove(4));
    until_all_see(&nodes, State::Dead, 1);
    assert!(nodes.remove(7).leave(PATIENCE));
    until_all_see(&nodes, State::Left, 1);
    until_all_see(&nodes, State::Alive, 7);
    let events: Vec<Event> = std::iter::from_fn(|| nodes[0].event(Duration::ZERO)).collect();
    // On a machine that is busy, one that lives may be missed for a moment, and come back.
    let joined: BTreeSet<&NodeId> = events
        .iter()
        .filter_map(|event| match event {
            Event::Joined(member) => Some(&member.id),
            _ => None,
        })
        .collect();
    assert_eq!(joined.len(), 9, "{events:?}");
    let is_told = |wanted: fn(&Event) -> bool| events.iter().any(wanted);
    assert!(is_told(|event| matches!(event, Event::Died(_))), "{events:?}");
    assert!(is_told(|event| matches!(event, Event::Left(_))), "{events:?}");
    assert_eq!(nodes[0].lost_events(), 0);
}

#[test]
fn what_a_node_says_of_itself_reaches_all() {
    let nodes = started(4, |_| {});
    until_all_see(&nodes, State::Alive, 3);
    let metadata = Metadata::new(BTreeMap::from([("zone".to_owned(), "b".to_owned())]));
    nodes[2].change_metadata(&metadata).expect("it is short");
    until("told", || {
        [0, 1, 3].iter().all(|node| nodes[*node].members().iter().any(|member| member.metadata == metadata))
    });
    let long = Metadata::new(BTreeMap::from([("text".to_owned(), "x".repeat(600))]));
    let error = nodes[2].change_metadata(&long).expect_err("it is long");
    assert!(error.to_string().contains("at most 512"), "{error}");
}

#[test]
fn who_has_no_key_or_another_one_or_another_name_stays_outside() {
    let key = |byte: u8| Keyring::new([[byte; 32]]);
    let nodes = started(3, |config| config.keyring = key(1));
    until_all_see(&nodes, State::Alive, 2);
    let seeds = [nodes[0].address()];
    let mut outside = Vec::new();
    for (number, why) in [(10, "wrong_key"), (11, "clear"), (12, "other_cluster")] {
        let mut config = config(number, &seeds);
        config.keyring = match why {
            "wrong_key" => key(2),
            "clear" => Keyring::none(),
            _ => key(1),
        };
        if why == "other_cluster" {
            config.name = "another".to_owned();
        }
        outside.push(start(config));
        until("refused", || nodes[0].refusals().contains_key(why));
    }
    assert!(outside.iter().all(|node| node.members().is_empty()));
    assert!(nodes.iter().all(|node| node.members().len() == 2));
}

#[test]
fn nodes_that_close_with_different_keys_of_one_ring_hear_each_other() {
    let keys = |bytes: &[u8]| Keyring::new(bytes.iter().map(|byte| [*byte; 32]));
    let old = start({
        let mut config = config(0, &[]);
        config.keyring = keys(&[1, 2]);
        config
    });
    let new = start({
        let mut config = config(1, &[old.address()]);
        config.keyring = keys(&[2, 1]);
        config
    });
    until("together", || count(&old, State::Alive) == 1 && count(&new, State::Alive) == 1);
}

#[test]
fn strangers_do_no_harm() {
    let nodes = started(2, |_| {});
    until_all_see(&nodes, State::Alive, 1);
    let address = nodes[0].address();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a port");
    for bytes in [&b""[..], b"x", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 1400]] {
        socket.send_to(bytes, address).expect("it is sent");
    }
    use std::io::Write;
    for bytes in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0, 0, 0, 5, 1, 2, 3, 4, 5], &[0xff; 4]] {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.write_all(bytes).expect("it is sent");
    }
    until("counted", || nodes[0].refusals().get("foreign").is_some_and(|count| *count >= 4));
    until("counted", || nodes[0].refusals().contains_key("too_long"));
    assert!(nodes.iter().all(|node| count(node, State::Alive) == 1));
}

#[test]
fn what_cannot_be_is_told_before_anything_runs() {
    let told = |change: fn(&mut ClusterConfig)| {
        let mut config = config(0, &[]);
        change(&mut config);
        Cluster::start(config).expect_err("it cannot be").to_string()
    };
    assert!(told(|config| config.packet_bytes_max = 100).contains("512 or more"));
    let everywhere = told(|config| config.bind = "0.0.0.0:0".parse().expect("an address"));
    assert!(everywhere.contains("advertise"), "{everywhere}");
    let taken = start(config(1, &[]));
    let mut same = config(2, &[]);
    same.bind = taken.address();
    let error = Cluster::start(same).expect_err("it is taken").to_string();
    assert!(error.contains("cannot listen at 127.0.0.1:"), "{error}");
}
