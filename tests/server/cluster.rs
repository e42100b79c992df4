//! Servers that are one cluster, through real sockets.

use std::fs;
use std::time::Duration;

use badbatch::base::deadline::Deadline;
use badbatch::cluster::swim::State;
use serde_json::{Value, json};

use crate::cli::{endpoint, run};
use crate::pty::Terminal;
use crate::support::{Folder, PATIENCE, Process, Running, fits};

/// On ports that the system chooses. News comes fast; who lives has as much time to answer as ever, also on a machine that
/// is busy.
const FAST: &str =
    "enabled: true, bind_addr: '127.0.0.1:0', gossip_interval_ms: 50, push_pull_interval_secs: 2";

/// A key of 32 bytes, and another one.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER_KEY: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

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

/// Asks in this order, with JSON bodies, and compares statuses and shapes.
fn check(server: &Running, rows: &[(&str, &str, Value, u16, Value)]) {
    let mut client = server.client();
    for (method, path, body, status, shape) in rows {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let path = format!("/api/v1/cluster{path}");
        let answer = client.ask(method, &path, &[("Content-Type", "application/json")], body.as_bytes());
        assert_eq!(answer.status, *status, "{method} {path} {body}: {}", answer.text());
        if !shape.is_null() {
            assert!(fits(&answer.json(), shape), "{method} {path} {body}: {} is not {shape}", answer.text());
        }
    }
}

fn field(name: &str) -> Value {
    json!({"code": "invalid_request", "errors": [{"field": name, "message": "text"}]})
}

