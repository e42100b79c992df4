//! Who may do what, and from where.

use serde_json::json;

use crate::support::{Client, Folder, Running};

const EVENTS: &str = "/api/v1/disruptor/orders-eu/events";
const KEYS: &str = "auth: {enabled: true, api_keys: [first-key-of-all]}
disruptors: [{name: orders-eu}, {name: billing}]";

fn status(client: &mut Client, method: &str, path: &str, key: &str, body: &str) -> u16 {
    let headers = [("Content-Type", "application/json"), ("X-API-Key", key)];
    client.ask(method, path, &headers, body.as_bytes()).status
}

fn new_key(client: &mut Client, key: &str) -> String {
    let headers = [("Content-Type", "application/json"), ("X-API-Key", "first-key-of-all")];
    let answer = client.ask("POST", "/api/v1/key", &headers, key.as_bytes());
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["key"].as_str().expect("a text").to_owned()
}

#[test]
fn a_key_is_taken_in_every_form_and_needed_almost_everywhere() {
    let server = Running::start(KEYS);
    let mut client = server.client();
    for path in ["/health/live", "/health/ready", "/health", "/openapi.json", "/api/v1/version", "/"] {
        assert_eq!(client.get(path).status, 200, "{path}");
    }
    assert_eq!(client.get("/health").json()["components"], json!([]));
    for path in ["/metrics", "/api/v1/disruptor", "/api/v1/key", "/api/v1/config", EVENTS, "/api/v1/stream"] {
        let answer = client.get(path);
        assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("unauthorized")), "{path}");
        assert!(answer.header("www-authenticate").contains("Bearer"));
    }
    // "key:first-key-of-all" and "first-key-of-all:"
    let forms = [
        ("X-API-Key", "first-key-of-all"),
        ("Authorization", "Bearer first-key-of-all"),
        ("Authorization", "bearer first-key-of-all"),
        ("Authorization", "Basic a2V5OmZpcnN0LWtleS1vZi1hbGw="),
        ("Authorization", "Basic Zmlyc3Qta2V5LW9mLWFsbDo="),
    ];
    for form in forms {
        assert_eq!(client.ask("GET", "/api/v1/disruptor", &[form], b"").status, 200, "{form:?}");
    }
    for wrong in
        [("X-API-Key", "first-key-of-al"), ("Authorization", "Basic ???"), ("Authorization", "Bearer")]
    {
        assert_eq!(client.ask("GET", "/api/v1/disruptor", &[wrong], b"").status, 401, "{wrong:?}");
    }
}

