//! Nodes with real sockets, on loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use badbatch::base::deadline::Deadline;
use badbatch::cluster::swim::{Event, Metadata, NodeId, State};
use badbatch::cluster::{Cluster, ClusterConfig, Conversation, Keyring, MESSAGE_BYTES_MAX};

/// A test fails long before anybody loses patience.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn config(number: usize, seeds: &[SocketAddr]) -> ClusterConfig {
    let id = NodeId::new(&format!("node-{number}")).expect("a name");
    let mut config = ClusterConfig::new(id);
    config.seeds = seeds.to_vec();
    // Ten times as fast as the defaults.
    config.swim.probe_interval = Duration::from_millis(100);
    config.swim.probe_timeout = Duration::from_millis(50);
    config.swim.gossip_interval = Duration::from_millis(20);
    config.swim.push_pull_interval = Duration::from_secs(2);
    config
}

pub fn start(config: ClusterConfig) -> Cluster {
    Cluster::start(config).expect("it starts")
}

/// So many nodes that join by the first one.
pub fn started(count: usize, with: impl Fn(&mut ClusterConfig)) -> Vec<Cluster> {
    let mut nodes: Vec<Cluster> = Vec::new();
    join_more(&mut nodes, count, with);
    nodes
}

fn join_more(nodes: &mut Vec<Cluster>, count: usize, with: impl Fn(&mut ClusterConfig)) {
    for number in nodes.len()..count {
        let seeds: Vec<_> = nodes.first().map(Cluster::address).into_iter().collect();
        let mut config = config(number, &seeds);
        with(&mut config);
        nodes.push(start(config));
    }
}

fn count(node: &Cluster, state: State) -> usize {
    node.members().iter().filter(|member| member.state == state).count()
}

pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Deadline::after(PATIENCE);
    while !is_so() {
        assert!(!deadline.has_passed(), "never {what}");
        std::thread::yield_now();
    }
}

pub fn until_all_see(nodes: &[Cluster], state: State, wanted: usize) {
    until("seen by all", || nodes.iter().all(|node| count(node, state) == wanted));
}

#[test]
fn ten_nodes_find_each_other_miss_one_and_say_goodbye() {
    let mut nodes = started(1, |_| {});
    let watch = nodes[0].watch();
    join_more(&mut nodes, 10, |_| {});
    until_all_see(&nodes, State::Alive, 9);
    // Dropped, it ends without a word.
    drop(nodes.remove(4));
    until_all_see(&nodes, State::Dead, 1);
    assert!(nodes[7].leave(PATIENCE));
    drop(nodes.remove(7));
    until_all_see(&nodes, State::Left, 1);
    until_all_see(&nodes, State::Alive, 7);
    let events: Vec<Event> = std::iter::from_fn(|| watch.next(Duration::ZERO)).collect();
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
    assert_eq!((watch.lost(), watch.is_over()), (0, false));
    drop(nodes);
    assert!(watch.is_over() && watch.next(PATIENCE).is_none());
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
fn keys_change_while_nodes_run() {
    let nodes = started(3, |config| config.keyring = Keyring::new([[1; 32]]));
    until_all_see(&nodes, State::Alive, 2);
    let old = nodes[0].keyring().ids().remove(0);
    for node in &nodes {
        node.change_keys(|keyring| keyring.add([2; 32])).expect("there is room");
    }
    let new = nodes[0].keyring().ids().remove(1);
    for node in &nodes {
        node.change_keys(|keyring| keyring.prefer(&new)).expect("it is there");
    }
    for node in &nodes {
        node.change_keys(|keyring| keyring.remove(&old)).expect("it is not in use");
        assert_eq!(node.keyring().ids(), std::slice::from_ref(&new));
    }
    // Each hears each other with the new key only.
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        nodes[from].ping(nodes[to].id(), PATIENCE).expect("it answers");
    }
    let metadata = Metadata::new(BTreeMap::from([("key".to_owned(), "new".to_owned())]));
    nodes[1].change_metadata(&metadata).expect("it is short");
    until("told", || {
        [0, 2].iter().all(|node| nodes[*node].members().iter().any(|member| member.metadata == metadata))
    });
}

