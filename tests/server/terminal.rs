//! What only a terminal gets: questions, colours, and an end by Ctrl-C.

use crate::cli::endpoint;
use crate::pty::Terminal;
use crate::shell::Shell;
use crate::support::{Folder, Running};

const SIZE: (u16, u16) = (24, 100);

/// The program in a terminal, with a server to talk to.
fn typed(server: &Running, folder: &Folder, line: &str) -> Terminal {
    let arguments: Vec<&str> = line.split(' ').collect();
    Terminal::start(SIZE, &folder.0, &[("BADBATCH_ENDPOINT", &endpoint(server))], &arguments)
}

#[test]
fn what_cannot_be_undone_asks_before_it_is_done() {
    let server = Running::start("disruptors: [{name: orders}]");
    let folder = Folder::new();
    let answered = |line: &str, question: &str, answer: &str| {
        let mut terminal = typed(&server, &folder, line);
        terminal.shows(question);
        terminal.press(answer);
        terminal.end()
    };
    let delete = "disruptor delete orders";
    let question = "delete orders with its events? [y/N]";
    assert_eq!(answered(delete, question, "\r"), 1);
    assert_eq!(answered(delete, question, "no\r"), 1);
    assert_eq!(answered(delete, question, "\u{3}"), 130);
    assert!(server.node.engine().find("orders").is_ok());
    assert_eq!(answered(delete, question, "y\r"), 0);
    assert!(server.node.engine().find("orders").is_err());
    // Nobody to ask is no consent.
    let shell = Shell::new(&endpoint(&server));
    let piped = shell.line("badbatch disruptor delete main");
    assert!(piped.status == 2 && piped.errors.contains("say so: --yes"), "{piped:?}");
    assert!(server.node.engine().find("main").is_ok());
    assert_eq!(shell.line("badbatch disruptor delete main -y").status, 0);
}

#[test]
fn following_ends_with_ctrl_c() {
    let (server, folder) = (Running::start(""), Folder::new());
    assert_eq!(server.client().post("/api/v1/disruptor/main/events", "\"seen\"").status, 201);
    let mut terminal = typed(&server, &folder, "event tail main --from 0");
    terminal.shows("\"seen\"");
    terminal.press("\u{3}");
    assert_eq!(terminal.end(), 130);
}

#[test]
fn states_have_their_colours() {
    let (server, folder) = (Running::start(""), Folder::new());
    let mut terminal = typed(&server, &folder, "disruptor list");
    terminal.shows("status=0.");
    assert!(terminal.written.contains("\u{1b}[32mrunning"), "{:?}", terminal.written);
    assert_eq!(terminal.end(), 0);
}

#[test]
fn long_work_tells_how_far_it_is_and_ends_with_ctrl_c() {
    let (server, folder) = (Running::start(""), Folder::new());
    let mut terminal = typed(&server, &folder, "event generate main --count 1000000 --rate 2000");
    terminal.shows("(target 2.00k)");
    terminal.until("told rate and end", |screen| {
        screen.contains("main \u{2501}") || screen.contains("main \u{2578}")
    });
    assert!(
        terminal.screen().contains("eta ") && terminal.screen().contains("p99 "),
        "{}",
        terminal.screen()
    );
    terminal.press("\u{3}");
    assert_eq!(terminal.end(), 130);
    // What is done leaves its result, and no line.
    let mut terminal = typed(&server, &folder, "event generate main --count 1500 --rate 1500");
    terminal.shows("eta ");
    terminal.shows("status=0.");
    assert!(terminal.screen().contains("Published   1500") && !terminal.screen().contains("eta "));
    assert_eq!(terminal.end(), 0);
}
