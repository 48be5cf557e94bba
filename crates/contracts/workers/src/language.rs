//! What a worker is written in, and how its language's runtime is started.
//!
//! A runtime is a WASI 0.1 command that evaluates a script and answers one request: the request's JSON on
//! standard input, the response's on standard output, messages on standard error, the worker's variables as
//! its environment. It ends with exit status 1 if there is no response.

use std::fmt;

/// The function that initialises a runtime: without parameters and results.
pub const INITIALIZE: &str = "wizer-initialize";
/// What runs a worker in Python: the interpreter is as it was published.
const PYTHON: &str = include_str!("language/worker.py");

/// What a worker is written in, by the ending of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// A module or component: `.wasm`. It needs no runtime.
    Wasm,
    /// `.js`, and `.mjs`.
    JavaScript,
    /// `.lua`. Not a language of Wasm Workers Server.
    Lua,
    /// `.py`.
    Python,
    /// `.rb`.
    Ruby,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 5] = [Self::Wasm, Self::JavaScript, Self::Lua, Self::Python, Self::Ruby];

    /// The language of a file, by what follows the last dot of its name.
    pub fn of_ending(ending: &str) -> Option<Self> {
        Some(match ending {
            "wasm" => Self::Wasm,
            "js" | "mjs" => Self::JavaScript,
            "lua" => Self::Lua,
            "py" => Self::Python,
            "rb" => Self::Ruby,
            _ => return None,
        })
    }

    /// What its runtime is called: `NAME.wasm`. `None` for a language that needs none. In JavaScript, a
    /// worker that may send requests has a runtime that imports what it sends them with.
    pub fn runtime(self, sends_requests: bool) -> Option<&'static str> {
        match self {
            Self::Wasm => None,
            Self::JavaScript if sends_requests => Some("javascript-fetch"),
            Self::JavaScript => Some("javascript"),
            Self::Lua => Some("lua"),
            Self::Python => Some("python"),
            Self::Ruby => Some("ruby"),
        }
    }

    /// Whether its runtime exports [`INITIALIZE`]: it can evaluate a script once, and a snapshot of it
    /// answers each request.
    pub fn is_initialized_once(self) -> bool {
        matches!(self, Self::JavaScript | Self::Lua)
    }

    /// The arguments of a runtime while it is initialised, the program's name among them. The script is
    /// on standard input; there is no environment, only the variables' names are told.
    pub fn initial_arguments<'a>(
        self,
        name: &str,
        variables: impl IntoIterator<Item = &'a str>,
    ) -> Vec<String> {
        let first = [self.program(), name].map(str::to_owned);
        first.into_iter().chain(variables.into_iter().map(str::to_owned)).collect()
    }

    /// The arguments of a runtime that was not initialised, the program's name among them. `name` is what
    /// messages call the script. A snapshot wants no arguments.
    pub fn arguments(self, name: &str, script: &str) -> Vec<String> {
        let own: &[&str] = match self {
            Self::Python => &["-c", PYTHON],
            _ => &[],
        };
        let words = std::iter::once(self.program()).chain(own.iter().copied());
        words.chain([name, script]).map(str::to_owned).collect()
    }

    fn program(self) -> &'static str {
        self.runtime(false).unwrap_or("worker")
    }

    /// The language that an ending stands for and that has no runtime yet.
    pub(crate) fn pending(ending: &str) -> Option<&'static str> {
        Some(match ending {
            "php" => "PHP",
            "pl" => "Perl",
            "ts" => "TypeScript",
            _ => return None,
        })
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wasm => "WebAssembly",
            Self::JavaScript => "JavaScript",
            Self::Lua => "Lua",
            Self::Python => "Python",
            Self::Ruby => "Ruby",
        })
    }
}
