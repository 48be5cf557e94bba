//! What Reef offers, as data: for `inspect --can-run` and for explaining what is missing.

use reef_artifact::Provided;
use reef_wagi::experimental_http::{self, FUNCTIONS as HTTP};

/// Interfaces of WASI 0.2, at the version that Reef implements. Older 0.2 versions are parts of it.
const WASI_0_2: &[&str] = &[
    "wasi:cli/environment@0.2.12",
    "wasi:cli/exit@0.2.12",
    "wasi:cli/stderr@0.2.12",
    "wasi:cli/stdin@0.2.12",
    "wasi:cli/stdout@0.2.12",
    "wasi:cli/terminal-input@0.2.12",
    "wasi:cli/terminal-output@0.2.12",
    "wasi:cli/terminal-stderr@0.2.12",
    "wasi:cli/terminal-stdin@0.2.12",
    "wasi:cli/terminal-stdout@0.2.12",
    "wasi:clocks/monotonic-clock@0.2.12",
    "wasi:clocks/wall-clock@0.2.12",
    "wasi:filesystem/preopens@0.2.12",
    "wasi:filesystem/types@0.2.12",
    "wasi:http/outgoing-handler@0.2.12",
    "wasi:http/types@0.2.12",
    "wasi:io/error@0.2.12",
    "wasi:io/poll@0.2.12",
    "wasi:io/streams@0.2.12",
    "wasi:random/insecure-seed@0.2.12",
    "wasi:random/insecure@0.2.12",
    "wasi:random/random@0.2.12",
    "wasi:sockets/instance-network@0.2.12",
    "wasi:sockets/ip-name-lookup@0.2.12",
    "wasi:sockets/network@0.2.12",
    "wasi:sockets/tcp-create-socket@0.2.12",
    "wasi:sockets/tcp@0.2.12",
    "wasi:sockets/udp-create-socket@0.2.12",
    "wasi:sockets/udp@0.2.12",
];

/// Interfaces of WASI 0.3.
const WASI_0_3: &[&str] = &[
    "wasi:cli/environment@0.3.0",
    "wasi:cli/exit@0.3.0",
    "wasi:cli/stderr@0.3.0",
    "wasi:cli/stdin@0.3.0",
    "wasi:cli/stdout@0.3.0",
    "wasi:cli/terminal-input@0.3.0",
    "wasi:cli/terminal-output@0.3.0",
    "wasi:cli/terminal-stderr@0.3.0",
    "wasi:cli/terminal-stdin@0.3.0",
    "wasi:cli/terminal-stdout@0.3.0",
    "wasi:cli/types@0.3.0",
    "wasi:clocks/monotonic-clock@0.3.0",
    "wasi:clocks/system-clock@0.3.0",
    "wasi:clocks/types@0.3.0",
    "wasi:filesystem/preopens@0.3.0",
    "wasi:filesystem/types@0.3.0",
    "wasi:http/client@0.3.0",
    "wasi:http/handler@0.3.0",
    "wasi:http/types@0.3.0",
    "wasi:random/insecure-seed@0.3.0",
    "wasi:random/insecure@0.3.0",
    "wasi:random/random@0.3.0",
    "wasi:sockets/ip-name-lookup@0.3.0",
    "wasi:sockets/types@0.3.0",
];

/// HTTP as Spin had it before WASI.
const SPIN_HTTP: &[&str] = &["fermyon:spin/http", "fermyon:spin/http-types"];

/// Types of the events that Spin's plugins hand over: nothing to be called.
const EVENTS: &[&str] = &[
    "fermyon:spin-cron/cron-types@2.0.0",
    "fermyon:spin/redis-types",
    "spin:cron/cron-types@3.0.0",
    "spin:mqtt-trigger/spin-mqtt-types@3.0.0",
];

/// What guests say.
const LOGGING: &[&str] = &["wasi:logging/logging@0.1.0-draft", "wasi:logging/logging"];

/// What guests trace by themselves.
const OTEL: &[&str] = &[
    "wasi:otel/logs@0.2.0-rc.2",
    "wasi:otel/metrics@0.2.0-rc.2",
    "wasi:otel/tracing@0.2.0-rc.2",
    "wasi:otel/types@0.2.0-rc.2",
];

/// Encryption of what goes through sockets.
const TLS: &[&str] =
    &["wasi:tls/types@0.2.0-draft", "wasi:tls/client@0.3.0-draft", "wasi:tls/types@0.3.0-draft"];

/// Functions of `wasi_snapshot_preview1`, which `wasi_unstable` has too but for `sock_accept`.
const WASI_0_1: &[&str] = &[
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// Everything that a guest may import.
pub fn provided() -> Vec<Provided> {
    let interfaces = WASI_0_2.iter().chain(WASI_0_3).chain(LOGGING).chain(OTEL);
    let capabilities = reef_interfaces::PROVIDED.iter().copied().flatten();
    let interfaces = interfaces.chain(TLS).chain(EVENTS).chain(SPIN_HTTP).chain(capabilities);
    let interfaces = interfaces.map(|name| Provided::all(name));
    let snapshot = WASI_0_1.iter().copied().chain(["sock_accept"]);
    let modules = [
        Provided::with("wasi_snapshot_preview1", snapshot),
        Provided::with("wasi_unstable", WASI_0_1.iter().copied()),
        Provided::with(experimental_http::MODULE, HTTP.iter().map(|(name, _)| *name)),
    ];
    interfaces.chain(modules).collect()
}

#[cfg(test)]
mod tests;
