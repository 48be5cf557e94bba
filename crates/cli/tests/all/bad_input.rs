//! Files that are not what they should be, and guests that mean harm: a clear error, never a crash.

use std::{fs, path::Path};

use tempfile::tempdir;

use crate::{
    process::{Ended, finish, run, run_file, run_text},
    support::{guest, reef},
};

/// Numbers that look random and are the same in every run (xorshift; Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

fn inspect(file: &Path) -> Ended {
    let mut command = reef();
    command.arg("inspect").arg(file);
    finish(command, b"")
}

/// It ended with a status, and no thread of Reef's own panicked. What a damaged guest does by itself
/// cannot be foreseen.
#[track_caller]
fn assert_sane(ended: &Ended, what: &str) {
    assert_eq!(ended.signal(), None, "{what}: {ended:?}");
    for place in ["panicked at crates/", ".cargo/registry", "internal error"] {
        assert!(!ended.stderr.contains(place), "{what}: {}", ended.stderr);
    }
    assert!(ended.status() != 125 || ended.stderr.contains("reef: "), "{what}: {ended:?}");
    assert!(ended.stderr.len() < 20_000, "{what} is told at length: {}", ended.stderr.len());
}

const HARMLESS: [&str; 5] = ["--no-cache", "--deadline", "1s", "--memory", "64MiB"];

#[test]
fn what_is_no_webassembly_is_said_with_what_to_do() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("guest.wasm");
    for (bytes, said) in [
        (&b""[..], "it is empty"),
        (b"hello, this is text\n", "it is plain text\n  give it a .wasm file"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0", "it is an ELF executable\n  build the program for"),
        (b"#!/bin/sh\necho hello\n", "is not WebAssembly"),
        (b"PK\x03\x04\x14\0\0\0\x08\0", "is not WebAssembly"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "is not WebAssembly"),
        (b"(module (func", "the text form does not assemble"),
        (b"\0asm", "cut off"),
        (b"\0asm\x63\0\0\0", "rebuild it with current tools"),
    ] {
        fs::write(&file, bytes).unwrap();
        run_file(&[], &file, &[]).fails(125, &["reef: ", said]);
        inspect(&file).fails(125, &["reef: ", said]);
    }
    run_file(&[], dir.path(), &[]).fails(125, &["is a folder; name a .wasm or .wat file in it"]);
    run_file(&[], &dir.path().join("no.wasm"), &[])
        .fails(125, &["there is no file ", "check its path"]);
    run_file(&[], Path::new("no/such.wasm"), &[])
        .fails(125, &["there is no file no/such.wasm in /"]);
}

#[test]
fn truncated_binaries_are_refused() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("cut.wasm");
    for name in ["p1-cat", "p2-cli", "p3-cli"] {
        let whole = fs::read(guest(name)).unwrap();
        for part in 1..=15 {
            let cut = &whole[..whole.len() * part / 16];
            fs::write(&file, cut).unwrap();
            let ended = run_file(&HARMLESS, &file, &[]);
            assert_eq!(ended.status(), 125, "{name}, {part}/16: {ended:?}");
            assert_sane(&ended, &format!("{name}, {part}/16"));
            assert_sane(&inspect(&file), &format!("{name}, {part}/16"));
        }
    }
}

#[test]
fn random_bytes_are_refused() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("random.wasm");
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0..40 {
        // Behind the headers of a module, of a component, and of nothing.
        let mut bytes = match round % 3 {
            0 => b"\0asm\x01\0\0\0".to_vec(),
            1 => b"\0asm\x0d\0\x01\0".to_vec(),
            _ => Vec::new(),
        };
        for _ in 0..random.below(2000) + 1 {
            bytes.push(random.next() as u8);
        }
        fs::write(&file, &bytes).unwrap();
        let ended = run_file(&HARMLESS, &file, &[]);
        assert_eq!(ended.status(), 125, "{round}: {ended:?}");
        assert_sane(&ended, &round.to_string());
        assert_sane(&inspect(&file), &round.to_string());
    }
}

#[test]
fn flipped_bits_never_crash() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("flipped.wasm");
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for (name, rounds) in [("p1-unstable", 60), ("p1-cat", 8), ("p2-cli", 5), ("p3-cli", 5)] {
        let whole = fs::read(guest(name)).unwrap();
        for round in 0..rounds {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
            fs::write(&file, &bytes).unwrap();
            let what = format!("{name}, round {round}");
            assert_sane(&run_file(&HARMLESS, &file, &[]), &what);
            assert_sane(&inspect(&file), &what);
        }
    }
}

