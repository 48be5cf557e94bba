//! What every test of the binary needs: the binary, and guests to give it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything here takes, also on a machine that is busy with other things (Ruby compiled for the first time,
/// beside other languages: two minutes): reached only by a test that fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// The `reef` command, with the code cache that all tests share and nothing else of the caller's
/// settings.
pub(crate) fn reef() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reef"));
    // Sockets of hosts that the tests of another process started are none of its business.
    let runtime = Path::new(env!("CARGO_TARGET_TMPDIR")).join("run");
    std::fs::create_dir_all(&runtime).unwrap();
    command.env("XDG_RUNTIME_DIR", runtime);
    command.env("REEF_CACHE_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("code"));
    for name in ["REEF_LOG", "NO_COLOR", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command
}

/// A guest that `cargo xtask guests` has built.
pub(crate) fn guest(name: &str) -> PathBuf {
    let folder = std::env::var_os("REEF_GUESTS").map_or_else(
        || {
            let cache = std::env::var_os("REEF_CACHE").map(PathBuf::from);
            let home = || std::env::home_dir().expect("a home directory").join(".cache/reef");
            cache.unwrap_or_else(home).join("guests")
        },
        PathBuf::from,
    );
    let path = folder.join(format!("{name}.wasm"));
    assert!(path.exists(), "{} is missing: run `cargo xtask guests`", path.display());
    path
}

/// Looks again and again until it finds something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}
