//! What people type: a line, in a shell of its own, with the program on its path and nothing of this user's settings.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::Folder;

/// A shell with an empty home, in which it starts.
pub struct Shell {
    pub home: Folder,
    endpoint: String,
}

/// What a line did.
#[derive(Debug)]
pub struct Typed {
    pub status: i32,
    pub out: String,
    pub errors: String,
}

/// The program without this user's settings.
pub fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    for variable in ["CONFIG", "CONTEXT", "DATA_DIR", "ENDPOINT", "LOG", "OUTPUT", "TIMEOUT", "TOKEN"] {
        command.env_remove(format!("BADBATCH_{variable}"));
    }
    for variable in ["XDG_CONFIG_HOME", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command.env("HOME", "/nonexistent").env("TERM", "xterm-256color");
    command
}

impl Shell {
    pub fn new(endpoint: &str) -> Self {
        Self { home: Folder::new(), endpoint: endpoint.to_owned() }
    }

    /// Types a line.
    pub fn line(&self, line: &str) -> Typed {
        self.line_with(line, &[], "")
    }

    /// Types a line with variables, and something on its standard input.
    pub fn line_with(&self, line: &str, variables: &[(&str, &str)], input: &str) -> Typed {
        let folder = Path::new(env!("CARGO_BIN_EXE_badbatch")).parent().expect("a program is in a folder");
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = program("bash");
        if !self.endpoint.is_empty() {
            command.env("BADBATCH_ENDPOINT", &self.endpoint);
        }
        let mut child = command
            .args(["-o", "pipefail", "-c", line])
            .current_dir(&self.home.0)
            .env("HOME", &self.home.0)
            .env("PATH", path)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        // Who does not read is done with it.
        let _written = child.stdin.take().expect("its input is piped").write_all(input.as_bytes());
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
        let status = output.status.code().expect("no signal ended it");
        Typed { status, out: text(output.stdout), errors: text(output.stderr) }
    }
}
