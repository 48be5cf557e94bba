//! What takes part in a comparison: a program with its arguments.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::record::Bench;
use super::running::{self, Timed};
use super::server::Server;
use super::tools::{Program, Tools};

/// Stands for the address that a server gets.
pub(super) const ADDRESS: &str = "ADDRESS";
/// How long a server may take to answer for the first time: it compiles before.
const START: Duration = Duration::from_secs(60);

/// Everyone's turn in one round, where another one goes first each time: none always follows the same.
pub(super) fn turns<T>(all: &[T], round: usize) -> impl Iterator<Item = &T> {
    all.iter().cycle().skip(round % all.len().max(1)).take(all.len())
}

/// A program with its arguments.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) name: &'static str,
    program: Program,
    arguments: Vec<OsString>,
}

impl Subject {
    pub(super) fn new<'a>(
        name: &'static str,
        program: &Program,
        arguments: impl IntoIterator<Item = &'a OsStr>,
    ) -> Self {
        let arguments = arguments.into_iter().map(OsStr::to_owned).collect();
        Self { name, program: program.clone(), arguments }
    }

    /// Words, then a file.
    pub(super) fn on_file(
        name: &'static str,
        program: &Program,
        words: &[&str],
        file: &Path,
    ) -> Self {
        let words = words.iter().map(OsStr::new);
        Self::new(name, program, words.chain([file.as_os_str()]))
    }

    /// More words at the end.
    pub(super) fn then(mut self, words: &[&str]) -> Self {
        self.arguments.extend(words.iter().map(OsString::from));
        self
    }

    /// Keeps the command line with the results.
    pub(super) fn record(&self, bench: &mut Bench) {
        bench.commands.insert(self.name.to_owned(), self.line());
    }

    /// As a server, ready to answer.
    pub(super) fn serve(&self, tools: &Tools<'_>, path: &str) -> Result<Server> {
        let command = |address: std::net::SocketAddr| {
            let mut command = self.program.command();
            for argument in &self.arguments {
                if argument == ADDRESS {
                    command.arg(address.to_string());
                } else {
                    command.arg(argument);
                }
            }
            command
        };
        Server::start(self.name, command, path, START, &tools.scratch("server.log"))
    }

    /// From start to end.
    pub(super) fn time(&self, limit: Duration) -> Result<Timed> {
        running::time(self.name, &mut self.command(), limit)
    }

    pub(super) fn command(&self) -> Command {
        let mut command = self.program.command();
        command.args(&self.arguments);
        command
    }

    /// Without the folders, which are the machine's.
    fn line(&self) -> String {
        let mut words = vec![self.program.name()];
        for argument in &self.arguments {
            let path = Path::new(argument);
            let shown = if path.is_absolute() { path.file_name() } else { None };
            words.push(shown.unwrap_or(argument).to_string_lossy().into_owned());
        }
        words.join(" ")
    }
}

#[cfg(test)]
mod tests;