#[test]
fn missing_imports_are_named_with_the_nearest_there_is() {
    run_text(
        &[],
        r#"(component
            (import "wasi:nn/graph@0.2.0-rc-2024-10-28" (instance
                (export "graph" (type (sub resource)))))
            (import "wasi:cli/environment@0.2.3" (instance
                (export "get-arguments" (func (result (list string)))))))"#,
    )
    .fails(
        125,
        &[
            "imports what Reef does not have:\n  wasi:nn/graph@0.2.0-rc-2024-10-28\n",
            "reef inspect --can-run",
        ],
    );
    run_text(&[], r#"(module (import "env" "host_call" (func)) (func (export "_start")))"#)
        .fails(125, &["imports what Reef does not have:\n  env.host_call\n"]);
    run_text(
        &[],
        r#"(module
            (import "wasi_snapshot_preview1" "fd_wirte" (func (param i32 i32 i32 i32) (result i32)))
            (func (export "_start")))"#,
    )
    .fails(125, &["fd_wirte (Reef has wasi_snapshot_preview1.fd_write)"]);
    run_text(
        &[],
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func))
            (func (export "_start")))"#,
    )
    .fails(125, &["does not fit what Reef offers", "fd_write", "rebuild it with current tools"]);
}

#[test]
fn what_is_no_command_is_said_with_how_to_use_it() {
    for name in ["p2-hello-http", "p3-hello-http"] {
        run(&[], name, &[])
            .fails(125, &["it is not a command but an HTTP handler; serve it with `reef serve`"]);
    }
    for name in ["p2-lib", "as-add"] {
        run(&[], name, &[]).fails(
            125,
            &["it is not a command but a library; call one of its functions with `reef run --invoke 'name(arguments)'`"],
        );
    }
}

#[test]
fn start_functions_are_guests_too() {
    run_text(
        &["--deadline", "300ms"],
        r#"(module (func $forever (loop br 0)) (start $forever) (func (export "_start")))"#,
    )
    .fails(124, &["the deadline of 300 ms passed"]);
    run_text(&[], r#"(module (func $dies unreachable) (start $dies) (func (export "_start")))"#)
        .fails(134, &["unreachable", "0: dies"]);
}

#[test]
fn waiting_inside_a_host_call_ends_with_the_deadline() {
    // poll_oneoff on a clock, for about 500 years.
    run_text(
        &["--deadline", "300ms"],
        r#"(module
            (import "wasi_snapshot_preview1" "poll_oneoff"
                (func $poll (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "_start")
                (i32.store (i32.const 16) (i32.const 1))
                (i64.store (i32.const 24) (i64.const 0x7fffffffffffffff))
                (drop (call $poll (i32.const 0) (i32.const 256) (i32.const 1) (i32.const 512)))))"#,
    )
    .fails(124, &["the deadline of 300 ms passed"]);
    // random_get, again and again, of all its memory.
    run_text(
        &["--deadline", "300ms"],
        r#"(module
            (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
            (memory (export "memory") 100)
            (func (export "_start")
                (loop (drop (call $random (i32.const 0) (i32.const 6553600))) (br 0))))"#,
    )
    .fails(124, &["the deadline of 300 ms passed"]);
}

#[test]
fn memory_bombs_are_refused() {
    for text in [
        r#"(module (memory 65536) (func (export "_start")))"#,
        r#"(module (memory i64 1000000000) (func (export "_start")))"#,
        r#"(module (memory 30000) (memory 30000) (func (export "_start")))"#,
    ] {
        let ended = run_text(&[], text);
        ended.fails(125, &["the limit is 2GiB; raise it with --memory"]);
        assert!(ended.peak < 300 << 20, "{} bytes", ended.peak);
    }
    // Growing until it is refused, touching every page.
    let grows = r#"(module
        (memory 1)
        (func (export "_start") (local $page i32)
            (loop
                (local.set $page (memory.grow (i32.const 1)))
                (if (i32.eq (local.get $page) (i32.const -1)) (then unreachable))
                (i32.store (i32.mul (local.get $page) (i32.const 65536)) (i32.const 1))
                (br 0))))"#;
    let ended = run_text(&["--memory", "64MiB"], grows);
    ended.fails(134, &["it asked for 65600KiB of memory and was refused: the limit is 64MiB"]);
    assert!(ended.peak < 300 << 20, "{} bytes", ended.peak);
}

