//! `badbatch doctor` with servers that are well, absent, silent and not ours, and what it writes down.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use badbatch::base::deadline::Deadline;
use badbatch::cluster::swim::{NodeId, State};
use badbatch::cluster::{Cluster, ClusterConfig, Keyring};
use serde_json::Value;

use crate::cli::endpoint;
use crate::support::{Folder, PATIENCE, PROGRAM, Running};

const OURS: [&str; 8] = ["API_KEYS", "BIND", "CONFIG", "DATA_DIR", "ENDPOINT", "OUTPUT", "TIMEOUT", "TOKEN"];

/// Runs it in a folder, with these variables and no others of ours.
fn doctor(folder: &Folder, variables: &[(&str, &str)], arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(PROGRAM);
    for name in OURS {
        command.env_remove(format!("BADBATCH_{name}"));
    }
    // Wherever a server is on this machine, the tests' port is free.
    let output = command
        .env("BADBATCH_BIND", "127.0.0.1:0")
        .envs(variables.iter().copied())
        .arg("doctor")
        .args(arguments)
        .current_dir(&folder.0)
        .output()
        .expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    (output.status.code().expect("no signal ended it"), text(output.stdout), text(output.stderr))
}

fn json(out: &str) -> Value {
    serde_json::from_str(out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

/// The check of that name.
fn check<'r>(result: &'r Value, name: &str) -> &'r Value {
    let mut checks = result["checks"].as_array().into_iter().flatten();
    checks.find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name} is not in {result}"))
}

/// What is said about one thing, and the status of the program.
fn verdict(name: &str, variables: &[(&str, &str)], arguments: &[&str]) -> (String, String, i32) {
    let (code, out, errors) = doctor(&Folder::new(), variables, &[&["-o", "json"], arguments].concat());
    let result = json(&out);
    let text = |member: &str| check(&result, name)[member].as_str().unwrap_or_default().to_owned();
    (text("status"), format!("{}; {}{errors}", text("found"), text("advice")), code)
}

/// An address where somebody takes connections and treats each like this.
fn somebody(treat: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    // It ends with the test's process.
    thread::spawn(move || listener.incoming().flatten().for_each(treat));
    address
}

/// Connections that are kept, and never answered.
fn silent() -> String {
    let kept = parking_lot::Mutex::new(Vec::new());
    somebody(move |stream| kept.lock().push(stream))
}

#[test]
fn every_form_tells_every_check() {
    let server = Running::start("");
    let folder = Folder::new();
    let at = endpoint(&server);
    let run = |format: &str| doctor(&folder, &[("BADBATCH_ENDPOINT", &at)], &["-o", format]);
    let (code, out, errors) = run("json");
    let result = json(&out);
    assert!(code == 0, "{out}{errors}");
    let checks = result["checks"].as_array().expect("there are checks");
    let names: Vec<_> = checks.iter().filter_map(|check| check["name"].as_str()).collect();
    let all = [
        "cpus",
        "governor",
        "numa",
        "memory",
        "swap",
        "huge_pages",
        "clock",
        "open_files",
        "build",
        "config",
        "port",
        "disk",
        "server",
        "version",
        "cluster",
    ];
    assert_eq!(names, all);
    for check in checks {
        let status = check["status"].as_str().expect("a text");
        assert!(["ok", "note", "warning"].contains(&status), "{check}");
        assert!(status == "ok" || check["advice"].is_string(), "{check}");
    }
    for name in ["config", "port", "disk", "server", "version", "cluster"] {
        assert_eq!(check(&result, name)["status"], "ok", "{result}");
    }
    assert!(check(&result, "disk")["found"].as_str().is_some_and(|found| found.starts_with("fsync p50")));
    // Nothing is left behind.
    assert_eq!(fs::read_dir(&folder.0).expect("it is there").count(), 0);
    let rows = [
        ("table", "ok    port"),
        ("yaml", "name: cpus"),
        ("csv", "check,status,found,advice\ncpus,"),
        ("name", "cpus\ngovernor\n"),
    ];
    for (format, said) in rows {
        let (code, out, _) = run(format);
        assert!(code == 0 && out.contains(said), "{format}: {out}");
    }
    assert_eq!(run("ndjson").1.lines().map(|line| json(line)["name"].clone()).collect::<Vec<_>>(), all);
    let table = run("table").1;
    let (lines, advice) = table.split_once("\n\n").expect("advice comes below");
    assert_eq!(lines.lines().count(), all.len());
    // What tests are built of.
    assert!(lines.contains("warn  build") && advice.contains("cargo build --release"), "{table}");
}

