//! Who tells the command line what: a flag, else the environment, else the context, else the file, else nobody.

use serde_json::Value;

use crate::shell::Shell;
use crate::support::Running;

/// The settings that a line has, by key: value and origin.
fn shown(shell: &Shell, line: &str, variables: &[(&str, &str)]) -> Vec<(String, String, String)> {
    let typed = shell.line_with(line, variables, "");
    let value: Value = serde_json::from_str(&typed.out).unwrap_or_else(|_| panic!("{line}: {typed:?}"));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let row = |row: &Value| (text(&row["key"]), text(&row["value"]), text(&row["origin"]));
    value["settings"].as_array().expect("a list").iter().map(row).collect()
}

#[test]
fn the_nearest_to_the_hand_wins_and_says_who_it_was() {
    let shell = Shell::new("");
    let config = shell.home.0.join("own.yaml");
    std::fs::write(&config, "client: {endpoint: 'http://file:1', timeout_secs: 7, output_format: json}\n")
        .expect("it is written");
    let added =
        shell.line("badbatch context add ctx http://context:1 && badbatch context add two http://two:2");
    assert_eq!(added.status, 0, "{added:?}");
    let check = |line: &str, variables: &[(&str, &str)], endpoint: &str, origin: &str| {
        let rows = shown(&shell, line, variables);
        let row = rows.iter().find(|(key, ..)| key == "client.endpoint").expect("it is there");
        assert!(row.1 == endpoint && row.2.contains(origin), "{line}: {row:?}");
    };
    let show = "badbatch config show -o json";
    check(show, &[], "http://context:1", "context ctx");
    check(&format!("{show} --config own.yaml"), &[], "http://context:1", "context ctx");
    let environment = [("BADBATCH_ENDPOINT", "http://environment:1")];
    check(show, &environment, "http://environment:1", "environment BADBATCH_ENDPOINT");
    check(&format!("{show} -e http://flag:1"), &environment, "http://flag:1", "flag --endpoint");
    check(&format!("{show} --context two"), &[], "http://two:2", "context two");
    check(show, &[("BADBATCH_CONTEXT", "two")], "http://two:2", "context two");
    assert_eq!(shell.line("badbatch context use two").status, 0);
    check(show, &[], "http://two:2", "context two");
    assert_eq!(shell.line("badbatch context use -").status, 0);
    check(show, &[], "http://context:1", "context ctx");
    let forgotten = shell.line("badbatch context remove ctx && badbatch context rm two");
    assert_eq!(forgotten.status, 2, "{forgotten:?}");
    assert_eq!(shell.line("badbatch context remove two").status, 0);
    check(show, &[], "http://127.0.0.1:8080", "default");
    check("badbatch config show", &[("BADBATCH_CONFIG", "own.yaml")], "http://file:1", "own.yaml");
    let usual = shell.home.0.join(".config/badbatch/config.yaml");
    std::fs::copy(&config, usual).expect("it is copied");
    check("badbatch config show", &[], "http://file:1", "config.yaml");
    let rows = shown(&shell, "badbatch config show --timeout 250ms", &[]);
    assert!(rows.contains(&("client.timeout".into(), "250ms".into(), "flag --timeout".into())), "{rows:?}");
}

#[test]
fn a_key_comes_from_a_file_the_environment_or_standard_input_and_is_not_shown() {
    let server = Running::start("auth: {enabled: true, api_keys: [the-key]}");
    let shell = Shell::new(&format!("http://{}", server.address));
    std::fs::write(shell.home.0.join("key"), "the-key\n").expect("it is written");
    let list = |line: &str, variables: &[(&str, &str)], input: &str| {
        let typed = shell.line_with(line, variables, input);
        assert_eq!(typed.status, 0, "{line}: {typed:?}");
    };
    list("badbatch disruptor list --token-file key", &[], "");
    list("badbatch disruptor list --token-file -", &[], "the-key\n");
    list("badbatch disruptor list", &[("BADBATCH_TOKEN", "the-key")], "");
    list("badbatch disruptor list --token-file key", &[("BADBATCH_TOKEN", "another")], "");
    list(&format!("badbatch context add here http://{} --token-file key", server.address), &[], "");
    list("cd / && badbatch disruptor list", &[], "");
    let told = shell.line("badbatch config show --origin; badbatch context show; badbatch -v disruptor list");
    assert!(!format!("{told:?}").contains("the-key"), "{told:?}");
    assert!(told.errors.contains("GET /api/v1/disruptor?limit=500: 200 in "), "{told:?}");
    let refused = shell.line("badbatch disruptor list --context here -e http://127.0.0.1:9");
    assert_eq!(refused.status, 6, "{refused:?}");
}

#[test]
fn what_is_told_wrongly_is_told_with_who_told_it() {
    let shell = Shell::new("");
    std::fs::write(shell.home.0.join("wrong.yaml"), "client:\n  endpont: http://a:1\n")
        .expect("it is written");
    type Row<'r> = (&'r str, &'r [(&'r str, &'r str)], i32, &'r str);
    let rows: [Row<'_>; 11] = [
        ("disruptor list --config wrong.yaml", &[], 2, "flag --config: wrong.yaml: "),
        ("disruptor list", &[("BADBATCH_CONFIG", "wrong.yaml")], 2, "endpont"),
        ("disruptor list -c absent.yaml", &[], 2, "absent.yaml: No such file"),
        ("config validate wrong.yaml", &[], 2, "endpont"),
        ("disruptor list", &[("BADBATCH_TIMEOUT", "soon")], 2, "environment BADBATCH_TIMEOUT: `soon` is not"),
        (
            "disruptor list",
            &[("BADBATCH_OUTPUT", "jsn")],
            2,
            "environment BADBATCH_OUTPUT: there is no output",
        ),
        ("disruptor list --context nowhere", &[], 3, "no context 'nowhere'"),
        ("disruptor list --token-file absent", &[], 2, "flag --token-file: absent: No such file"),
        ("context add a localhost:1", &[], 2, "write http://host:port"),
        ("context add a http://a:1 --timeout-secs 0", &[], 2, "take 1 or more"),
        ("context show", &[], 3, "no context is in use"),
    ];
    for (line, variables, status, said) in rows {
        let typed = shell.line_with(&format!("badbatch {line}"), variables, "");
        assert!(typed.status == status && typed.errors.contains(said), "{line}: {typed:?}");
        assert!(typed.errors.starts_with("error: "), "{line}: {typed:?}");
    }
    std::fs::create_dir_all(shell.home.0.join(".config/badbatch")).expect("it is made");
    std::fs::write(shell.home.0.join(".config/badbatch/contexts.json"), "{").expect("it is written");
    let typed = shell.line("badbatch context list");
    assert!(typed.status == 2 && typed.errors.contains("contexts.json cannot be read"), "{typed:?}");
    let typed = shell.line_with("badbatch context add a http://a:1", &[("HOME", "")], "");
    assert!(typed.status == 1 && typed.errors.contains("set HOME or XDG_CONFIG_HOME"), "{typed:?}");
}
