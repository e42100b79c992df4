//! What settings are, said in every place and wrongly.

use super::keys::{PRODUCERS, WAITS};
use super::{Origin, PRODUCER_TYPES, Settings, WAIT_STRATEGIES};
use crate::engine::word;
use serde_json::json;
use std::time::Duration;

fn gather(file: &str) -> Result<Settings, Vec<String>> {
    let told = |errors: Vec<super::SettingError>| errors.iter().map(ToString::to_string).collect();
    Settings::gather(Some(file), |_| None, &[]).map_err(told)
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = "server:\n  bind_addr: 127.0.0.1:1\n  data_dir: file\nlogging: {level: warn}\n";
    let environment = |name: &str| match name {
        "BADBATCH_BIND" => Some("127.0.0.1:2".to_owned()),
        "BADBATCH_DATA_DIR" => Some("environment".to_owned()),
        _ => None,
    };
    let flags = [("server.bind_addr", "--bind", "127.0.0.1:3".to_owned())];
    let settings = Settings::gather(Some(file), environment, &flags).expect("well formed");
    assert_eq!(settings.bind_addr().port(), 3);
    assert_eq!(settings.text("server.data_dir"), Some("environment"));
    assert_eq!(settings.text("logging.level"), Some("warn"));
    let origins = ["server.bind_addr", "server.data_dir", "logging.level", "auth.enabled"];
    let origins = origins.map(|path| settings.values[path].origin.to_string());
    assert_eq!(origins, ["flag, --bind", "environment, BADBATCH_DATA_DIR", "file, line 4", "default"]);
}

#[test]
fn a_mistake_is_told_with_its_line_and_its_mend() {
    let check = |file: &str, message: &str| assert_eq!(gather(file).expect_err(file), [message], "{file}");
    check(
        "server:\n  bind_adr: x\n",
        "line 2: `server.bind_adr` is not a known key; did you mean `bind_addr`?",
    );
    check("\nsever: {}\n", "line 2: `sever` is not a known section; did you mean `server`?");
    check(
        "server:\n  bind_addr: here\n",
        "line 2: server.bind_addr: \"here\" is not an address such as 127.0.0.1:8080",
    );
    check("server: [1]", "line 1: `server` is not a map of keys");
    check("- 1", "line 1: the file is not a map of sections");
    check(
        "disruptors:\n  - name: a\n    buffer_size: 1000\n",
        "line 2: buffer_size: 1000 is not a power of two; nearest are 512 and 1024",
    );
    check("disruptors:\n- name: a\n- name: a\n", "line 3: two disruptors are called `a`");
    check("auth: {api_keys: 5}", "line 1: auth.api_keys: the value is not a list of texts");
    check(
        "logging: {level: inf}",
        "line 1: logging.level: \"inf\" is not one of off, error, warn, info, debug, trace; did you mean `info`?",
    );
    assert!(gather("a: [").expect_err("broken")[0].starts_with("file: "));
}

#[test]
fn old_names_are_understood_and_the_new_ones_win() {
    let settings = gather("disruptor:\n  default_buffer_size: 64\n").expect("well formed");
    assert_eq!(settings.defaults().buffer_size, 64);
    assert_eq!(
        settings.notices,
        ["line 2: `disruptor.default_buffer_size` is understood as `defaults.buffer_size`"]
    );
    let (new, old) = ("cluster: {seed_nodes: ['a:1']}\n", "server: {seed_nodes: ['b:1']}\n");
    for both in [format!("{new}{old}"), format!("{old}{new}")] {
        let settings = gather(&both).expect("well formed");
        assert_eq!(settings.texts("cluster.seed_nodes"), ["a:1"]);
        assert_eq!(settings.notices.len(), 1);
        assert!(settings.notices[0].contains("`cluster.seed_nodes` is used, and not `server.seed_nodes`"));
    }
    let settings =
        gather("server: {cluster_mode: true}\ncluster: {probe_interval_secs: 2}").expect("well formed");
    assert!(settings.is_on("cluster.enabled"));
    assert_eq!(settings.number("cluster.probe_interval_ms"), 2000);
    let origins = ["cluster.enabled", "cluster.probe_interval_ms"];
    let origins = origins.map(|path| settings.values[path].origin.to_string());
    assert_eq!(origins, ["file, line 1, server.cluster_mode", "file, line 2, cluster.probe_interval_secs"]);
}