#[test]
fn joining_by_hand_works_or_tells_why_not() {
    let nodes = started(2, |config| config.keyring = Keyring::new([[1; 32]]));
    let alone = start(config(2, &[]));
    let error = alone.join(nodes[0].address()).expect_err("it has no key").to_string();
    assert!(error.contains("another key"), "{error}");
    let gone = {
        let node = start(config(3, &[]));
        node.address()
    };
    let error = nodes[0].join(gone).expect_err("nobody listens").to_string();
    assert!(error.contains("cannot be reached: Connection refused"), "{error}");
    let mut with_key = config(4, &[]);
    with_key.keyring = Keyring::new([[1; 32]]);
    let with_key = start(with_key);
    with_key.join(nodes[1].address()).expect("it is one of them");
    assert!(count(&with_key, State::Alive) > 0);
}

#[test]
fn two_nodes_converse_in_order_until_one_goes() {
    for keyring in [Keyring::none(), Keyring::new([[1; 32]])] {
        let mut nodes = started(2, |config| config.keyring = keyring.clone());
        until_all_see(&nodes, State::Alive, 1);
        nodes[1].on_conversation("echo", |mut conversation: Conversation| {
            while let Ok(message) = conversation.receive(PATIENCE) {
                let mut message = message.expect("the other one is patient too");
                message.extend_from_slice(conversation.peer().as_str().as_bytes());
                if conversation.send(&message).is_err() {
                    break;
                }
            }
        });
        let other = nodes[1].id().clone();
        let mut conversation = nodes[0].converse(&other, "echo").expect("it is welcome");
        assert_eq!(conversation.peer(), &other);
        assert_eq!(conversation.receive(Duration::from_millis(1)).expect("it goes on"), None);
        let long = vec![7; MESSAGE_BYTES_MAX - 6];
        for message in [&b"first"[..], b"", &long, b"last"] {
            conversation.send(message).expect("it is taken");
            let answer = conversation.receive(PATIENCE).expect("it goes on").expect("there is an answer");
            assert!(answer == [message, b"node-0"].concat(), "{} bytes", message.len());
        }
        let too_long = conversation.send(&[0; MESSAGE_BYTES_MAX + 1]).expect_err("it is too long");
        assert!(too_long.to_string().contains("at most 4194304"), "{too_long}");
        let unknown = nodes[0].converse(&other, "no such topic").expect_err("it is not known");
        assert_eq!(unknown.kind(), ErrorKind::ConnectionRefused, "{unknown}");
        let nobody = NodeId::new("nobody").expect("a name");
        assert_eq!(nodes[0].converse(&nobody, "echo").expect_err("unknown").kind(), ErrorKind::NotFound);
        // With the node its conversations end, on both sides.
        drop(nodes.remove(1));
        assert_eq!(conversation.receive(PATIENCE).expect_err("it is over").kind(), ErrorKind::UnexpectedEof);
    }
}

