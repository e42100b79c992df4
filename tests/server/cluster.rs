//! Servers that are one cluster, through real sockets.

use std::fs;

use badbatch::base::deadline::Deadline;
use badbatch::cluster::swim::State;

use crate::support::{Folder, PATIENCE, Running};

/// Five times as fast as the defaults, on ports that the system chooses.
const FAST: &str = "enabled: true, bind_addr: '127.0.0.1:0', probe_interval_ms: 200, probe_timeout_ms: 100, \
                    gossip_interval_ms: 50, push_pull_interval_secs: 2";

/// A server in a cluster, with more settings of the cluster, and of the rest.
fn member(cluster: &str, rest: &str) -> Running {
    Running::start(&format!("cluster: {{{FAST}, {cluster}}}\n{rest}"))
}

/// A server that joins another one.
fn joined(other: &Running, name: &str) -> Running {
    let seed = cluster(other).address();
    member(&format!("node_id: {name}, seed_nodes: ['{seed}']"), "")
}

fn cluster(server: &Running) -> &badbatch::cluster::Cluster {
    server.node.cluster().expect("it is in a cluster")
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Deadline::after(PATIENCE);
    while !is_so() {
        assert!(!deadline.has_passed(), "never {what}");
        std::thread::yield_now();
    }
}

fn sees(server: &Running, name: &str, state: State) -> bool {
    cluster(server).members().iter().any(|member| member.id.as_str() == name && member.state == state)
}

#[test]
fn servers_find_each_other_tell_where_they_are_and_say_goodbye() {
    let a = member("node_id: a, metadata: {zone: north}", "");
    let b = joined(&a, "b");
    until("joined", || sees(&a, "b", State::Alive) && sees(&b, "a", State::Alive));
    let http = a.address.to_string();
    until("told where REST is", || {
        let members = cluster(&b).members();
        let metadata = members.first().map(|member| member.metadata.clone()).unwrap_or_default();
        metadata.get("http") == Some(&http) && metadata.get("zone").is_some_and(|zone| zone == "north")
    });
    assert!(b.stop());
    until("gone", || sees(&a, "b", State::Left));
}

#[test]
fn a_name_that_was_made_up_is_kept() {
    let folder = Folder::new();
    let rest = format!("server: {{data_dir: '{}'}}\n", folder.0.display());
    let name = |server: &Running| cluster(server).id().to_string();
    let first = member("", &rest);
    let made = name(&first);
    assert!(first.stop());
    assert_eq!(name(&member("", &rest)), made);
    // What is said goes before what is kept.
    assert_eq!(name(&member("node_id: said", &rest)), "said");
    fs::write(folder.0.join("node-id.json"), "\"a b\"").expect("it is written");
    let settings = format!("cluster: {{{FAST}}}\n{rest}");
    let settings = badbatch::node::Settings::gather(Some(&settings), |_| None, &[]).expect("right");
    let refused = badbatch::node::Node::start(settings, || {}).err().expect("it is no name");
    assert!(refused.to_string().contains("it is not a node's name"), "{refused}");
}
