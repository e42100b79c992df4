//! The program in a terminal: keys go in, and what it draws is a screen that can be looked at.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use badbatch::base::deadline::Deadline;
use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};

use crate::support::PATIENCE;

/// Tells its process, becomes the program, and then tells its status and what the terminal is like. Ctrl-C is for the
/// program alone.
const SHELL: &str =
    r#"trap : INT; sh -c 'echo "pid=$$."; exec "$0" "$@"' "$0" "$@"; echo "status=$?."; stty -a"#;

/// A terminal in which the program runs, below a shell.
pub struct Terminal {
    pty: Arc<Pty>,
    shell: Shell,
    pieces: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    /// Everything that was written to the terminal.
    pub written: String,
}

impl Terminal {
    /// Starts the program in a terminal of this many lines and columns.
    pub fn start(
        (lines, columns): (u16, u16),
        folder: &Path,
        variables: &[(&str, &str)],
        arguments: &[&str],
    ) -> Self {
        let (pty, pts) = open().expect("there is a terminal");
        pty.resize(Size::new(lines, columns)).expect("it has a size");
        let child = Command::new("sh")
            .args(["-c", SHELL, env!("CARGO_BIN_EXE_badbatch")])
            .args(arguments)
            .current_dir(folder)
            .env("TERM", "xterm-256color")
            .env("HOME", folder)
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("NO_COLOR")
            .env_remove("BADBATCH_TOKEN")
            .env_remove("BADBATCH_OUTPUT")
            .envs(variables.iter().copied())
            .spawn(pts)
            .expect("it starts");
        let (pty, (sender, pieces)) = (Arc::new(pty), channel());
        let reading = Arc::clone(&pty);
        // Ends when the last program has left the terminal, which is an error of reading.
        let read = move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = (&*reading).read(&mut piece) {
                if sender.send(piece[..length].to_vec()).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("terminal".to_owned()).spawn(read).expect("a thread starts");
        let parser = vt100::Parser::new(lines, columns, 0);
        Self { pty, shell: Shell(child), pieces, parser, written: String::new() }
    }

    pub fn press(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    pub fn resize(&mut self, lines: u16, columns: u16) {
        self.parser.screen_mut().set_size(lines, columns);
        self.pty.resize(Size::new(lines, columns)).expect("it has a size");
    }

    /// What the screen shows.
    pub fn screen(&self) -> String {
        self.parser.screen().contents()
    }

    /// Whether the screen is the one that programs borrow.
    pub fn is_alternate(&self) -> bool {
        self.parser.screen().alternate_screen()
    }

    /// Waits until the screen is as it should be.
    pub fn until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        let deadline = Deadline::after(PATIENCE);
        while !is_so(&self.screen()) {
            let piece = self.pieces.recv_timeout(deadline.remaining().unwrap_or_default());
            match piece {
                Ok(piece) => self.take(&piece),
                Err(error) => panic!("{error}; the screen never {what}:\n{}", self.screen()),
            }
        }
    }

    /// Waits until the screen shows a text.
    pub fn shows(&mut self, text: &str) {
        self.until(&format!("showed `{text}`"), |screen| screen.contains(text));
    }

    /// Waits until the screen does not show a text.
    pub fn hides(&mut self, text: &str) {
        self.until(&format!("hid `{text}`"), |screen| !screen.contains(text));
    }

    /// Sends the program a signal.
    pub fn signal(&self, name: &str) {
        shell(&format!("kill -s {name} {}", self.process()));
    }

    /// Takes the terminal away, and waits for the program's end.
    pub fn close(self) {
        let look = format!("ps -o stat= -p {} || true", self.process());
        let Self { pty, pieces, shell: _shell, .. } = self;
        // The thread that reads lets go when nobody takes what it has read.
        drop((pty, pieces));
        let deadline = Deadline::after(PATIENCE);
        // Who has ended may stay in the list as a zombie.
        while !matches!(shell(&look).trim().chars().next(), None | Some('Z')) {
            assert!(!deadline.has_passed(), "it goes on without a terminal");
        }
    }

    fn process(&self) -> &str {
        let (_, rest) = self.written.split_once("pid=").expect("the shell has told its process");
        rest.split('.').next().expect("it is a number")
    }

    /// Waits for the end, which leaves the terminal as it was, and tells the status.
    pub fn end(mut self) -> i32 {
        let deadline = Deadline::after(PATIENCE);
        loop {
            match self.pieces.recv_timeout(deadline.remaining().unwrap_or_default()) {
                Ok(piece) => self.take(&piece),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end:\n{}", self.screen()),
            }
        }
        let screen = self.screen();
        let has = |word: &str| screen.split_whitespace().any(|part| part.trim_end_matches(';') == word);
        assert!(has("icanon") && has("echo") && has("isig"), "{screen}");
        assert!(!self.is_alternate() && !self.parser.screen().hide_cursor(), "{screen}");
        let status = screen.split_once("status=").and_then(|(_, rest)| rest.split('.').next()?.parse().ok());
        status.unwrap_or_else(|| panic!("it tells no status:\n{screen}"))
    }

    fn take(&mut self, piece: &[u8]) {
        self.parser.process(piece);
        self.written += &String::from_utf8_lossy(piece);
    }
}

/// A shell that ends with the test, which the program below it is told by the terminal.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _waited = self.0.wait();
    }
}

fn shell(command: &str) -> String {
    let output = std::process::Command::new("sh").args(["-c", command]).output().expect("there is a shell");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it is text")
}