#[test]
fn table_bombs_are_refused() {
    let ended = run_text(&[], r#"(module (table 4000000000 funcref) (func (export "_start")))"#);
    ended.fails(125, &["a table of 4000000000 elements", "the limit is 1000000"]);

    let grows = r#"(module
        (table 1 funcref)
        (func (export "_start")
            (loop
                (br_if 0 (i32.ne (i32.const -1)
                    (table.grow (ref.null func) (i32.const 100000)))))
            unreachable))"#;
    let ended = run_text(&[], grows);
    ended.fails(134, &["a table of 1000001 elements and was refused: the limit is 1000000"]);
    assert!(ended.peak < 300 << 20, "{} bytes", ended.peak);
}

#[test]
fn many_tables_and_memories_are_no_way_around_a_limit() {
    let said = "and was refused: the limit is 64MiB; raise it with --memory";
    for many in ["(table 900000 funcref)", "(memory 100)"] {
        let text = format!(r#"(module {} (func (export "_start")))"#, many.repeat(100));
        let ended = run_text(&["--memory", "64MiB"], &text);
        ended.fails(125, &[said]);
        assert!(ended.peak < 300 << 20, "{} bytes", ended.peak);
    }
    let growths: String = (0..100)
        .map(|table| {
            format!(
                "(br_if 0 (i32.eq (i32.const -1) \
                 (table.grow {table} (ref.func $start) (i32.const 999999))))"
            )
        })
        .collect();
    let text = format!(
        r#"(module {} (func $start (export "_start") (block {growths} return) unreachable))"#,
        "(table 1 funcref)".repeat(100)
    );
    let ended = run_text(&["--memory", "64MiB"], &text);
    ended.fails(134, &[said]);
    assert!(ended.peak < 300 << 20, "{} bytes", ended.peak);
}

#[test]
fn a_stack_that_overflows_traps() {
    run_text(&[], r#"(module (func $deeper (export "_start") (call $deeper)))"#).fails(
        134,
        &["call stack exhausted", "deeper calls itself again and again", "calls more of it"],
    );
    run(&[], "p1-stack", &[]).fails(134, &["p1_stack::descend calls itself again and again"]);
}

#[test]
fn text_from_a_guest_cannot_move_the_cursor() {
    // A name with an escape sequence, in an import and in a backtrace.
    run_text(&[], "(module (import \"e\\1b[2Jvil\" \"f\" (func)) (func (export \"_start\")))")
        .fails(125, &["imports what Reef does not have"]);
    let ended = run_text(
        &[],
        "(module (func $f (@name \"e\\1b[2Jvil\") unreachable) (func (export \"_start\") (call $f)))",
    );
    ended.fails(134, &["guest backtrace"]);
    assert!(!ended.stderr.contains('\x1b'), "{:?}", ended.stderr);
}

#[test]
fn a_file_that_is_too_large_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("huge.wasm");
    // Takes no room on the disk.
    let file = fs::File::create(&path).unwrap();
    file.set_len((2 << 30) + 1).unwrap();
    for verb in ["run", "inspect", "serve"] {
        let mut command = reef();
        command.arg(verb).arg(&path);
        let ended = finish(command, b"");
        ended.fails(125, &["huge.wasm is larger than 2GiB"]);
        assert!(ended.peak < 256 << 20, "{verb}: {} MiB", ended.peak >> 20);
    }
}

#[test]
fn resources_that_the_host_holds_for_a_guest_are_limited() {
    // A timer, again and again, and none is ever dropped.
    let ended = run_text(
        &[],
        r#"(component
            (import "wasi:io/poll@0.2.0" (instance $poll
                (export "pollable" (type (sub resource)))))
            (alias export $poll "pollable" (type $pollable))
            (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
                (alias outer 1 $pollable (type $outer))
                (export "pollable" (type $timer (eq $outer)))
                (export "subscribe-duration" (func (param "when" u64) (result (own $timer))))))
            (core func $subscribe (canon lower (func $clock "subscribe-duration")))
            (core module $main
                (import "host" "subscribe" (func $subscribe (param i64) (result i32)))
                (func (export "run") (result i32)
                    (loop $more
                        (drop (call $subscribe (i64.const 1000000000000)))
                        (br $more))
                    unreachable))
            (core instance $instance (instantiate $main
                (with "host" (instance (export "subscribe" (func $subscribe))))))
            (func $run (result (result)) (canon lift (core func $instance "run")))
            (instance $command (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $command)))"#,
    );
    ended.fails(134, &["guest trapped", "it held 100000 streams, sockets, requests"]);
    assert!(ended.peak < 256 << 20, "{} MiB", ended.peak >> 20);
}