#[test]
fn what_was_said_before_is_not_heard_again() {
    // A relay between two nodes that says everything twice.
    let relay = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let mut config = config(0, &[]);
    config.keyring = Keyring::new([[1; 32]]);
    config.advertise = Some(relay.local_addr().expect("it listens"));
    let heard = start(config.clone());
    let (told, messages) = std::sync::mpsc::channel();
    let (begun, begins) = std::sync::mpsc::channel();
    heard.on_conversation("topic", move |mut conversation: Conversation| {
        begun.send(()).expect("the test waits");
        loop {
            let message = conversation.receive(PATIENCE);
            let is_over = message.is_err();
            told.send(message.map_err(|error| error.kind())).expect("the test waits");
            if is_over {
                break;
            }
        }
    });
    config.swim.id = NodeId::new("beginner").expect("a name");
    config.advertise = None;
    let beginner = start(config);
    std::thread::scope(|scope| {
        scope.spawn(|| beginner.join(heard.address()));
        until("known", || beginner.member(heard.id()).is_some());
    });
    let frame = |from: &mut TcpStream| -> std::io::Result<Vec<u8>> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut rest = vec![0; u32::from_be_bytes(length) as usize];
        from.read_exact(&mut rest)?;
        Ok([&length[..], &rest].concat())
    };
    let relayed = std::thread::spawn({
        let to = heard.address();
        move || loop {
            let (mut near, _) = relay.accept().expect("somebody comes");
            let mut far = TcpStream::connect(to).expect("it listens");
            let Ok(hello) = frame(&mut near) else { continue };
            far.write_all(&hello).expect("it is taken");
            let Ok(reply) = frame(&mut far) else { continue };
            near.write_all(&reply).expect("it is taken");
            let Ok(first) = frame(&mut near) else { continue };
            let Ok(message) = frame(&mut near) else { continue };
            far.write_all(&[&first[..], &message, &message].concat()).expect("it is taken");
            // The rest of it, so that neither side is cut off.
            let _end = near.read(&mut [0]);
            return [hello, first, message];
        }
    });
    let mut conversation = beginner.converse(heard.id(), "topic").expect("it is welcome");
    conversation.send(b"once").expect("it is taken");
    assert_eq!(messages.recv_timeout(PATIENCE), Ok(Ok(Some(b"once".to_vec()))));
    assert_eq!(messages.recv_timeout(PATIENCE), Ok(Err(ErrorKind::InvalidData)));
    drop(conversation);
    let [hello, first, message] = relayed.join().expect("it has relayed");
    assert_eq!(begins.recv_timeout(PATIENCE), Ok(()));
    // All of it once more: the other side gives a salt of its own, and so nobody is troubled with it.
    let mut again = TcpStream::connect(heard.address()).expect("it listens");
    again.write_all(&hello).expect("it is taken");
    frame(&mut again).expect("it is answered");
    again.write_all(&[first, message].concat()).expect("it is taken");
    // Closed or reset, as what it says is read or not.
    while again.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
    assert!(begins.try_recv().is_err());
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
    for bytes in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0, 0, 0, 5, 1, 2, 3, 4, 5], &[0xff; 4]] {
        let mut stream = TcpStream::connect(address).expect("it listens");
        stream.write_all(bytes).expect("it is sent");
    }
    until("counted", || nodes[0].refusals().get("foreign").is_some_and(|count| *count >= 4));
    until("counted", || nodes[0].refusals().contains_key("too_long"));
    until_all_see(&nodes, State::Alive, 1);
}

#[test]
fn a_seed_that_does_not_answer_is_asked_again_when_its_time_is_over() {
    let seed = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let _alone = start(config(0, &[seed.local_addr().expect("it listens")]));
    let (mut first, _) = seed.accept().expect("it is asked");
    let (_second, _) = seed.accept().expect("it is asked again");
    first.set_nonblocking(true).expect("it is open");
    let mut asked = Vec::new();
    first.read_to_end(&mut asked).expect("the first question is over");
    assert!(!asked.is_empty());
}

#[test]
fn strangers_that_say_nothing_keep_nobody_waiting() {
    let nodes = started(2, |_| {});
    until_all_see(&nodes, State::Alive, 1);
    // Each of them would have five seconds.
    let connect = |_| TcpStream::connect(nodes[0].address()).expect("it listens");
    let silent: Vec<TcpStream> = (0..200).map(connect).collect();
    nodes[1].ping(nodes[0].id(), PATIENCE).expect("it answers");
    nodes[1].join(nodes[0].address()).expect("it answers");
    drop(silent);
}

#[test]
fn what_cannot_be_is_told_before_anything_runs() {
    let told = |change: fn(&mut ClusterConfig)| {
        let mut config = config(0, &[]);
        change(&mut config);
        Cluster::start(config).expect_err("it cannot be").to_string()
    };
    assert!(told(|config| config.packet_bytes_max = 100).contains("512 or more"));
    assert!(told(|config| config.swim.probe_timeout = config.swim.probe_interval).contains("give it less"));
    let everywhere = told(|config| config.bind = "0.0.0.0:0".parse().expect("an address"));
    assert!(everywhere.contains("advertise"), "{everywhere}");
    let taken = start(config(1, &[]));
    let mut same = config(2, &[]);
    same.bind = taken.address();
    let error = Cluster::start(same).expect_err("it is taken").to_string();
    assert!(error.contains("cannot listen at 127.0.0.1:"), "{error}");
}
