//! Copies of a disruptor on several servers: what is acknowledged when, and what is left when nodes go.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use badbatch::base::deadline::Deadline;
use badbatch::client::ClientError;
use badbatch::cluster::swim::NodeId;
use badbatch::cluster::{Cluster, ClusterConfig};
use serde_json::{Value, json};

use crate::support::{Client, Folder, PATIENCE, Process, Running, fits};

/// Five times as fast as the defaults, and nothing in clear.
const FAST: &str = "enabled: true, probe_interval_ms: 200, probe_timeout_ms: 100, gossip_interval_ms: 50, \
                    push_pull_interval_secs: 2";
const SECRET: &str = "enable_encryption: true, encryption_key: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Deadline::after(2 * PATIENCE);
    while !is_so() {
        assert!(!deadline.has_passed(), "never {what}");
        thread::yield_now();
    }
}

/// A server in this process that joins others.
fn member(name: &str, seeds: &[SocketAddr]) -> Running {
    let seeds: Vec<String> = seeds.iter().map(|seed| format!("'{seed}'")).collect();
    let seeds = seeds.join(", ");
    Running::start(&format!(
        "cluster: {{{FAST}, bind_addr: '127.0.0.1:0', node_id: {name}, seed_nodes: [{seeds}]}}\n\
         disruptors: [{{name: everywhere, replicas: 3, consistency: all}}]"
    ))
}

fn cluster(server: &Running) -> &Arc<Cluster> {
    server.node.cluster().expect("it is in a cluster")
}

fn present(server: &Running) -> usize {
    cluster(server).members().iter().filter(|member| member.state.is_present()).count()
}

/// Servers that know each other.
fn members<const N: usize>(names: [&str; N]) -> [Running; N] {
    let mut seeds = Vec::new();
    let servers = names.map(|name| {
        let server = member(name, &seeds);
        seeds.push(cluster(&server).address());
        server
    });
    until("joined", || servers.iter().all(|server| present(server) == N - 1));
    servers
}

fn make(client: &mut Client, name: &str, consistency: &str, more: &Value) -> Value {
    let mut definition = json!({
        "name": name, "producer_type": "multi", "replicas": 3, "consistency": consistency,
        "buffer_size": 256, "replication_timeout_ms": 300,
    });
    let members = more.as_object().expect("an object").clone();
    definition.as_object_mut().expect("an object").extend(members);
    let made = client.post("/api/v1/disruptor", &definition.to_string());
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()
}

fn replication(address: SocketAddr, name: &str) -> Value {
    Client::new(address).get(&format!("/api/v1/disruptor/{name}/replication")).json()
}

fn publish(address: SocketAddr, name: &str, event: &str) -> (u16, Value) {
    let answer = Client::new(address).post(&format!("/api/v1/disruptor/{name}/events"), event);
    (answer.status, answer.json())
}

fn promote(address: SocketAddr, name: &str, query: &str) -> (u16, Value) {
    let answer = Client::new(address).post(&format!("/api/v1/disruptor/{name}/promote{query}"), "");
    (answer.status, answer.json())
}

/// The data of every event that a server has, in order.
fn data(address: SocketAddr, name: &str) -> Vec<Value> {
    let mut client = Client::new(address);
    let own = client.get(&format!("/api/v1/disruptor/{name}")).json();
    let (mut next, mut all) = (own["first_available"].as_u64().expect("a number"), Vec::new());
    loop {
        let path = format!("/api/v1/disruptor/{name}/events?limit=1000&from_sequence={next}");
        let page = client.get(&path).json();
        let items = page["items"].as_array().expect("a list").clone();
        if items.is_empty() {
            return all;
        }
        for item in items {
            assert!(item["sequence"].as_u64() >= Some(next), "events come in order");
            next = item["sequence"].as_u64().expect("a number") + 1;
            all.push(item["data"].clone());
        }
    }
}