#[test]
fn the_cluster_its_members_and_their_events_are_told() {
    let (none, any) = (Value::Null, Value::Null);
    let a = member("node_id: a, metadata: {zone: north}", "");
    let b = joined(&a, "b");
    until("joined", || sees(&a, "b", State::Alive) && sees(&b, "a", State::Alive));
    let (own, other) = (cluster(&a).address().to_string(), cluster(&b).address().to_string());
    until("told", || cluster(&a).members()[0].metadata.get("http") == Some(&b.address.to_string()));
    let healthy = json!({"process": {"status": "live"}, "component": {"status": "ready", "services": "passing"},
        "cluster": {"status": "healthy", "alive": 2, "known": 2, "reasons": []}});
    until("healthy", || cluster(&a).awareness() == 0);
    check(
        &a,
        &[
            (
                "GET",
                "",
                none.clone(),
                200,
                json!({"node_id": "a", "name": "badbatch", "address": own, "bind_addr": own, "state": "alive",
                    "awareness": 0, "members": {"alive": 2, "suspect": 0, "dead": 0, "left": 0},
                    "services": {"passing": 0, "warning": 0, "critical": 0}, "encrypted": false, "keys": [],
                    "refusals": {}, "health": healthy}),
            ),
            (
                "GET",
                "/members",
                none.clone(),
                200,
                json!({"total": 2, "next": null, "items": [
                    {"id": "a", "self": true, "address": own, "state": "alive", "http": a.address.to_string(),
                        "metadata": {"zone": "north"}, "since": "text", "incarnation": "number"},
                    {"id": "b", "self": false, "address": other, "state": "alive", "http": b.address.to_string()}]}),
            ),
            (
                "GET",
                "/members?limit=1",
                none.clone(),
                200,
                json!({"total": 2, "next": 1, "items": [{"id": "a"}]}),
            ),
            ("GET", "/members?state=dead", none.clone(), 200, json!({"total": 0, "items": []})),
            ("GET", "/members?state=ded", none.clone(), 400, field("state")),
            ("GET", "/members/b", none.clone(), 200, json!({"id": "b", "state": "alive"})),
            ("GET", "/members/c", none.clone(), 404, json!({"code": "member_not_found", "detail": "text"})),
            ("POST", "/members/b/ping", none.clone(), 200, json!({"id": "b", "round_trip_ms": "number"})),
            ("POST", "/members/a/ping", none.clone(), 200, json!({"id": "a", "round_trip_ms": 0.0})),
            ("POST", "/members/c/ping", none.clone(), 404, json!({"code": "member_not_found"})),
            ("POST", "/members/b/ping?timeout=1h", none.clone(), 400, field("timeout")),
            (
                "POST",
                "/members/b/force-leave",
                none.clone(),
                409,
                json!({"code": "invalid_state", "current": "alive", "allowed": ["dead"]}),
            ),
            ("POST", "/members/c/force-leave", none.clone(), 404, any.clone()),
            ("POST", "/join", json!({"address": other}), 200, json!({"members": {"alive": 2}})),
            ("POST", "/join", json!({"address": own}), 400, field("address")),
            ("POST", "/join", json!({"address": "b"}), 400, field("address")),
            ("POST", "/join", json!({}), 400, field("address")),
            ("POST", "/join", json!({"adress": "b:1"}), 400, any.clone()),
            ("POST", "/join", json!({"address": "127.0.0.1:1"}), 502, json!({"code": "join_failed"})),
            (
                "POST",
                "/join",
                json!({"address": "no.such.host.invalid:1"}),
                502,
                json!({"code": "join_failed"}),
            ),
            ("GET", "/keys", none.clone(), 200, json!({"items": [], "total": 0})),
            ("POST", "/keys", json!({"key": KEY}), 409, json!({"code": "cluster_not_encrypted"})),
            (
                "GET",
                "/events?limit=1",
                none.clone(),
                200,
                json!({"items": [{"sequence": 0, "at": "text", "event": "joined", "member": {"id": "b"}}],
                    "first_available": 0, "next_sequence": 1}),
            ),
            ("GET", "/events?from_sequence=1000", none.clone(), 200, json!({"items": []})),
            ("GET", "/events?wait=61s", none.clone(), 400, field("wait")),
            (
                "POST",
                "/leave",
                none.clone(),
                200,
                json!({"state": "left", "members": {"alive": 1, "left": 1}}),
            ),
            ("POST", "/leave", none.clone(), 200, json!({"state": "left"})),
            ("POST", "/join", json!({"address": other}), 409, json!({"code": "cluster_left"})),
            ("POST", "/notes", json!({"text": "hello"}), 409, json!({"code": "cluster_left"})),
            ("POST", "/services", json!({"name": "web", "port": 80}), 409, json!({"code": "cluster_left"})),
        ],
    );
    until("left", || sees(&b, "a", State::Left));
    let mut client = a.client();
    let ready = client.get("/health/ready");
    assert_eq!((ready.status, &ready.json()["code"]), (503, &json!("leaving")));
    let health = client.get("/health").json();
    let told =
        json!({"status": "degraded", "cluster": {"status": "degraded", "reasons": ["this node has left"]}});
    assert!(fits(&health, &told), "{health}");
    // It still does what it did.
    assert_eq!(client.post("/api/v1/disruptor/main/events", "1").status, 201);
}