#[test]
fn a_server_is_told_from_nobody_from_silence_and_from_strangers() {
    let closed =
        TcpListener::bind("127.0.0.1:0").expect("there is a port").local_addr().expect("it is bound");
    let server = |at: &str| verdict("server", &[("BADBATCH_ENDPOINT", &format!("http://{at}"))], &[]);
    let (status, said, code) = server(&closed.to_string());
    assert!(status == "note" && code == 0 && said.contains("start one: badbatch server"), "{said}");
    let (status, said, code) = server(&silent());
    assert!(status == "failed" && code == 8 && said.contains("does not answer"), "{said}");
    let garbage = |bytes: &'static [u8]| {
        somebody(move |mut stream| {
            let _asked = stream.read(&mut [0; 1024]);
            let _said = stream.write_all(bytes);
        })
    };
    for bytes in [
        b"".as_slice(),
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    ] {
        let (status, said, code) = server(&garbage(bytes));
        assert!(
            status == "failed" && code == 8 && said.contains("is no badbatch server"),
            "{bytes:?}: {said}"
        );
    }
    let old = br#"HTTP/1.1 200 OK
Connection: close

{"status": "healthy", "version": "0.0.1\u001b[31m", "uptime_seconds": 5, "active_disruptors": 1}"#;
    let at = format!("http://{}", garbage(old));
    let (status, said, code) = verdict("version", &[("BADBATCH_ENDPOINT", &at)], &[]);
    assert!(status == "warning" && code == 0 && said.contains("the server 0.0.1"), "{said}");
    let (_, table, _) = doctor(&Folder::new(), &[("BADBATCH_ENDPOINT", &at)], &[]);
    assert!(table.contains("warn  version") && !table.contains('\u{1b}'), "{table}");
    // Failed for good.
    let unwell = Running::start(
        "disruptors: [{name: failed, sinks: [{kind: webhook, url: 'http://127.0.0.1:9/', attempts: 1}]}]\nserver: {drain_timeout: 0s}",
    );
    let mut client = unwell.client();
    assert!(
        (0..100_000).any(|_| client.post("/api/v1/disruptor/failed/events", "1").status == 409),
        "it fails"
    );
    let (status, said, code) = server(&unwell.address.to_string());
    assert!(status == "failed" && code == 8 && said.contains("`webhook`"), "{said}");
}

#[test]
fn a_port_is_free_or_ours_or_somebody_else_s() {
    let port = |bind: &str| verdict("port", &[("BADBATCH_BIND", bind)], &[]);
    let server = Running::start("");
    let (status, said, code) = port(&server.address.to_string());
    assert!(status == "ok" && code == 0 && said.contains("is taken by badbatch 0."), "{said}");
    for taken in [silent(), somebody(drop)] {
        let (status, said, code) = port(&taken);
        assert!(status == "warning" && code == 0, "{said}");
        assert!(
            said.contains("is taken by another program; take another one: badbatch server --bind"),
            "{said}"
        );
    }
    assert_eq!(port("127.0.0.1:0").0, "ok");
    let (status, said, code) = port("here");
    assert!(status == "failed" && code == 8 && said.contains("`here` is not an address"), "{said}");
    let (status, said, _) = port("192.0.2.1:8080");
    assert!(status == "warning" && said.contains("192.0.2.1:8080: "), "{said}");
}

