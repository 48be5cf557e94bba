//! Between Cargo and the compiler.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

/// Says to this program that Cargo called it in the compiler's place.
const STANDS_IN: &str = "REEF_XTASK_STANDS_IN";

/// Has Cargo make none of the libraries that a dependency offers to other languages beside the one for Rust: nothing
/// here takes them, and a shared one cannot be linked from code for a fixed address. Cargo has no setting for it.
pub(super) fn without_foreign_libraries(cargo: &mut Command) -> Result<()> {
    let this = env::current_exe().context("cannot tell where this program is")?;
    cargo.env("RUSTC_WRAPPER", this).env(STANDS_IN, "1");
    Ok(())
}

/// The end of the compiler if this was called in its place: the first argument is the compiler.
pub(crate) fn stand_in() -> Option<ExitCode> {
    env::var_os(STANDS_IN)?;
    let mut arguments = env::args_os().skip(1);
    let compiler = arguments.next()?;
    match Command::new(compiler).args(kept(arguments.collect())).status() {
        Ok(status) if status.success() => Some(ExitCode::SUCCESS),
        Ok(_) => Some(ExitCode::FAILURE),
        Err(error) => {
            eprintln!("cannot start the compiler: {error}");
            Some(ExitCode::FAILURE)
        }
    }
}

fn kept(arguments: Vec<OsString>) -> Vec<OsString> {
    let is = |text: &str| arguments.iter().any(|argument| argument == text);
    // What Cargo asks before it begins has every kind.
    let asked =
        arguments.iter().any(|argument| argument.as_encoded_bytes().starts_with(b"--print"));
    if asked || !(is("lib") || is("rlib")) {
        return arguments;
    }
    let mut kept = Vec::with_capacity(arguments.len());
    let mut rest = arguments.into_iter().peekable();
    while let Some(argument) = rest.next() {
        let foreign = |kind: &OsString| kind == "cdylib" || kind == "staticlib";
        if argument == "--crate-type" && rest.next_if(foreign).is_some() {
            continue;
        }
        kept.push(argument);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        let kept = kept(text.split(' ').map(OsString::from).collect());
        kept.join(std::ffi::OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn only_what_other_languages_would_take_is_left_out() {
        let all = "--crate-name a --crate-type lib --crate-type cdylib --crate-type staticlib -O";
        assert_eq!(of(all), "--crate-name a --crate-type lib -O");
        for same in [
            "--crate-name a --crate-type cdylib -O",
            "--crate-name a --crate-type bin",
            "--crate-name ___ --print=file-names --crate-type rlib --crate-type cdylib",
            "--crate-name cdylib --crate-type lib",
        ] {
            assert_eq!(of(same), same);
        }
    }
}
