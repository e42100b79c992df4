//! The program `badbatch`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Result<Vec<String>, _> =
        std::env::args_os().skip(1).map(std::ffi::OsString::into_string).collect();
    match arguments {
        Ok(arguments) => badbatch::cli::run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()),
        Err(argument) => {
            eprintln!("error: the argument {argument:?} is not UTF-8");
            ExitCode::from(2)
        }
    }
}
