//! Why tiny_http's own acceptor does not face a network: see docs/adr/0001-http-front.md.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

/// Set in the process that is to die.
const VICTIM: &str = "BADBATCH_TEST_VICTIM";

/// Does nothing but in the process that the next test starts: there it serves with tiny_http until that kills it.
#[test]
fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let server = tiny_http::Server::http("127.0.0.1:0").expect("it starts");
    println!("\nlistens at {}", server.server_addr());
    for request in server.incoming_requests() {
        let _responded = request.respond(tiny_http::Response::from_string("too large").with_status_code(413));
    }
}

#[test]
fn one_request_with_a_large_length_ends_the_process() {
    let program = std::env::current_exe().expect("this program has a path");
    let mut victim = Command::new(program)
        .args(["--exact", "tiny_http_alone::victim", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let out = BufReader::new(victim.stdout.take().expect("its output is piped"));
    let mut lines = out.lines().map_while(Result::ok);
    let address =
        lines.find_map(|line| line.strip_prefix("listens at ").map(str::to_owned)).expect("it listens");
    let mut client = TcpStream::connect(address).expect("it accepts");
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 70000000000000\r\n\r\n")
        .expect("it reads");
    // It would serve for ever.
    let status = victim.wait().expect("it ends");
    assert!(!status.success(), "{status}");
}
