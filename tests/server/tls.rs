//! The same server over HTTPS, asked by curl.

use std::process::{Command, Output};

use crate::support::Running;

const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/tls/certificate.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/tls/key.pem");

fn curl(server: &Running, arguments: &[&str], path: &str) -> Output {
    let url = format!("https://localhost:{}{path}", server.address.port());
    let curl = Command::new("curl")
        .args(["-sS", "--max-time", "20", "--cacert", CERTIFICATE])
        .args(arguments)
        .arg(url)
        .output();
    curl.expect("there is curl")
}

#[test]
fn requests_bodies_and_streams_go_through_tls() {
    let settings = format!(
        "server: {{tls_certificate: '{CERTIFICATE}', tls_key: '{KEY}'}}\ndisruptors: [{{name: d, buffer_size: 65536}}]"
    );
    let server = Running::start(&settings);
    let events = "/api/v1/disruptor/d/events";
    let text = |output: &Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout.clone()).expect("it is text")
    };
    let one = curl(&server, &["-H", "content-type: text/plain", "-d", "one"], events);
    assert!(text(&one).contains("\"sequence\":0"));
    let lines: String = (0..50_000).map(|number| format!("line {number}\n")).collect();
    let folder = crate::support::Folder::new();
    let file = folder.0.join("lines");
    std::fs::write(&file, &lines).expect("it is written");
    let data = format!("@{}", file.display());
    let bulk =
        curl(&server, &["-H", "content-type: text/plain", "--data-binary", &data], &format!("{events}/bulk"));
    assert!(text(&bulk).contains("\"published_count\":50000"), "{bulk:?}");
    let back = curl(&server, &[], &format!("{events}/stream?follow=false&format=text&from_sequence=1"));
    assert!(text(&back) == lines);
    let large = curl(&server, &[], &format!("{events}?limit=1000"));
    assert!(text(&large).len() > 100_000);
    // Plain HTTP is not answered, and holds nobody up.
    let plain = Command::new("curl")
        .args(["-sS", "--max-time", "20", &format!("http://{}/health", server.address)])
        .output();
    assert!(!plain.expect("there is curl").status.success());
    assert!(text(&curl(&server, &[], "/health/live")).contains("alive"));
}

#[test]
fn a_certificate_that_is_none_is_told() {
    let start = |certificate: &str, key: &str| {
        let settings = format!("server: {{tls_certificate: '{certificate}', tls_key: '{key}'}}");
        let settings =
            badbatch::node::Settings::gather(Some(&settings), |_| None, &[]).expect("the settings are right");
        let node = badbatch::node::Node::start(settings, || {}).expect("the node starts");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let error = badbatch::http::Server::start(std::sync::Arc::clone(&node), listener)
            .err()
            .expect("refused")
            .to_string();
        node.stop();
        error
    };
    assert!(start("/nothing", KEY).contains("/nothing"));
    assert!(start(CERTIFICATE, CERTIFICATE).contains(CERTIFICATE));
}
