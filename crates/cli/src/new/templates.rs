//! The templates, which are part of the program.

/// Files to begin with. `@name@` stands for the application's name, `@package@` for one that package
/// managers take, `@crate@` for what Rust calls that.
pub(super) struct Template {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) files: &'static [(&'static str, &'static str)],
}

impl Template {
    /// Whether it has something to build.
    pub(super) fn is_built(&self) -> bool {
        self.files.iter().any(|(path, text)| *path == "reef.toml" && text.contains(".build]"))
    }
}

/// A file of `templates/`.
macro_rules! file {
    ($path:literal) => {
        include_str!(concat!("../../templates/", $path))
    };
}

const RUST_IGNORED: (&str, &str) = (".gitignore", file!("rust.gitignore"));
const WASM_IGNORED: (&str, &str) = (".gitignore", file!("wasm.gitignore"));
const TESTS: (&str, &str) = ("tests/hello.toml", file!("hello.tests.toml"));
const HTTP_WORLD: (&str, &str) = ("wit/world.wit", file!("http.wit"));

pub(super) const ALL: &[Template] = &[
    Template {
        name: "http-rust",
        about: "HTTP handler in Rust, WASI 0.2",
        files: &[
            ("reef.toml", file!("http-rust/reef.toml")),
            ("Cargo.toml", file!("http-rust/Cargo.toml.in")),
            ("src/lib.rs", file!("http-rust/lib.rs")),
            TESTS,
            RUST_IGNORED,
        ],
    },
    Template {
        name: "http-rust-p3",
        about: "HTTP service in Rust, asynchronous, WASI 0.3",
        files: &[
            ("reef.toml", file!("http-rust/reef.toml")),
            ("Cargo.toml", file!("http-rust-p3/Cargo.toml.in")),
            ("src/lib.rs", file!("http-rust-p3/lib.rs")),
            TESTS,
            RUST_IGNORED,
        ],
    },
    Template {
        name: "http-js",
        about: "HTTP handler in JavaScript, WASI 0.2",
        files: &[
            ("reef.toml", file!("http-js/reef.toml")),
            ("package.json", file!("http-js/package.json")),
            ("app.js", file!("http-js/app.js")),
            HTTP_WORLD,
            TESTS,
            (".gitignore", file!("http-js/gitignore")),
        ],
    },
    Template {
        name: "http-py",
        about: "HTTP handler in Python, WASI 0.2",
        files: &[
            ("reef.toml", file!("http-py/reef.toml")),
            ("requirements.txt", file!("http-py/requirements.txt")),
            ("app.py", file!("http-py/app.py")),
            HTTP_WORLD,
            TESTS,
            (".gitignore", file!("http-py/gitignore")),
        ],
    },
    Template {
        name: "http-go",
        about: "HTTP handler in Go, in the manner of CGI, WASI 0.1",
        files: &[
            ("reef.toml", file!("http-go/reef.toml")),
            ("go.mod", file!("http-go/go.mod.in")),
            ("main.go", file!("http-go/main.go")),
            TESTS,
            WASM_IGNORED,
        ],
    },
    Template {
        name: "http-c",
        about: "HTTP handler in C, in the manner of CGI, WASI 0.1",
        files: &[
            ("reef.toml", file!("http-c/reef.toml")),
            ("main.c", file!("http-c/main.c")),
            TESTS,
            WASM_IGNORED,
        ],
    },
    Template {
        name: "wagi-script",
        about: "Script for the web (WAGI) in Rust, WASI 0.1",
        files: &[
            ("reef.toml", file!("wagi-script/reef.toml")),
            ("Cargo.toml", file!("wagi-script/Cargo.toml.in")),
            ("src/main.rs", file!("wagi-script/main.rs")),
            ("tests/script.toml", file!("wagi-script/tests.toml")),
            RUST_IGNORED,
        ],
    },
    Template {
        name: "site",
        about: "Folder of static files",
        files: &[
            ("reef.toml", file!("site/reef.toml")),
            ("public/index.html", file!("site/index.html")),
            ("public/404.html", file!("site/404.html")),
            ("public/style.css", file!("site/style.css")),
            ("tests/site.toml", file!("site/tests.toml")),
            (".gitignore", file!("site/gitignore")),
        ],
    },
    Template {
        name: "command",
        about: "Command on a stream (a pipe, or TCP connections) in Rust, WASI 0.2",
        files: &[
            ("reef.toml", file!("command/reef.toml")),
            ("Cargo.toml", file!("command/Cargo.toml.in")),
            ("src/main.rs", file!("command/main.rs")),
            RUST_IGNORED,
        ],
    },
];