#[test]
fn a_configuration_is_checked_and_says_where_to_look() {
    let folder = Folder::new();
    let path = folder.0.join("c.yaml").display().to_string();
    let config = |text: &str| {
        fs::write(&path, text).expect("it is written");
        verdict("config", &[("BADBATCH_CONFIG", &path)], &[])
    };
    let (status, said, _) = config("disruptors: [{name: a}]\n");
    assert!(status == "ok" && said.contains("c.yaml: 1 disruptors"), "{said}");
    let (status, said, _) = config("disruptor: {default_buffer_size: 64}\n");
    assert!(status == "note" && said.contains("is understood as `defaults.buffer_size`"), "{said}");
    let (status, said, code) = config("server: {bind_adr: x}\nlogging: {level: inf}\n");
    assert!(status == "failed" && code == 8, "{said}");
    for part in ["line 1: `server.bind_adr`", "line 2: logging.level", "badbatch config validate"] {
        assert!(said.contains(part), "{said}");
    }
    let (status, said, code) = verdict("config", &[("BADBATCH_CONFIG", &path)], &["--config", "/nothing"]);
    assert!(status == "failed" && code == 8 && said.contains("/nothing: No such file"), "{said}");
    // It says where the server would live.
    let data = folder.0.join("data/below");
    fs::write(&path, format!("server: {{data_dir: '{}'}}\n", data.display())).expect("it is written");
    let (status, said, _) = verdict("disk", &[("BADBATCH_CONFIG", &path)], &[]);
    assert!(
        status != "failed" && said.contains(&folder.0.canonicalize().expect("there").display().to_string()),
        "{said}"
    );
    assert!(!data.exists(), "nothing is made");
    let (status, said, code) = verdict("disk", &[("BADBATCH_DATA_DIR", "/proc")], &[]);
    assert!(status == "failed" && code == 8 && said.contains("--data-dir"), "{said}");
}

#[test]
fn a_cluster_is_looked_at_with_its_members_and_its_keys() {
    let cluster = |server: &Running, variables: &[(&str, &str)]| {
        verdict("cluster", &[&[("BADBATCH_ENDPOINT", &*endpoint(server))], variables].concat(), &[])
    };
    let (status, said, code) = cluster(&Running::start(""), &[]);
    assert!(status == "ok" && code == 0 && said.contains("in none"), "{said}");
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let a = Running::start(&format!(
        "cluster: {{enabled: true, bind_addr: '127.0.0.1:0', node_id: a, probe_interval_ms: 200, probe_timeout_ms: 100, \
         gossip_interval_ms: 50, enable_encryption: true, encryption_key: '{key}'}}\n\
         auth: {{enabled: true, api_keys: [admin]}}\n"
    ));
    let admin = [("BADBATCH_TOKEN", "admin")];
    let (status, said, code) = cluster(&a, &admin);
    assert!(status == "ok" && code == 0 && said.contains("1 alive, 0 suspect, 0 dead; encrypted;"), "{said}");
    // Who has no key hears one word of it.
    let (status, said, code) = cluster(&a, &[]);
    assert!(status == "note" && code == 0 && said.contains("healthy, and no more is told"), "{said}");
    let node = a.node.cluster().expect("it is in a cluster");
    node.change_keys(|ring| ring.add([7; 32])).expect("there is room");
    let (status, said, code) = cluster(&a, &admin);
    assert!(status == "note" && code == 0 && said.contains("2 keys"), "{said}");
    // One that joins, and goes without a word.
    let mut config = ClusterConfig::new(NodeId::new("b").expect("a name"));
    (config.seeds, config.keyring) = (vec![node.address()], Keyring::new([[7; 32]]));
    let b = Cluster::start(config).expect("it starts");
    let is_seen_as = |state: State| node.members().iter().any(|member| member.state == state);
    let deadline = Deadline::after(PATIENCE);
    let until = |state: State| {
        while !is_seen_as(state) {
            assert!(!deadline.has_passed(), "b was never {state:?}");
            thread::yield_now();
        }
    };
    until(State::Alive);
    drop(b);
    until(State::Dead);
    let (status, said, code) = cluster(&a, &admin);
    assert!(status == "failed" && code == 8 && said.contains("1 of 2 members are dead"), "{said}");
    let (status, said, _) =
        verdict("server", &[("BADBATCH_ENDPOINT", &*endpoint(&a)), ("BADBATCH_TOKEN", "admin")], &[]);
    assert!(status == "warning" && said.contains("the cluster is unhealthy"), "{said}");
}