#[test]
fn roles_and_scopes_hold() {
    let server = Running::start(KEYS);
    let mut client = server.client();
    let viewer = new_key(&mut client, r#"{"name": "v", "role": "viewer"}"#);
    let writer = new_key(&mut client, r#"{"name": "w", "role": "writer"}"#);
    let scoped = new_key(&mut client, r#"{"name": "s", "role": "admin", "scope": "orders-"}"#);
    let all = "first-key-of-all";
    let create = r#"{"name": "new"}"#;
    let rows = [
        ("GET", EVENTS, "", &viewer, 200),
        ("POST", EVENTS, "1", &viewer, 403),
        ("POST", EVENTS, "1", &writer, 201),
        ("POST", "/api/v1/disruptor", create, &writer, 403),
        ("GET", "/api/v1/key", "", &writer, 403),
        ("GET", "/api/v1/config", "", &viewer, 403),
        ("POST", EVENTS, "1", &scoped, 201),
        ("POST", "/api/v1/disruptor/billing/events", "1", &scoped, 403),
        ("GET", "/api/v1/disruptor/nothing", "", &scoped, 403),
        ("POST", "/api/v1/disruptor", create, &scoped, 403),
        ("POST", "/api/v1/disruptor", r#"{"name": "orders-us"}"#, &scoped, 201),
        ("POST", "/api/v1/key", r#"{"name": "x", "role": "admin"}"#, &scoped, 403),
        ("GET", "/metrics", "", &scoped, 403),
        ("GET", "/api/v1/stream?topics=metrics", "", &scoped, 403),
        ("GET", "/api/v1/stream?topics=events:billing", "", &scoped, 403),
        ("POST", "/api/v1/server/shutdown", "", &scoped, 403),
        ("GET", "/api/v1/server", "", &scoped, 403),
        ("GET", "/api/v1/server", "", &writer, 200),
        ("POST", "/api/v1/server/reload", "", &writer, 403),
        ("POST", "/api/v1/disruptor/orders-eu/reset", "", &writer, 403),
        ("POST", "/api/v1/disruptor/orders-eu/reset", "", &scoped, 200),
        ("POST", "/api/v1/disruptor/billing/reset", "", &scoped, 403),
    ];
    for (method, path, body, key, expected) in rows {
        assert_eq!(status(&mut client, method, path, key, body), expected, "{method} {path} {body}");
    }
    let list = client.ask("GET", "/api/v1/disruptor", &[("X-API-Key", &scoped)], b"").json();
    assert_eq!(list["total"], 2);
    let both = client.ask(
        "POST",
        "/api/v1/batch/events",
        &[("X-API-Key", &scoped)],
        br#"{"orders-eu": [1], "billing": [1]}"#,
    );
    assert_eq!((both.status, &both.json()["billing"]["problem"]["code"]), (207, &json!("forbidden")));
    let keys = client.ask("GET", "/api/v1/key", &[("X-API-Key", all)], b"").json();
    let id = keys["items"][1]["id"].as_str().expect("a text");
    assert_eq!(status(&mut client, "DELETE", &format!("/api/v1/key/{id}"), all, ""), 204);
    assert_eq!(status(&mut client, "GET", EVENTS, &viewer, ""), 401);
}

#[test]
fn no_secret_is_told() {
    let folder = Folder::new();
    let settings = format!("{KEYS}
- name: hook
  sinks: [{{kind: webhook, url: 'http://127.0.0.1:9/?token=hidden-query', headers: {{authorization: hidden-header}}}}]
server: {{data_dir: '{}', drain_timeout: 0s}}", folder.0.display()).replace("disruptors: [{name: orders-eu}, {name: billing}]", "disruptors:\n- name: orders-eu");
    let server = Running::start(&settings);
    let mut client = server.client();
    let made = new_key(&mut client, r#"{"name": "v", "role": "viewer"}"#);
    let all = [("X-API-Key", "first-key-of-all"), ("Content-Type", "application/json")];
    assert_eq!(client.ask("POST", "/api/v1/disruptor/hook/events", &all, b"1").status, 201);
    let mut told = String::new();
    for path in [
        "/api/v1/config",
        "/api/v1/key",
        "/api/v1/disruptor",
        "/metrics",
        "/health",
        "/api/v1/disruptor/hook/health",
        "/nothing",
    ] {
        told += &client.ask("GET", path, &all, b"").text();
    }
    for file in ["keys.json", "disruptors.json", "idempotency.ndjson"] {
        told += &std::fs::read_to_string(folder.0.join(file)).unwrap_or_default();
    }
    let secrets = ["first-key-of-all", "hidden-header", made.rsplit('_').next().expect("it has parts")];
    for secret in secrets {
        assert!(!told.contains(secret), "{secret} is told");
    }
    assert!(told.contains("(not shown)"));
    let trouble = client.ask("GET", "/api/v1/disruptor/hook/health", &all, b"").text();
    assert!(!trouble.contains("hidden-query"), "{trouble}");
}

#[test]
fn web_pages_of_others_change_nothing() {
    let server = Running::start("server: {cors_origins: ['https://good.example']}");
    let mut client = server.client();
    let own = format!("http://{}", server.address);
    let events = "/api/v1/disruptor/main/events";
    let post = |client: &mut Client, header: (&str, &str)| {
        client.ask("POST", events, &[("Content-Type", "text/plain"), header], b"x").status
    };
    assert_eq!(post(&mut client, ("Origin", &own)), 201);
    assert_eq!(post(&mut client, ("Origin", "https://good.example")), 201);
    assert_eq!(post(&mut client, ("Origin", "https://evil.example")), 403);
    assert_eq!(post(&mut client, ("Origin", "null")), 403);
    assert_eq!(post(&mut client, ("Sec-Fetch-Site", "cross-site")), 403);
    assert_eq!(post(&mut client, ("Sec-Fetch-Site", "none")), 201);
    // The name of a page that has been given this machine's address.
    for host in ["evil.example", "evil.example:8080", "localhost.evil.example", ""] {
        let answer = client.ask("GET", "/api/v1/disruptor", &[("Host", host)], b"");
        assert_eq!(answer.status, 421, "{host}: {}", answer.text());
    }
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8080"] {
        assert_eq!(client.ask("GET", "/api/v1/disruptor", &[("Host", host)], b"").status, 200, "{host}");
    }
}

#[test]
fn pages_of_allowed_origins_may_read_and_ask() {
    let server = Running::start("server: {cors_origins: ['https://good.example']}");
    let mut client = server.client();
    let preflight = |client: &mut Client, origin: &str| {
        let headers = [("Origin", origin), ("Access-Control-Request-Method", "POST")];
        client.ask("OPTIONS", "/api/v1/disruptor", &headers, b"")
    };
    let good = preflight(&mut client, "https://good.example");
    assert_eq!((good.status, good.header("access-control-allow-origin")), (204, "https://good.example"));
    assert!(good.header("access-control-allow-methods").contains("POST"));
    assert!(good.header("access-control-allow-headers").contains("authorization"));
    let evil = preflight(&mut client, "https://evil.example");
    assert_eq!(
        (evil.header("access-control-allow-origin"), evil.header("access-control-allow-methods")),
        ("", "")
    );
    let read = client.ask("GET", "/health", &[("Origin", "https://good.example")], b"");
    assert_eq!(read.header("access-control-allow-origin"), "https://good.example");
    assert!(read.header("vary").contains("Origin"));
    let refused = client.ask("GET", "/nothing", &[("Origin", "https://good.example")], b"");
    assert_eq!(refused.header("access-control-allow-origin"), "https://good.example");
}