/// A member that welcomes every conversation, and says nothing in it.
fn silent(seed: SocketAddr) -> Arc<Cluster> {
    let mut config = ClusterConfig::new(NodeId::new("silent").expect("a name"));
    config.seeds = vec![seed];
    config.swim.probe_interval = Duration::from_millis(200);
    config.swim.probe_timeout = Duration::from_millis(100);
    let cluster = Arc::new(Cluster::start(config).expect("it starts"));
    cluster.on_conversation(
        "replication",
        |mut conversation| {
            while conversation.receive(PATIENCE).is_ok() {}
        },
    );
    cluster
}

#[test]
fn each_level_answers_times_out_or_refuses_as_it_promises() {
    let home = member("home", &[]);
    let follower = member("follower", &[cluster(&home).address()]);
    let hanging = silent(cluster(&home).address());
    until("joined", || present(&home) == 2 && present(&follower) == 2);
    let mut client = home.client();
    for level in ["any", "one", "quorum", "all"] {
        make(&mut client, level, level, &json!({}));
    }
    let timeout = |reached: u64, wanted: u64| {
        (504, json!({"code": "replication_timeout", "reached": reached, "wanted": wanted, "sequences": "*"}))
    };
    let refused = |present: u64, wanted: u64| {
        (503, json!({"code": "not_enough_replicas", "present": present, "wanted": wanted}))
    };
    let good = || (201, json!({"sequence": "number"}));
    let check = |rows: [(&str, (u16, Value)); 4]| {
        for (level, (status, shape)) in rows {
            let (got, body) = publish(home.address, level, "1");
            assert!(got == status && fits(&body, &shape), "{level}: {got} {body}");
        }
    };
    // One of two followers hangs.
    check([("any", good()), ("one", good()), ("quorum", good()), ("all", timeout(2, 3))]);
    // What was not acknowledged is there all the same, and sequences tell where.
    let (_, late) = publish(home.address, "all", "2");
    assert_eq!(late["sequences"], json!({"first": 1, "next": 2}));
    assert_eq!(data(home.address, "all"), [json!(1), json!(2)]);
    until("sent", || data(follower.address, "all").len() == 2);
    let seen = replication(home.address, "all");
    assert!(fits(&seen, &json!({"part": "home", "wanted": 3, "reached": 2, "timeouts": 2})), "{seen}");
    let lag = |node: &str| {
        let seen = replication(home.address, "all");
        let followers = seen["followers"].as_array().expect("a list").clone();
        followers.iter().find(|one| one["node"] == node).map(|one| one["lag"].clone())
    };
    assert_eq!((lag("silent"), lag("follower")), (Some(json!(2)), Some(json!(0))));
    // Only the one that hangs is left.
    assert!(follower.stop());
    until("gone", || present(&home) == 1);
    until("told", || {
        replication(home.address, "one")["followers"]
            .as_array()
            .is_some_and(|list| list.iter().all(|one| one["node"] != "follower" || one["counts"] == false))
    });
    check([("any", good()), ("one", timeout(1, 2)), ("quorum", timeout(1, 2)), ("all", refused(2, 3))]);
    // Nobody is left.
    assert!(hanging.leave(PATIENCE));
    until("gone", || present(&home) == 0);
    until("told", || publish(home.address, "one", "1").0 == 503);
    check([("any", good()), ("one", refused(1, 2)), ("quorum", refused(1, 2)), ("all", refused(1, 3))]);
    let page = home.client().get("/metrics").text();
    for line in [
        "badbatch_replication_home{disruptor=\"all\"} 1",
        "badbatch_replication_timed_out_events_total{disruptor=\"all\"} 2",
        "badbatch_replication_connected{disruptor=\"all\",node=\"silent\"} 0",
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
}

#[test]
fn a_follower_serves_readers_sends_writers_home_and_goes_with_its_home() {
    let [a, b, c] = members(["a", "b", "c"]);
    make(&mut a.client(), "d", "all", &json!({}));
    let mut tail = b.client();
    tail.ask_for(
        "GET",
        "/api/v1/disruptor/d/events/stream?from_sequence=0",
        &[("Accept", "application/x-ndjson")],
    );
    assert_eq!(tail.head().status, 200);
    assert_eq!(publish(a.address, "d", "{\"n\":1}").0, 201);
    let line = tail.chunk().expect("it goes on");
    assert!(String::from_utf8_lossy(&line).contains("\"data\":{\"n\":1}"));
    // Reads are served, and everything else is for the home.
    let event = b.client().get("/api/v1/disruptor/d/events/0").json();
    assert_eq!(event, a.client().get("/api/v1/disruptor/d/events/0").json());
    let status = b.client().get("/api/v1/disruptor/d").json();
    assert!(fits(&status, &json!({"status": "following", "replicas": 3, "consistency": "all"})), "{status}");
    let id = status["id"].as_str().expect("a text");
    for (method, path) in [
        ("POST", "/events?wait=1s"),
        ("POST", "/events/bulk"),
        ("POST", "/pause"),
        ("POST", "/reset"),
        ("POST", "/stop"),
        ("DELETE", ""),
    ] {
        let path_there = format!("/api/v1/disruptor/d{path}");
        let asked = format!("/api/v1/disruptor/{id}{path}");
        let answer = b.client().ask(method, &asked, &[("Content-Type", "application/x-ndjson")], b"1\n");
        // The body of a single event is JSON, not lines.
        if path.starts_with("/events?") {
            let answer = b.client().post(&asked, "1");
            assert_eq!(answer.header("location"), format!("http://{}{path_there}", a.address));
            continue;
        }
        assert!(fits(&answer.json(), &json!({"code": "not_home", "home": "a"})), "{}", answer.text());
        assert_eq!(
            (answer.status, answer.header("location")),
            (307, &*format!("http://{}{path_there}", a.address))
        );
    }
    // Our client goes there.
    let client = badbatch::client::Client::new(&format!("http://{}", c.address)).expect("an endpoint");
    assert_eq!(client.publish("d", &json!({"n": 2})).expect("it is sent on")["sequence"], 1);
    // A follower's node does not take the name for another disruptor.
    let other = b.client().post("/api/v1/disruptor", &json!({"name": "d"}).to_string());
    assert!(other.status == 409 && other.json()["code"] == "name_taken", "{}", other.text());
    // And a node alone has no copies.
    let alone = Running::start("");
    let refused = alone.client().post("/api/v1/disruptor", &json!({"name": "d", "replicas": 2}).to_string());
    let shape =
        json!({"errors": [{"field": "replicas", "message": "2, and this node is alone", "hint": "*"}]});
    assert!(refused.status == 400 && fits(&refused.json(), &shape), "{}", refused.text());
    let none = alone.client().get("/api/v1/disruptor/main/replication");
    assert!(none.status == 409 && none.json()["code"] == "not_replicated", "{}", none.text());
    client.delete("d").expect("it is sent on");
    until("gone everywhere", || {
        [&a, &b, &c].iter().all(|one| one.client().get("/api/v1/disruptor/d").status == 404)
    });
}

#[test]
fn what_every_node_defines_has_one_home() {
    let servers = members(["a", "b", "c"]);
    let home = || {
        let is_home = |server: &&Running| replication(server.address, "everywhere")["part"] == "home";
        servers.iter().find(is_home).map(|server| server.address)
    };
    until("a home", || home().is_some_and(|home| is_whole(home, "everywhere")));
    assert_eq!(publish(home().expect("it is there"), "everywhere", "1").0, 201);
    assert!(servers.iter().all(|server| data(server.address, "everywhere") == [json!(1)]));
    let names: BTreeSet<String> =
        servers.iter().map(|server| replication(server.address, "everywhere")["home"].to_string()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

#[test]
fn a_name_that_is_taken_on_a_follower_is_told_at_home() {
    let [a, b] = members(["a", "b"]);
    let own = json!({"name": "d", "buffer_size": 2});
    assert_eq!(b.client().post("/api/v1/disruptor", &own.to_string()).status, 201);
    make(&mut a.client(), "d", "any", &json!({"replicas": 2}));
    until("told", || {
        let trouble = replication(a.address, "d")["followers"][0]["trouble"].clone();
        trouble.as_str().is_some_and(|text| text.contains("defined otherwise"))
    });
    assert_eq!(publish(a.address, "d", "1").0, 201);
}

#[test]
fn a_home_moves_by_command_while_it_is_there_and_when_it_is_gone() {
    let [a, b, c] = members(["a", "b", "c"]);
    make(&mut a.client(), "d", "quorum", &json!({"replication_timeout_ms": 5000}));
    for number in 0..100 {
        assert_eq!(publish(a.address, "d", &number.to_string()).0, 201);
    }
    let (status, body) = promote(b.address, "d", "");
    assert!(status == 200 && fits(&body, &json!({"part": "home", "home": "b", "epoch": 2})), "{body}");
    let (status, _) = publish(b.address, "d", "100");
    assert_eq!(status, 201);
    until("followed", || data(a.address, "d").len() == 101 && data(c.address, "d").len() == 101);
    assert_eq!(a.client().get("/api/v1/disruptor/d/status").json()["status"], "following");
    // The home ends as it should, and another one takes over by itself.
    assert!(b.stop());
    until("taken over", || {
        [&a, &c].iter().filter(|one| replication(one.address, "d")["part"] == "home").count() == 1
    });
    let (home, other) = if replication(a.address, "d")["part"] == "home" { (a, c) } else { (c, a) };
    assert_eq!(publish(home.address, "d", "101").0, 201);
    let expected: Vec<Value> = (0..102).map(|number| json!(number)).collect();
    assert_eq!(data(home.address, "d"), expected);
    until("followed", || data(other.address, "d") == expected);
    // One of three that had what was acknowledged is not enough to know that it has all of it.
    cluster(&home).leave(PATIENCE);
    until("gone", || present(&other) == 0);
    drop(home);
    let (status, body) = promote(other.address, "d", "");
    assert!(
        status == 409 && fits(&body, &json!({"code": "copies_missing", "reached": 1, "wanted": 2})),
        "{body}"
    );
    let refused = publish(other.address, "d", "102");
    assert!(refused.0 == 503 && refused.1["code"] == "no_home", "{refused:?}");
    let (status, body) = promote(other.address, "d", "?force=true");
    assert!(status == 200 && fits(&body, &json!({"part": "home", "next_sequence": 102})), "{body}");
}

/// A server as a process, in a cluster, with a folder of its own that outlives it.
struct Machine {
    name: &'static str,
    folder: Folder,
    process: Option<Process>,
}

impl Machine {
    fn new(name: &'static str) -> Self {
        Self { name, folder: Folder::new(), process: None }
    }

    /// Starts it, or starts it again.
    fn start(&mut self, seeds: &[SocketAddr]) {
        let seeds: Vec<String> = seeds.iter().map(|seed| format!("'{seed}'")).collect();
        let (name, seeds) = (self.name, seeds.join(", "));
        let config = self.folder.0.join("server.yaml");
        let settings = format!(
            "cluster: {{{FAST}, {SECRET}, bind_addr: '127.0.0.1:0', node_id: {name}, seed_nodes: [{seeds}]}}\n"
        );
        fs::write(&config, settings).expect("it is written");
        let (config, data) = (config.display().to_string(), self.folder.0.join("data").display().to_string());
        let arguments = ["--bind", "127.0.0.1:0", "--config", &config, "--data-dir", &data];
        self.process = Some(Process::start(&arguments));
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it runs")
    }

    fn address(&self) -> SocketAddr {
        self.process().address()
    }

    fn seed(&self) -> SocketAddr {
        let own = self.process().client().get("/api/v1/cluster").json();
        own["address"].as_str().and_then(|address| address.parse().ok()).expect("it tells its address")
    }

    fn kill(&mut self) {
        self.process = None;
    }

    /// Ends it as an operator does.
    fn end(&mut self) {
        let process = self.process.take().expect("it runs");
        process.signal("TERM");
        let (status, _, errors) = process.end();
        assert_eq!(status, Some(0), "{errors}");
    }
}

/// Three machines that know each other.
fn machines() -> [Machine; 3] {
    let mut machines = ["a", "b", "c"].map(Machine::new);
    let mut seeds = Vec::new();
    for machine in &mut machines {
        machine.start(&seeds);
        seeds.push(machine.seed());
    }
    let alive = |machine: &Machine| {
        let health = machine.process().client().get("/api/v1/cluster").json();
        health["members"]["alive"] == 3
    };
    until("joined", || machines.iter().all(alive));
    machines
}

fn seeds(machines: &[Machine]) -> Vec<SocketAddr> {
    machines.iter().filter(|machine| machine.process.is_some()).map(Machine::seed).collect()
}

/// Whether every node has a copy that counts and is as far as the home.
fn is_whole(home: SocketAddr, name: &str) -> bool {
    let seen = replication(home, name);
    seen["reached"] == 3 && seen["nodes"].as_array().is_some_and(|nodes| nodes.len() == 3)
}

#[test]
fn a_home_that_lost_its_memory_gets_it_back_from_its_followers() {
    let mut machines = machines();
    let mut client = machines[0].process().client();
    make(&mut client, "d", "quorum", &json!({"replication_timeout_ms": 5000}));
    for number in 0..50 {
        assert_eq!(publish(machines[0].address(), "d", &number.to_string()).0, 201);
    }
    machines[0].kill();
    let others = seeds(&machines);
    machines[0].start(&others);
    let home = machines[0].address();
    until("home again", || replication(home, "d")["part"] == "home");
    assert!(replication(home, "d")["epoch"].as_u64() > Some(1));
    until("whole", || is_whole(home, "d"));
    assert_eq!(publish(home, "d", "50").0, 201);
    let expected: Vec<Value> = (0..51).map(|number| json!(number)).collect();
    until("the same everywhere", || machines.iter().all(|machine| data(machine.address(), "d") == expected));
    // While it is gone for good, another one is made the home, and it follows when it comes back after all.
    machines[0].kill();
    let next = machines[1].address();
    until("noticed", || publish(next, "d", "x").1["code"] == "no_home" || publish(next, "d", "1").0 == 503);
    let (status, body) = promote(next, "d", "");
    assert!(status == 200 && body["home"] == "b", "{body}");
    assert_eq!(publish(next, "d", "51").0, 201);
    let others = seeds(&machines);
    machines[0].start(&others);
    let old = machines[0].address();
    until("followed", || {
        let answer = Client::new(old).get("/api/v1/disruptor/d/replication");
        answer.status == 200
            && fits(&answer.json(), &json!({"part": "follower", "home": "b", "next_sequence": 52}))
    });
}

#[test]
fn a_process_that_is_stopped_holds_up_only_who_waits_for_it() {
    let machines = machines();
    let home = machines[0].address();
    for level in ["quorum", "all"] {
        make(&mut Client::new(home), level, level, &json!({"replication_timeout_ms": 300}));
    }
    machines[2].process().signal("STOP");
    assert_eq!(publish(home, "quorum", "1").0, 201);
    let (status, body) = publish(home, "all", "1");
    assert!(
        (status == 504 && body["code"] == "replication_timeout") || body["code"] == "not_enough_replicas",
        "{status} {body}"
    );
    for number in 0..600 {
        let (status, _) = publish(home, "quorum", &number.to_string());
        assert_eq!(status, 201);
    }
    machines[2].process().signal("CONT");
    until("whole", || is_whole(home, "quorum") && is_whole(home, "all"));
    // It missed more than the ring holds, and goes on where the ring begins.
    let behind = machines[2].address();
    assert_eq!(data(behind, "quorum"), data(home, "quorum"));
    assert_eq!(publish(home, "all", "2").0, 201);
}

#[test]
fn a_hundred_thousand_acknowledged_events_are_on_all_three_though_one_is_killed_meanwhile() {
    const BATCH: u64 = 1000;
    const EVENTS: u64 = 100_000;
    let mut machines = machines();
    let home = machines[0].address();
    let large = json!({"buffer_size": 1 << 17, "replication_timeout_ms": 20_000});
    make(&mut Client::new(home), "d", "quorum", &large);
    let (at, reached) = channel();
    let writer = thread::spawn(move || {
        let mut client = Client::new(home);
        for batch in 0..EVENTS / BATCH {
            let events: Vec<u64> = (batch * BATCH..(batch + 1) * BATCH).collect();
            let answer = client.post("/api/v1/disruptor/d/events/batch", &json!(events).to_string());
            assert_eq!(answer.status, 201, "{}", answer.text());
            // Nobody may be there who wants to know.
            let _told = at.send(batch);
        }
    });
    let wait_for = |wanted: u64| while reached.recv_timeout(PATIENCE).expect("it goes on") < wanted {};
    wait_for(20);
    machines[2].kill();
    wait_for(40);
    let others = seeds(&machines);
    machines[2].start(&others);
    writer.join().expect("every batch was acknowledged");
    until("whole", || is_whole(home, "d"));
    for machine in &machines {
        let data = data(machine.address(), "d");
        assert_eq!(data.len() as u64, EVENTS, "at {}", machine.name);
        assert!(data.iter().zip(0..).all(|(event, number)| *event == json!(number)), "at {}", machine.name);
    }
}

#[test]
fn a_rolling_restart_of_three_nodes_loses_nothing_at_all() {
    let mut machines = machines();
    let large = json!({"buffer_size": 1 << 16, "replication_timeout_ms": 5000});
    make(&mut machines[0].process().client(), "d", "all", &large);
    let addresses = Arc::new(Mutex::new(machines.each_ref().map(Machine::address).to_vec()));
    let is_over = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicU64::new(0));
    let writer = thread::spawn({
        let (addresses, is_over, count) = (Arc::clone(&addresses), Arc::clone(&is_over), Arc::clone(&count));
        move || {
            let mut acknowledged = Vec::new();
            let mut number = 0;
            while !is_over.load(Ordering::SeqCst) {
                let now = addresses.lock().expect("nobody panics").clone();
                for address in now {
                    let client = badbatch::client::Client::new(&format!("http://{address}"));
                    let client = client.expect("an endpoint").attempts(1).timeout(Duration::from_secs(10));
                    match client.publish("d", &json!(number)) {
                        Ok(_) => {
                            acknowledged.push(number);
                            count.fetch_add(1, Ordering::SeqCst);
                        }
                        // Whether it was published is not known: it is not published again under this number.
                        Err(ClientError::TimedOut { .. } | ClientError::Unreachable { .. }) => {}
                        Err(ClientError::Problem(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                    number += 1;
                }
            }
            acknowledged
        }
    });
    let goes_on = |what: &str| {
        let before = count.load(Ordering::SeqCst);
        until(what, || count.load(Ordering::SeqCst) > before + 50);
    };
    goes_on("begun");
    for place in 0..machines.len() {
        machines[place].end();
        let others = seeds(&machines);
        // Never fewer than two, with the next one on its way.
        assert_eq!(others.len(), 2);
        machines[place].start(&others);
        *addresses.lock().expect("nobody panics") = machines.each_ref().map(Machine::address).to_vec();
        until("whole again", || {
            machines.iter().any(|machine| {
                let answer = machine.process().client().get("/api/v1/disruptor/d/replication");
                answer.status == 200 && answer.json()["part"] == "home" && is_whole(machine.address(), "d")
            })
        });
        goes_on("going on");
    }
    is_over.store(true, Ordering::SeqCst);
    let acknowledged = writer.join().expect("it does not panic");
    let all = data(machines[0].address(), "d");
    until("the same everywhere", || {
        machines.iter().all(|machine| data(machine.address(), "d").len() == all.len())
    });
    for machine in &machines {
        let data = data(machine.address(), "d");
        assert_eq!(data, all, "at {}", machine.name);
        let numbers: Vec<u64> = data.iter().filter_map(Value::as_u64).collect();
        assert!(numbers.is_sorted(), "in order");
        let there: BTreeSet<u64> = numbers.into_iter().collect();
        let lost: Vec<u64> = acknowledged.iter().copied().filter(|number| !there.contains(number)).collect();
        assert!(lost.is_empty(), "at {}: {lost:?}", machine.name);
    }
}