#[test]
fn services_are_registered_on_one_node_and_looked_up_on_another() {
    let none = Value::Null;
    let a = member("node_id: a", "");
    let b = joined(&a, "b");
    until("joined", || sees(&a, "b", State::Alive));
    let web = json!({"name": "web", "port": 80, "tags": ["blue"], "metadata": {"v": "1"}, "check": {"kind": "ttl", "ttl": "1h"}});
    let passing = json!({"status": "passing", "note": "", "load": 3});
    check(
        &a,
        &[
            ("GET", "/services", none.clone(), 200, json!({"items": [], "total": 0, "next": null})),
            (
                "POST",
                "/services",
                web.clone(),
                201,
                json!({"id": "web", "name": "web", "node": "a", "address": "127.0.0.1", "port": 80, "tags": ["blue"],
                    "metadata": {"v": "1"}, "status": "critical", "load": 0, "note": "nobody has reported yet"}),
            ),
            ("POST", "/services", web, 200, json!({"id": "web"})),
            ("POST", "/services/web/report", json!({"status": "passing", "load": 3}), 200, passing),
            (
                "POST",
                "/services/web/report",
                json!({"load": 4}),
                200,
                json!({"status": "passing", "load": 4}),
            ),
            (
                "POST",
                "/services/web/report",
                json!({"status": "warning", "note": "slow"}),
                200,
                json!({"status": "warning", "note": "slow", "load": 4}),
            ),
            ("POST", "/services/web/report", json!({}), 400, field("status")),
            ("POST", "/services/web/report", json!({"note": "x"}), 400, field("status")),
            ("POST", "/services/web/report", json!({"status": "well"}), 400, field("status")),
            (
                "POST",
                "/services/web/report",
                json!({"status": "passing", "note": "x".repeat(97)}),
                400,
                field("note"),
            ),
            ("POST", "/services/wob/report", json!({"load": 1}), 404, json!({"code": "service_not_found"})),
            ("GET", "/services/web", none.clone(), 200, json!({"id": "web", "status": "warning"})),
            ("GET", "/services/wob", none.clone(), 404, json!({"code": "service_not_found"})),
            ("POST", "/services", json!({"port": 80}), 400, field("name")),
            ("POST", "/services", json!({"name": "x"}), 400, field("port")),
            ("POST", "/services", json!({"name": "x", "port": 0}), 400, field("port")),
            ("POST", "/services", json!({"name": "a b", "port": 1}), 400, none.clone()),
            ("POST", "/services", json!({"name": "x", "port": 1, "address": "a b"}), 400, field("address")),
            (
                "POST",
                "/services",
                json!({"name": "x", "port": 1, "metadata": {"a": "x".repeat(2000)}}),
                400,
                field("body"),
            ),
            (
                "POST",
                "/services",
                json!({"name": "x", "port": 1, "check": {"kind": "dns"}}),
                400,
                field("check.kind"),
            ),
            (
                "POST",
                "/services",
                json!({"name": "x", "port": 1, "check": {"kind": "ttl"}}),
                400,
                field("check.ttl"),
            ),
            (
                "POST",
                "/services",
                json!({"name": "x", "port": 1, "check": {"kind": "tcp", "interval": "1ms"}}),
                400,
                field("check"),
            ),
            (
                "POST",
                "/services",
                json!({"name": "tcp", "port": 1, "check": {"kind": "tcp", "interval": "1h", "timeout": "1s"}}),
                201,
                json!({"status": "critical"}),
            ),
            (
                "POST",
                "/services/tcp/report",
                json!({"status": "passing"}),
                409,
                json!({"code": "service_checked"}),
            ),
            ("GET", "/services?healthy", none.clone(), 200, json!({"items": [{"id": "web"}], "total": 1})),
            ("GET", "/services?choose=random", none.clone(), 400, field("choose")),
            ("GET", "/services?name=web&choose=worst", none.clone(), 400, field("choose")),
        ],
    );
    until("spread", || {
        cluster(&b).services().iter().any(|offer| offer.service.id == "web" && offer.note == "slow")
            && cluster(&b).services().len() == 2
    });
    let found = json!({"items": [{"id": "web", "node": "a", "status": "warning"}], "total": 1});
    check(
        &b,
        &[
            ("GET", "/services?name=web&tag=blue", none.clone(), 200, found.clone()),
            ("GET", "/services?tag=blue&node=a", none.clone(), 200, found.clone()),
            ("GET", "/services?node=b", none.clone(), 200, json!({"total": 0})),
            ("GET", "/services?name=web&tag=red", none.clone(), 200, json!({"total": 0})),
            ("GET", "/services?name=web&choose=least_loaded", none.clone(), 200, found.clone()),
            ("GET", "/services?name=web&choose=round-robin&healthy=true", none.clone(), 200, found),
            ("GET", "/services?name=tcp&choose=random&healthy", none.clone(), 200, json!({"total": 0})),
            ("GET", "/services?limit=1", none.clone(), 200, json!({"total": 2, "next": 1})),
            // Services are changed on their own nodes.
            ("DELETE", "/services/web", none.clone(), 404, json!({"code": "service_not_found"})),
        ],
    );
    check(
        &a,
        &[
            ("DELETE", "/services/web", none.clone(), 204, none.clone()),
            ("DELETE", "/services/web", none, 404, Value::Null),
        ],
    );
    until("withdrawn", || cluster(&b).services().len() == 1);
}