#[test]
fn what_a_cluster_is_told_fits_together() {
    let check = |file: &str, message: &str| {
        assert_eq!(gather(&format!("cluster: {{{file}}}")).expect_err(file), [message], "{file}");
    };
    check(
        "probe_timeout_ms: 1000",
        "line 1: cluster.probe_timeout_ms: a probe's time-out of 1000 ms is not below the interval of 1000 ms; set probe_timeout_ms below probe_interval_ms",
    );
    check(
        "probe_interval_ms: 400",
        "line 1: cluster.probe_interval_ms: a probe's time-out of 500 ms is not below the interval of 400 ms; set probe_timeout_ms below probe_interval_ms",
    );
    check(
        "packet_bytes_max: 100",
        "line 1: cluster.packet_bytes_max: 100 is not a whole number from 512 to 65507",
    );
    check(
        "enable_encryption: true",
        "line 1: cluster.enable_encryption: there is no cluster.encryption_key; `badbatch cluster keygen` makes one",
    );
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    check(
        &format!("encryption_key: {key}"),
        "line 1: cluster.encryption_key: there is a key, and cluster.enable_encryption is false; set it to true, or leave the key out",
    );
    check(
        "enable_encryption: true, encryption_key: hidden",
        "line 1: cluster.encryption_key: the value is not 32 bytes in base64; `badbatch cluster keygen` makes one",
    );
    check(
        "seed_nodes: [a]",
        "line 1: cluster.seed_nodes: \"a\" is not a host and a port such as node-1.example.org:7946",
    );
    check(
        "node_id: 'a b'",
        "line 1: cluster.node_id: \"a b\" is not a name of 1 to 64 letters, digits, `.`, `_` and `-`",
    );
    check(
        "advertise_addr: '0.0.0.0:7946'",
        "line 1: cluster.advertise_addr: 0.0.0.0:7946 is no address that others can reach; give an address and a port of this machine",
    );
    check(
        &format!("metadata: {{a: {}}}", "x".repeat(500)),
        "line 1: cluster.metadata: 503 bytes, counting 2 more for each pair; at most 448 go with each node",
    );
    let flags = [("cluster.seed_nodes", "--seed", "a:1".to_owned())];
    let errors = Settings::gather(None, |_| None, &flags).expect_err("alone");
    assert_eq!(
        errors[0].to_string(),
        "--seed: cluster.seed_nodes: this node is in no cluster; add --cluster"
    );
    let settings = gather(&format!("cluster: {{enable_encryption: true, encryption_key: {key}}}"));
    let settings = settings.expect("both");
    assert_eq!(settings.secret("cluster.encryption_key").map(|key| key[31]), Some(31));
    assert!(!settings.to_public_json().to_string().contains(key));
}

#[test]
fn defaults_reach_definitions() {
    let file = "disruptors: [{name: a}]\ndefaults: {buffer_size: 64, producer_type: multi, wait_strategy: busy_spin}";
    let settings = gather(file).expect("well formed");
    let definition = settings.definitions()[0].to_json();
    assert_eq!(definition["buffer_size"], 64);
    assert_eq!(
        (&definition["producer_type"], &definition["wait_strategy"]),
        (&json!("multi"), &json!("busy-spin"))
    );
    assert_eq!(PRODUCER_TYPES.map(|(_, kind)| word(&PRODUCER_TYPES, kind)), *PRODUCERS);
    assert_eq!(WAIT_STRATEGIES.map(|(_, wait)| word(&WAIT_STRATEGIES, wait)), *WAITS);
}

#[test]
fn a_running_node_takes_what_is_live_and_nothing_by_halves() {
    let mut settings = Settings::default();
    settings.change(&json!({"server": {"drain_timeout": "3s"}}), &Origin::Api).expect("it is live");
    assert_eq!(settings.drain_timeout(), Duration::from_secs(3));
    let both = json!({"server": {"drain_timeout": "4s", "bind_addr": "127.0.0.1:1"}});
    let errors = settings.change(&both, &Origin::Api).expect_err("one needs a restart");
    assert_eq!((errors.len(), errors[0].message.as_str()), (1, "needs a restart"));
    assert_eq!(settings.drain_timeout(), Duration::from_secs(3));
    assert!(settings.change(&json!({"server": {"drain_timeot": 1}}), &Origin::Api).is_err());
}

#[test]
fn secrets_are_not_shown() {
    let settings = gather("auth: {api_keys: [hidden]}\nclient: {headers: {a: hidden}}").expect("well formed");
    let shown = settings.to_public_json().to_string();
    assert!(!shown.contains("hidden") && shown.contains("(not shown)"), "{shown}");
    let error = gather("cluster: {encryption_key: [hidden]}").expect_err("not a text");
    assert!(!error[0].contains("hidden"), "{error:?}");
}
