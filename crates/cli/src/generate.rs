//! Completions and manual pages, generated from the command line's definition.

use std::{fs, io, path::Path};

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::args::Arguments;

/// Prints the completion script of a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> anyhow::Result<i32> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "reef", &mut script);
    io::Write::write_all(&mut io::stdout().lock(), &script)?;
    Ok(0)
}

/// Prints the main manual page, or writes all of them into a folder.
pub(crate) fn man(folder: Option<&Path>) -> anyhow::Result<i32> {
    match folder {
        None => clap_mangen::Man::new(Arguments::command()).render(&mut io::stdout().lock())?,
        Some(folder) => {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
            clap_mangen::generate_to(Arguments::command(), folder)
                .with_context(|| format!("cannot write into {}", folder.display()))?;
        }
    }
    Ok(0)
}
