//! Completion, as bash does it, and as the other shells ask for it.

use crate::shell::Shell;
use crate::support::Running;

/// What bash would offer for a line that ends where the cursor is.
fn offered(shell: &Shell, line: &str) -> Vec<String> {
    let script = format!(
        "source <(badbatch completion bash)\n\
         words=({line})\n\
         [[ '{line}' == *' ' ]] && words+=('')\n\
         COMP_WORDS=(\"${{words[@]}}\") COMP_CWORD=$((${{#words[@]}} - 1))\n\
         $(complete -p badbatch | sed 's/.*-F \\([^ ]*\\).*/\\1/') badbatch\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let typed = shell.line(&script);
    assert!(typed.status == 0 && typed.errors.is_empty(), "{line}: {typed:?}");
    typed.out.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_values_and_names() {
    let server = Running::start("disruptors: [{name: orders}, {name: order-log}]");
    let shell = Shell::new(&format!("http://{}", server.address));
    assert_eq!(shell.line("badbatch context add local http://127.0.0.1:9").status, 0);
    let check = |line: &str, expected: &[&str]| assert_eq!(offered(&shell, line), expected, "{line}");
    check("badbatch disr", &["disruptor"]);
    check("badbatch disruptor st", &["stop", "start"]);
    check("badbatch event publish ord", &["order-log", "orders"]);
    check("badbatch disruptor show m", &["main"]);
    check("badbatch disruptor create x --wait", &["--wait-strategy"]);
    check("badbatch disruptor create x --wait-strategy b", &["blocking", "busy-spin"]);
    check(
        "badbatch disruptor create x --wait-strategy=b",
        &["--wait-strategy=blocking", "--wait-strategy=busy-spin"],
    );
    check("badbatch disruptor list -o n", &["ndjson", "name"]);
    check("badbatch -o json event get ma", &["main"]);
    check("badbatch context use ", &["local"]);
    check("badbatch --context lo", &["local"]);
    check("badbatch explain ring", &["ring_full"]);
    check("badbatch completion f", &["fish"]);
    check("badbatch config get server.drain", &["server.drain_timeout"]);
    // As bash takes it apart while somebody types.
    let apart = shell.line("badbatch __complete disruptor create x --wait-strategy = bl");
    assert_eq!(apart.out, "blocking\t\n", "{apart:?}");
    // A file's name is the shell's to complete.
    check("badbatch event publish-file main ", &[]);
    // Without a server there are no names, and nothing is said.
    let alone = Shell::new("http://127.0.0.1:9");
    assert_eq!(offered(&alone, "badbatch event publish "), Vec::<String>::new());
    assert!(offered(&alone, "badbatch ").len() > 10);
}

/// Shells that are not there are passed over: the words that they hand over are those of bash.
#[test]
fn the_scripts_of_other_shells_are_well_formed() {
    let shell = Shell::new("");
    for (name, check) in [("bash", "bash -n"), ("zsh", "zsh -n"), ("fish", "fish --no-execute")] {
        let program = check.split(' ').next().unwrap_or_default();
        let line = format!(
            "badbatch completion {name} > script && if command -v {program} > /dev/null; then {check} script; fi"
        );
        let typed = shell.line(&line);
        assert!(typed.status == 0 && typed.errors.is_empty(), "{name}: {typed:?}");
    }
    let typed = shell.line("badbatch completion powershell");
    assert!(typed.status == 2 && typed.errors.contains("there are bash, zsh, fish, nu"), "{typed:?}");
}
