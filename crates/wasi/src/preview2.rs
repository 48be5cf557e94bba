//! WASI 0.2, a package at a time: Wasmtime's own linking takes all of it or nothing.

use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi::{
    WasiView as _,
    cli::{WasiCli, WasiCliView as _},
    clocks::{WasiClocks, WasiClocksView as _},
    filesystem::{WasiFilesystem, WasiFilesystemView as _},
    p2::bindings,
    random::WasiRandom,
    sockets::{WasiSockets, WasiSocketsView as _},
};
use wasmtime_wasi_io::bindings::wasi::io;

use crate::guest::ComponentGuest as Guest;

/// How `wasi:io` reaches the guest's streams.
struct Io;

impl wasmtime::component::HasData for Io {
    type Data<'a> = &'a mut wasmtime::component::ResourceTable;
}

/// Adds the packages that are `wanted`, each asked for as `wasi:NAME/`; `wasi:io` always, as the others
/// build on it.
pub(crate) fn add_to_linker(
    linker: &mut Linker<Guest>,
    wanted: &impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    let l = linker;
    io::error::add_to_linker::<_, Io>(l, |guest| guest.ctx().table)?;
    explain_errors(l)?;
    io::poll::add_to_linker::<_, Io>(l, |guest| guest.ctx().table)?;
    io::streams::add_to_linker::<_, Io>(l, |guest| guest.ctx().table)?;
    if wanted("wasi:cli/") {
        use bindings::cli;
        cli::environment::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
        cli::exit::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
        cli::stdin::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
        cli::stdout::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
        cli::stderr::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
        cli::terminal_input::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
        cli::terminal_output::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
        cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
        cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
        cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, Guest::cli)?;
    }
    if wanted("wasi:clocks/") {
        use bindings::clocks;
        clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(l, Guest::clocks)?;
        clocks::wall_clock::add_to_linker::<_, WasiClocks>(l, Guest::clocks)?;
    }
    if wanted("wasi:filesystem/") {
        use bindings::filesystem;
        filesystem::preopens::add_to_linker::<_, WasiFilesystem>(l, Guest::filesystem)?;
        filesystem::types::add_to_linker::<_, WasiFilesystem>(l, Guest::filesystem)?;
    }
    if wanted("wasi:random/") {
        use bindings::random;
        random::insecure::add_to_linker::<_, WasiRandom>(l, |guest| guest.ctx().ctx.random())?;
        random::insecure_seed::add_to_linker::<_, WasiRandom>(l, |guest| guest.ctx().ctx.random())?;
        random::random::add_to_linker::<_, WasiRandom>(l, |guest| guest.ctx().ctx.random())?;
    }
    if wanted("wasi:sockets/") {
        use bindings::sockets;
        let options = sockets::network::LinkOptions::default();
        sockets::instance_network::add_to_linker::<_, WasiSockets>(l, Guest::sockets)?;
        sockets::ip_name_lookup::add_to_linker::<_, WasiSockets>(l, Guest::sockets)?;
        sockets::network::add_to_linker::<_, WasiSockets>(l, &options, Guest::sockets)?;
        sockets::tcp::add_to_linker::<_, WasiSockets>(l, Guest::sockets)?;
        sockets::tcp_create_socket::add_to_linker::<_, WasiSockets>(l, Guest::sockets)?;
        sockets::udp::add_to_linker::<_, WasiSockets>(l, Guest::sockets)?;
        sockets::udp_create_socket::add_to_linker::<_, WasiSockets>(l, Guest::sockets)?;
    }
    Ok(())
}

/// What a guest is told of an error: it and its causes. Wasmtime would add the host's own backtrace where one is taken
/// (`RUST_BACKTRACE`), with paths of the machine that the host was built on.
fn explain_errors(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance("wasi:io/error@0.2.12")?.func_wrap(
        "[method]error.to-debug-string",
        |mut store: StoreContextMut<'_, Guest>, (error,): (Resource<wasmtime::Error>,)| {
            Ok((format!("{:#}", store.data_mut().table.get(&error)?),))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