#[test]
fn strict_takes_warnings_for_failures() {
    // What tests are built of is a warning already.
    let (code, _, errors) = doctor(&Folder::new(), &[], &["--strict"]);
    assert!(code == 8 && errors.contains("not well: ") && errors.contains("build"), "{errors}");
    assert_eq!(doctor(&Folder::new(), &[], &["-q"]).0, 0);
    assert_eq!(doctor(&Folder::new(), &[], &["--strikt"]).0, 2);
}

#[test]
fn a_bundle_has_everything_but_secrets() {
    let secrets = [
        "key-of-the-operator",
        "key-of-the-file",
        "key-of-the-header",
        "a2V5IG9mIHRoZSBjbHVzdGVyLCAzMiBieXRlcyBsb24=",
    ];
    let [operator, file, header, cluster] = secrets;
    let server = Running::start(&format!(
        "auth: {{enabled: true, api_keys: [{operator}]}}\ncluster: {{enable_encryption: true, encryption_key: {cluster}}}\nserver: {{drain_timeout: 0s}}\n\
         client: {{headers: {{x-key: {header}}}}}\n\
         disruptors: [{{name: hook, sinks: [{{kind: webhook, url: 'http://127.0.0.1:9/', headers: {{x-key: {header}}}}}]}}]\n"
    ));
    let folder = Folder::new();
    let config = folder.0.join("c.yaml").display().to_string();
    fs::write(&config, format!("auth: {{api_keys: {file}}}\n")).expect("it is written");
    let path = folder.0.join("bundle.json");
    let at = endpoint(&server);
    let variables = [
        ("BADBATCH_ENDPOINT", at.as_str()),
        ("BADBATCH_TOKEN", operator),
        ("BADBATCH_API_KEYS", file),
        ("BADBATCH_CONFIG", &config),
    ];
    let (code, out, errors) = doctor(&folder, &variables, &["--bundle", "bundle.json"]);
    // The file is wrong, and the bundle is there all the same.
    assert!(
        code == 8 && out.contains("FAIL  config") && errors.contains("written to bundle.json"),
        "{out}{errors}"
    );
    let bundle = fs::read_to_string(&path).expect("it was written");
    for text in [&bundle, &out, &errors] {
        assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
    }
    let told = json(&bundle);
    for part in [
        "/created_at",
        "/version",
        "/doctor/checks/0/found",
        "/machine/topology",
        "/machine/tree",
        "/client/settings/1/value",
        "/server/health/status",
        "/server/version/build_info",
        "/server/process/pid",
        "/server/config/settings/0",
        "/server/metrics/disruptors/0",
        "/server/disruptors/items/0",
        "/server/cluster/error",
    ] {
        assert!(told.pointer(part).is_some_and(|value| !value.is_null()), "{part}: {bundle}");
    }
    assert!(told["server"]["prometheus"].as_str().is_some_and(|text| text.contains("badbatch_build_info")));
    assert_eq!(told["client"]["environment"]["BADBATCH_TOKEN"], "(not shown)");
    // What is there stays there.
    let (code, out, errors) = doctor(&folder, &variables, &["--bundle", "bundle.json"]);
    assert!(code == 1 && out.is_empty() && errors.contains("bundle.json is there already"), "{out}{errors}");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), bundle);
    let (code, _, errors) = doctor(&folder, &variables, &["--bundle", "/nothing/bundle.json"]);
    assert!(code == 1 && errors.contains("/nothing/bundle.json"), "{errors}");
    // Without a key, and without a server.
    let (_, out, _) = doctor(&folder, &[("BADBATCH_ENDPOINT", &at)], &["--bundle", "-"]);
    let told = json(&out);
    assert!(told["server"]["health"].is_object() && told["server"]["config"]["error"].is_string(), "{out}");
    let silent = format!("http://{}", silent());
    let (code, out, _) = doctor(&folder, &[("BADBATCH_ENDPOINT", &silent)], &["--bundle=-"]);
    assert!(code == 8 && json(&out)["server"].is_null(), "{out}");
}