#[test]
fn the_stream_and_the_metrics_tell_of_the_cluster() {
    let a = member("node_id: a", "");
    let mut stream = a.client();
    stream.ask_for("GET", "/api/v1/stream?topics=cluster", &[("Accept", "application/x-ndjson")]);
    assert_eq!(stream.head().status, 200);
    let b = joined(&a, "b");
    let mut heard = String::new();
    let mut hear = |wanted: &str| {
        while !heard.lines().any(|line| line.contains(wanted)) {
            let piece = stream.chunk().expect("the stream goes on");
            heard += &String::from_utf8(piece).expect("it is text");
        }
        let line = heard.lines().find(|line| line.contains(wanted)).expect("it was there").to_owned();
        serde_json::from_str::<Value>(&line).expect("a line is JSON")["cluster"].clone()
    };
    let joined = hear("\"joined\"");
    assert!(
        fits(&joined, &json!({"event": "joined", "member": {"id": "b"}, "at": "text", "sequence": 0})),
        "{joined}"
    );
    until("joined", || sees(&b, "a", State::Alive));
    let mut client = b.client();
    assert_eq!(client.post("/api/v1/cluster/notes", r#"{"text": "hello, all"}"#).status, 202);
    assert_eq!(client.post("/api/v1/cluster/notes", r#"{"text": ""}"#).status, 400);
    let long = json!({"text": "x".repeat(5000)}).to_string();
    assert!(fits(&client.post("/api/v1/cluster/notes", &long).json(), &field("text")));
    let note = hear("\"note\"");
    assert!(fits(&note, &json!({"event": "note", "from": "b", "text": "hello, all"})), "{note}");
    assert_eq!(client.post("/api/v1/cluster/services", r#"{"name": "web", "port": 80}"#).status, 201);
    let registered = hear("\"registered\"");
    assert!(
        fits(&registered, &json!({"service": {"id": "web", "node": "b", "status": "passing"}})),
        "{registered}"
    );
    // Over REST it is the same, and waits.
    let events = a.client().get("/api/v1/cluster/events?from_sequence=0&wait=10s").json();
    assert_eq!(events["items"][0], joined);
    // A stranger's datagram.
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("there is a port");
    socket.send_to(b"nonsense of a stranger", cluster(&a).address()).expect("it is sent");
    until("refused", || cluster(&a).refusals().contains_key("foreign"));
    let page = a.client().get("/metrics").text();
    for line in [
        "badbatch_cluster_members{state=\"alive\"} 2",
        "badbatch_cluster_members{state=\"dead\"} 0",
        "badbatch_cluster_messages_refused_total{reason=\"foreign\"} 1",
        "badbatch_cluster_services{status=\"passing\"} 1",
        "badbatch_cluster_events_lost_total 0",
    ] {
        assert!(page.contains(line), "{line} is not in {page}");
    }
    assert!(page.contains("badbatch_cluster_awareness "), "{page}");
    assert!(!Running::start("").client().get("/metrics").text().contains("badbatch_cluster"));
}

fn encrypted(id: &str, seeds: &[&Running], key: &str, rest: &str) -> Running {
    let seeds: Vec<String> = seeds.iter().map(|other| format!("'{}'", cluster(other).address())).collect();
    let seeds = seeds.join(", ");
    let more =
        format!("node_id: {id}, seed_nodes: [{seeds}], enable_encryption: true, encryption_key: '{key}'");
    member(&more, rest)
}

fn key_ids(server: &Running) -> Vec<String> {
    let keys = server.client().get("/api/v1/cluster/keys").json();
    let items = keys["items"].as_array().expect("a list").iter();
    items.map(|key| key["id"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn keys_rotate_over_three_running_nodes_and_outlive_a_restart() {
    let folder = Folder::new();
    let rest = format!("server: {{data_dir: '{}'}}\n", folder.0.display());
    let a = encrypted("a", &[], KEY, "");
    let (b, c) = (encrypted("b", &[&a], KEY, ""), encrypted("c", &[&a], KEY, &rest));
    let nodes = [&a, &b, &c];
    let all_see = |nodes: &[&Running]| {
        nodes.iter().all(|node| {
            let members = cluster(node).members();
            members.iter().filter(|member| member.state == State::Alive).count() == nodes.len() - 1
        })
    };
    until("joined", || all_see(&nodes));
    let [old] = &*key_ids(&a) else { panic!("one key") };
    let each = |method: &str, path: &str, body: &str, status: u16| {
        let mut answers = Vec::new();
        for node in nodes {
            let path = format!("/api/v1/cluster/keys{path}");
            let json = [("Content-Type", "application/json")];
            let answer = node.client().ask(method, &path, &json, body.as_bytes());
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
            answers.push(answer);
        }
        answers.remove(0)
    };
    // What nodes say to each other while the keys change is taken by all: services need no time to be refused.
    let register = |node: &Running, name: &str| {
        let body = json!({"name": name, "port": 1}).to_string();
        assert_eq!(node.client().post("/api/v1/cluster/services", &body).status, 201);
    };
    each("POST", "", &json!({"key": "hidden"}).to_string(), 400);
    let added = each("POST", "", &json!({"key": OTHER_KEY}).to_string(), 201).json();
    let new = added["id"].as_str().expect("a fingerprint").to_owned();
    assert!(new != *old && added["primary"] == false, "{added}");
    assert_eq!(key_ids(&b), [old.clone(), new.clone()]);
    register(&a, "with-the-old-key");
    let problem = each("DELETE", &format!("/{old}"), "", 409).json();
    assert_eq!(problem["code"], "key_in_use");
    let used = each("POST", &format!("/{new}/use"), "", 200).json();
    assert!(
        fits(&used, &json!({"items": [{"id": new, "primary": true}, {"id": old, "primary": false}]})),
        "{used}"
    );
    register(&b, "with-the-new-key");
    each("DELETE", &format!("/{old}"), "", 204);
    assert_eq!(each("DELETE", &format!("/{old}"), "", 404).json()["code"], "key_not_found");
    register(&c, "with-the-new-key-only");
    until("spread", || nodes.iter().all(|node| cluster(node).services().len() == 3));
    assert!(all_see(&nodes));
    assert!(nodes.iter().all(|node| cluster(node).refusals().is_empty()), "{:?}", cluster(&a).refusals());
    // The setting still has the old key, and c kept the new one.
    assert!(c.stop());
    until("left", || sees(&a, "c", State::Left));
    let kept = folder.0.join("cluster-keys.json");
    assert!(fs::read_to_string(&kept).expect("it is there").contains(OTHER_KEY));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&kept).expect("it is there").permissions());
    assert_eq!(mode & 0o777, 0o600);
    let c = encrypted("c", &[&a], KEY, &rest);
    until("joined again", || all_see(&[&a, &b, &c]));
    assert_eq!(key_ids(&c), [new]);
    let shown = c.client().get("/api/v1/config").text() + &c.client().get("/api/v1/cluster").text();
    assert!(!shown.contains(KEY) && !shown.contains(OTHER_KEY), "{shown}");
}

#[test]
fn who_has_another_key_or_name_does_not_get_in_and_the_log_says_why() {
    let config = Folder::new();
    let file = config.0.join("c.yaml").display().to_string();
    let settings = format!(
        "cluster: {{enabled: true, bind_addr: '127.0.0.1:0', node_id: home, enable_encryption: true, \
         encryption_key: '{KEY}'}}\n"
    );
    fs::write(&file, settings).expect("it is written");
    let home = Process::start(&["--bind", "127.0.0.1:0", "--config", &file]);
    let state = home.client().get("/api/v1/cluster").json();
    let address = state["address"].as_str().expect("an address");
    let join = |stranger: &Running, code: &str| {
        let body = json!({"address": address}).to_string();
        let answer = stranger.client().post("/api/v1/cluster/join", &body);
        assert_eq!((answer.status, &answer.json()["code"]), (502, &json!(code)), "{}", answer.text());
    };
    let log_says = |what: &str| while !home.log_line().contains(what) {};
    join(&encrypted("wrong-key", &[], OTHER_KEY, ""), "join_failed");
    log_says("none of this node's keys opens it");
    join(&member("node_id: no-key", ""), "join_failed");
    log_says("it is not encrypted, and this node takes nothing in clear");
    let named = format!("node_id: other-name, name: other, enable_encryption: true, encryption_key: '{KEY}'");
    join(&member(&named, ""), "join_failed");
    log_says("it is from a cluster with another name");
    let state = home.client().get("/api/v1/cluster").json();
    let told = json!({"members": {"alive": 1, "suspect": 0, "dead": 0, "left": 0},
        "refusals": {"wrong_key": "number", "clear": "number", "other_cluster": "number"}});
    assert!(fits(&state, &told), "{state}");
}

#[test]
fn a_node_that_has_no_room_for_more_members_says_so() {
    let config = Folder::new();
    let file = config.0.join("c.yaml").display().to_string();
    fs::write(&file, format!("cluster: {{{FAST}, node_id: full, members_max: 1}}\n")).expect("it is written");
    let full = Process::start(&["--bind", "127.0.0.1:0", "--config", &file]);
    let told = full.client().get("/api/v1/cluster").json();
    let seeds = format!("seed_nodes: ['{}']", told["address"].as_str().expect("an address"));
    let others = ["a", "b"].map(|id| member(&format!("node_id: {id}, {seeds}"), ""));
    while !full.log_line().contains("too_many_members: this node takes up no more than 1") {}
    assert!(others.iter().all(|other| sees(other, "full", State::Alive)));
    let told = full.client().get("/api/v1/cluster").json();
    let refused = json!({"members": {"alive": 2}, "refusals": {"too_many_members": "number"}});
    assert!(fits(&told, &refused), "{told}");
    let page = full.client().get("/metrics").text();
    assert!(page.contains("messages_refused_total{reason=\"too_many_members\"}"), "{page}");
}

fn typed(server: &Running, arguments: &[&str]) -> (i32, String, String) {
    run(&endpoint(server), &[&["cluster"], arguments].concat(), "")
}

#[test]
fn the_commands_see_a_cluster_and_change_it() {
    let a = member("node_id: a", "");
    let (b, c) = (member("node_id: b", ""), joined(&a, "c"));
    until("joined", || sees(&a, "c", State::Alive));
    let check = |server: &Running, line: &str, status: i32, out: &str, errors: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let (code, told, said) = typed(server, &words);
        assert!(
            code == status && told.contains(out) && said.contains(errors),
            "{line}: {code}\n{told}{said}"
        );
        told
    };
    let address = cluster(&a).address().to_string();
    check(&b, &format!("join {address}"), 0, "", "3 members are alive");
    until("joined", || sees(&c, "b", State::Alive));
    check(&b, "join 127.0.0.1:1", 1, "", "127.0.0.1:1 cannot be reached");
    check(&b, "join nowhere", 2, "", "`nowhere` is not a host and a port");
    assert_eq!(check(&b, "nodes -o name", 0, "", ""), "b\na\nc\n");
    check(
        &b,
        "nodes --state alive&limit=1",
        2,
        "",
        "`alive&limit=1` is not one of alive, suspect, dead, left",
    );
    check(&a, "status", 0, "Alive      3", "");
    check(&a, "ping c", 0, "c     alive", "");
    check(&a, "ping d", 3, "", "there is no member `d`");
    assert_eq!(check(&a, "ping -o csv", 0, "", "").lines().count(), 3);
    check(
        &c,
        "service register web 80 --tag blue -m v=1 --ttl 1h",
        0,
        "",
        "web is offered by c, and critical",
    );
    check(&c, "service report web --status passing --load 2", 0, "", "web is passing");
    check(&c, "service report web --note why", 2, "", "status: is missing");
    check(&c, "service register web 80 --ttl 1h --tcp", 2, "", "a service has one check");
    check(&c, "service register web 80 --interval 1s", 2, "", "are for a check");
    check(&c, "service deregister web2", 3, "", "did you mean `web`?");
    until("spread", || cluster(&a).services().iter().any(|offer| offer.load == 2));
    check(&a, "services web --tag blue --healthy --choose random -o ndjson", 0, "\"node\":\"c\"", "");
    check(&a, "services --node a -o name", 0, "", "");
    check(&a, "service deregister web", 3, "", "no service `web` is registered on this node");
    check(&b, "note hello", 0, "", "on its way");
    let is_told = |what: &str| {
        let log = a.node.cluster_log().expect("it is in a cluster").from(0, 100, Duration::ZERO);
        log.iter().any(|happened| format!("{:?}", happened.event).contains(what))
    };
    until("told", || is_told("Note"));
    let (code, out, errors) = typed(&a, &["watch", "--from", "0", "--count", "3"]);
    assert!(
        code == 0 && out.lines().count() == 3 && out.contains("joined        c at 127."),
        "{out}{errors}"
    );
    let (_, out, _) = typed(&a, &["watch", "--from", "0", "--count", "2", "-o", "csv"]);
    assert!(out.starts_with("sequence,at,event,node,service\n0,") && out.lines().count() == 3, "{out}");
    check(&a, "key list -o name", 0, "", "");
    check(&a, "key use 0123456789abcdef", 3, "", "there is no key");
    check(&a, &format!("key add {KEY}"), 5, "", "this cluster is not encrypted");
    check(&a, "force-leave c", 2, "", "say so: --yes");
    check(&a, "force-leave c --yes", 5, "", "`c` is alive");
    check(&c, "leave --yes", 0, "", "c has left");
    until("left", || sees(&a, "c", State::Left));
    check(&c, "health", 8, "leaving", "the node is leaving");
    check(&c, "join 127.0.0.1:1", 5, "", "restart it to join again");
    check(&a, "nodes --state left -o name", 0, "c\n", "");
    check(&a, "health", 0, "2 of 2 members are alive", "");
    let (code, out, _) = run(&endpoint(&a), &["monitor", "cluster"], "");
    assert!(code == 0 && out.contains("c     left"), "{out}");
    let nobody = Running::start("");
    check(&nobody, "status", 5, "", "this node is in no cluster");
}

#[test]
fn a_dead_node_is_seen_in_the_watch_and_made_to_leave() {
    let a = member("node_id: a", "");
    let file = Folder::new();
    let seed = cluster(&a).address();
    let settings = format!("cluster: {{{FAST}, node_id: b, seed_nodes: ['{seed}']}}\n");
    let path = file.0.join("b.yaml").display().to_string();
    fs::write(&path, settings).expect("it is written");
    let mut b = Process::start(&["--bind", "127.0.0.1:0", "--config", &path]);
    until("joined", || sees(&a, "b", State::Alive));
    let all = ["monitor", "watch", "--type", "cluster", "-i", "100ms", "--endpoint", &endpoint(&a)];
    let mut terminal = Terminal::start((24, 100), &file.0, &[], &all);
    terminal.until("was whole", |screen| screen.contains("2 alive") && screen.contains(" b    alive"));
    assert!(terminal.is_alternate());
    b.child.kill().expect("it is there");
    terminal.until("saw it die", |screen| {
        screen.contains("1 dead")
            && screen.contains(" b    dead")
            && screen.contains("1 of 2 members are dead")
    });
    terminal.press("oo");
    terminal.shows("by time");
    let (code, out, errors) = typed(&a, &["force-leave", "b", "--yes"]);
    assert!(code == 0 && errors.contains("b counts as one that has left"), "{out}{errors}");
    terminal.until("saw it leave", |screen| screen.contains("1 left") && screen.contains("HEALTHY"));
    terminal.press("q");
    assert_eq!(terminal.end(), 0);
    let watch = ["monitor", "watch", "--type", "cluster", "-i", "100ms", "--once", "--until", "healthy"];
    let (code, out, errors) = run(&endpoint(&a), &watch, "");
    assert!(code == 0 && out.contains("healthy  a  1 alive  0 suspect  0 dead  1 left"), "{out}{errors}");
}

#[test]
fn keys_of_each_role_see_and_change_what_is_theirs() {
    let a = member("node_id: a", "auth: {enabled: true, api_keys: [admin]}\n");
    let key_for = |role: &str, scope: Option<&str>| {
        let body = json!({"name": role, "role": role, "scope": scope}).to_string();
        let headers = [("Authorization", "Bearer admin"), ("Content-Type", "application/json")];
        let made = a.client().ask("POST", "/api/v1/key", &headers, body.as_bytes()).json();
        format!("Bearer {}", made["key"].as_str().expect("a key"))
    };
    let (viewer, writer) = (key_for("viewer", None), key_for("writer", None));
    let scoped = key_for("admin", Some("main"));
    let ask = |key: &str, method: &str, path: &str, body: &str| {
        let headers = [("Authorization", key), ("Content-Type", "application/json")];
        let path = format!("/api/v1/cluster{path}");
        a.client().ask(method, &path, &headers, body.as_bytes()).status
    };
    let web = json!({"name": "web", "port": 80}).to_string();
    let (note, report) = (json!({"text": "hello"}).to_string(), json!({"load": 1}).to_string());
    assert_eq!(ask("Bearer admin", "POST", "/services", &web), 201);
    for (method, path, body, statuses) in [
        ("GET", "", "", [200, 200, 403]),
        ("GET", "/members/a", "", [200, 200, 403]),
        ("POST", "/members/a/ping", "", [200, 200, 403]),
        ("GET", "/events", "", [200, 200, 403]),
        ("GET", "/services", "", [200, 200, 403]),
        ("POST", "/services", &web, [403, 403, 403]),
        ("POST", "/services/web/report", &report, [403, 200, 403]),
        ("DELETE", "/services/web", "", [403, 403, 403]),
        ("POST", "/notes", &note, [403, 202, 403]),
        ("GET", "/keys", "", [403, 403, 403]),
        ("POST", "/join", "{}", [403, 403, 403]),
        ("POST", "/members/a/force-leave", "", [403, 403, 403]),
        ("POST", "/leave", "", [403, 403, 403]),
    ] {
        let told = [&viewer, &writer, &scoped].map(|key| ask(key, method, path, body));
        assert_eq!(told, statuses, "{method} {path}");
    }
    // Without a key, health tells no more than a word.
    let health = a.client().get("/health").json();
    assert_eq!(health["cluster"], json!({"status": "healthy"}));
}

#[test]
fn who_waits_for_events_does_not_hold_up_the_end() {
    let a = member("node_id: a", "");
    let mut client = a.client();
    client.ask_for("GET", "/api/v1/cluster/events?from_sequence=7&wait=60s", &[]);
    // It waits by the time that another request was answered after it.
    let page = || a.client().get("/metrics").text();
    until("waiting", || page().contains("badbatch_http_streams 1"));
    assert!(a.stop());
    let answer = client.answer(false);
    assert!(fits(&answer.json(), &json!({"items": []})), "{}", answer.text());
}
