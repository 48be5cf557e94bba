//! `wasi_snapshot_preview1`, a function at a time.
//!
//! Wasmtime's own linking takes all of it or nothing, and to define what a guest does not import is a
//! good part of a short run. So the functions are named here, each with its core signature
//! (<https://github.com/WebAssembly/WASI/blob/wasi-0.1/preview1/docs.md>); what they do is Wasmtime's.

use wasmtime::{AsContextMut as _, Caller, Extern, Linker};
use wasmtime_wasi::{
    I32Exit,
    p1::{
        WasiP1Ctx,
        wasi_snapshot_preview1::{self as preview1, WasiSnapshotPreview1 as _},
    },
};
use wiggle::GuestMemory;

use crate::guest::ModuleGuest;

/// The module's name.
pub(crate) const MODULE: &str = "wasi_snapshot_preview1";

/// Functions that may wait, then functions that do not.
macro_rules! functions {
    (
        waiting { $($waiting:ident($($w:ident: $wt:ty),*);)* }
        prompt { $($prompt:ident($($p:ident: $pt:ty),*);)* }
    ) => {
        /// Defines one function, if there is one of that name.
        pub(crate) fn define(linker: &mut Linker<ModuleGuest>, name: &str) -> wasmtime::Result<()> {
            match name {
                $(stringify!($waiting) => linker.func_wrap_async(
                    MODULE,
                    name,
                    |mut caller: Caller<'_, ModuleGuest>, ($($w,)*): ($($wt,)*)| {
                        Box::new(async move {
                            let memory = caller.get_export("memory");
                            let (mut memory, wasi) = enter(&memory, &mut caller)?;
                            preview1::$waiting(wasi, &mut memory, $($w),*).await
                        })
                    },
                )?,)*
                $(stringify!($prompt) => linker.func_wrap(
                    MODULE,
                    name,
                    |mut caller: Caller<'_, ModuleGuest>, $($p: $pt),*| {
                        let memory = caller.get_export("memory");
                        let (mut memory, wasi) = enter(&memory, &mut caller)?;
                        preview1::$prompt(wasi, &mut memory, $($p),*)
                    },
                )?,)*
                "proc_exit" => define_exit(linker, MODULE)?,
                _ => linker,
            };
            Ok(())
        }
    };
}

functions! {
    waiting {
        fd_advise(fd: i32, offset: i64, length: i64, advice: i32);
        fd_close(fd: i32);
        fd_datasync(fd: i32);
        fd_fdstat_get(fd: i32, result: i32);
        fd_filestat_get(fd: i32, result: i32);
        fd_filestat_set_size(fd: i32, size: i64);
        fd_filestat_set_times(fd: i32, accessed: i64, modified: i64, flags: i32);
        fd_pread(fd: i32, vectors: i32, count: i32, offset: i64, result: i32);
        fd_pwrite(fd: i32, vectors: i32, count: i32, offset: i64, result: i32);
        fd_read(fd: i32, vectors: i32, count: i32, result: i32);
        fd_readdir(fd: i32, buffer: i32, length: i32, cookie: i64, result: i32);
        fd_renumber(fd: i32, to: i32);
        fd_seek(fd: i32, offset: i64, whence: i32, result: i32);
        fd_sync(fd: i32);
        fd_write(fd: i32, vectors: i32, count: i32, result: i32);
        path_create_directory(fd: i32, path: i32, length: i32);
        path_filestat_get(fd: i32, flags: i32, path: i32, length: i32, result: i32);
        path_filestat_set_times(
            fd: i32, flags: i32, path: i32, length: i32, accessed: i64, modified: i64, which: i32
        );
        path_link(
            fd: i32, flags: i32, path: i32, length: i32, new_fd: i32, new_path: i32, new_length: i32
        );
        path_open(
            fd: i32, lookup: i32, path: i32, length: i32, open: i32, rights: i64, inherited: i64,
            flags: i32, result: i32
        );
        path_readlink(
            fd: i32, path: i32, length: i32, buffer: i32, buffer_length: i32, result: i32
        );
        path_remove_directory(fd: i32, path: i32, length: i32);
        path_rename(fd: i32, path: i32, length: i32, new_fd: i32, new_path: i32, new_length: i32);
        path_symlink(path: i32, length: i32, fd: i32, new_path: i32, new_length: i32);
        path_unlink_file(fd: i32, path: i32, length: i32);
        poll_oneoff(subscriptions: i32, events: i32, count: i32, result: i32);
    }
    prompt {
        args_get(pointers: i32, buffer: i32);
        args_sizes_get(count: i32, size: i32);
        clock_res_get(clock: i32, result: i32);
        clock_time_get(clock: i32, precision: i64, result: i32);
        environ_get(pointers: i32, buffer: i32);
        environ_sizes_get(count: i32, size: i32);
        fd_allocate(fd: i32, offset: i64, length: i64);
        fd_fdstat_set_flags(fd: i32, flags: i32);
        fd_fdstat_set_rights(fd: i32, rights: i64, inherited: i64);
        fd_prestat_dir_name(fd: i32, path: i32, length: i32);
        fd_prestat_get(fd: i32, result: i32);
        fd_tell(fd: i32, result: i32);
        proc_raise(signal: i32);
        random_get(buffer: i32, length: i32);
        sched_yield();
        sock_accept(fd: i32, flags: i32, result: i32);
        sock_recv(fd: i32, vectors: i32, count: i32, flags: i32, size: i32, out_flags: i32);
        sock_send(fd: i32, vectors: i32, count: i32, flags: i32, size: i32);
        sock_shutdown(fd: i32, how: i32);
    }
}

/// Wasmtime takes a status above 125 for a trap. Here it is the guest's own, as in any shell.
pub(crate) fn define_exit<'a>(
    linker: &'a mut Linker<ModuleGuest>,
    module: &str,
) -> wasmtime::Result<&'a mut Linker<ModuleGuest>> {
    linker.func_wrap(module, "proc_exit", |status: i32| -> wasmtime::Result<()> {
        Err(I32Exit(status).into())
    })
}

/// The memory and the world of the guest that calls, with the bound on what one call may copy.
fn enter<'a>(
    memory: &'a Option<Extern>,
    caller: &'a mut Caller<'_, ModuleGuest>,
) -> wasmtime::Result<(GuestMemory<'a>, &'a mut WasiP1Ctx)> {
    enter_with(memory, caller).map(|(memory, guest)| (memory, guest.wasi()))
}

/// The same with all of the guest's data.
pub(crate) fn enter_with<'a>(
    memory: &'a Option<Extern>,
    caller: &'a mut Caller<'_, ModuleGuest>,
) -> wasmtime::Result<(GuestMemory<'a>, &'a mut ModuleGuest)> {
    let fuel = caller.as_context_mut().hostcall_fuel();
    let (memory, guest) = match memory {
        Some(Extern::Memory(memory)) => {
            let (bytes, guest) = memory.data_and_store_mut(caller);
            (GuestMemory::Unshared(bytes), guest)
        }
        Some(Extern::SharedMemory(memory)) => {
            (GuestMemory::Shared(memory.data()), caller.data_mut())
        }
        _ => {
            let cause = "it calls WASI but exports no memory named `memory` to work on";
            return Err(wasmtime::Error::msg(cause));
        }
    };
    guest.wasi().set_hostcall_fuel(fuel);
    Ok((memory, guest))
}

#[cfg(test)]
mod tests;
