//! `reef run`: commands of every generation, what they are granted and how they end.

use std::{
    fs,
    io::{Read as _, Write as _},
    process::{Command, Stdio},
    thread,
};

use tempfile::tempdir;

use crate::{
    process::{Ended, finish, run, run_file, run_text, watch},
    support::{PATIENCE, eventually, guest, reef},
};

fn run_with(flags: &[&str], name: &str, prepare: impl FnOnce(&mut Command)) -> Ended {
    let mut command = reef();
    command.arg("run").args(flags).arg(guest(name));
    prepare(&mut command);
    finish(command, b"")
}

#[test]
fn a_command_gets_its_arguments() {
    for name in ["p1-hello", "p2-cli", "p3-cli"] {
        let ended = run(&[], name, &["one", "--two", "three words"]);
        let own = format!("arg 0: {}", guest(name).display());
        ended.prints(&[&own, "arg 1: one\n", "arg 2: --two\n", "arg 3: three words\n"]);
    }
}

#[test]
fn its_exit_status_is_the_guests() {
    assert_eq!(run(&[], "p1-hello", &["7"]).status(), 7);
    assert_eq!(run(&[], "p1-hello", &["255"]).status(), 255);
    let unstable = run(&[], "p1-unstable", &[]);
    assert_eq!((unstable.status(), unstable.stdout.as_str()), (7, "hello from wasi_unstable\n"));
    assert_eq!(run(&[], "p2-cli", &["fail"]).status(), 1);
    assert_eq!(run(&[], "p3-cli", &["fail"]).status(), 1);
}

#[test]
fn every_version_of_wasi_0_2_runs() {
    for patch in 0..=12 {
        let text = format!(
            r#"(component
                (import "wasi:cli/exit@0.2.{patch}" (instance $exit
                    (export "exit" (func (param "status" (result))))))
                (core func $exit (canon lower (func $exit "exit")))
                (core module $m
                    (import "" "exit" (func $exit (param i32)))
                    (func (export "run") (result i32) (call $exit (i32.const 1)) (i32.const 0)))
                (core instance $i (instantiate $m
                    (with "" (instance (export "exit" (func $exit))))))
                (func $run (result (result)) (canon lift (core func $i "run")))
                (instance $run (export "run" (func $run)))
                (export "wasi:cli/run@0.2.{patch}" (instance $run)))"#
        );
        run_text(&[], &text).fails(1, &[]);
    }
}

#[test]
fn nothing_is_granted_by_default() {
    for name in ["p1-hello", "p2-cli", "p3-cli"] {
        let ended = run_with(&[], name, |command| {
            command.env("SECRET", "of the caller");
        });
        assert_eq!(ended.status(), 0, "{ended:?}");
        assert!(!ended.stdout.contains("env "), "{}", ended.stdout);
        assert!(name == "p3-cli" || ended.stdout.contains("file: refused"), "{}", ended.stdout);
    }
}

#[test]
fn a_directory_is_granted_under_its_name() {
    for (name, file) in [("p1-hello", "out.txt"), ("p2-cli", "in.txt")] {
        let dir = tempdir().unwrap();
        let host = dir.path().to_str().unwrap();
        let kept = dir.path().join(file);

        let read_only = run(&["--dir", &format!("{host}::/data:ro")], name, &[]);
        read_only.prints(&["file: refused"]);
        assert!(!kept.exists());

        // Its own name is not the guest's.
        run(&["--dir", host], name, &[]).prints(&["file: refused"]);

        let written = run(&["--dir", &format!("{host}::/data")], name, &[]);
        assert!(!written.stdout.contains("refused"), "{}", written.stdout);
        assert_eq!(fs::read_to_string(kept).unwrap(), "written by the guest\n");
    }
}

/// Without limits they are used on the guest's own thread, with some on another one.
#[test]
fn files_are_used_alike_whatever_limits_there_are() {
    for name in ["p1-files", "p2-files"] {
        for limits in [&[][..], &["--deadline", "100s"], &["--cpu", "2"]] {
            let dir = tempdir().unwrap();
            let grant = format!("{}::/d", dir.path().display());
            let flags = [limits, &["--dir", &grant]].concat();
            run(&flags, name, &["/d", "250"]).prints(&["256000 bytes\n"]);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 100);
            assert_eq!(fs::read(dir.path().join("f7")).unwrap(), [207; 1024]);
        }
    }
}

#[test]
fn a_granted_directory_is_no_way_out_of_it() {
    let dir = tempdir().unwrap();
    let inside = dir.path().join("inside");
    fs::create_dir(&inside).unwrap();
    fs::write(dir.path().join("secret"), "out of reach").unwrap();
    for target in ["../secret", "/etc/passwd"] {
        let link = inside.join("out.txt");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(target, link).unwrap();
        let grant = format!("{}::/data", inside.display());
        run(&["--dir", &grant], "p1-hello", &[]).prints(&["file: refused"]);
    }
    assert_eq!(fs::read_to_string(dir.path().join("secret")).unwrap(), "out of reach");
}

#[test]
fn variables_come_from_flags_the_caller_and_files() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("variables");
    fs::write(
        &file,
        "# a comment\n\nexport FROM_FILE=first\nQUOTED=\"two words\"\nSINGLE='one'\nSAME=file\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    for name in ["p1-hello", "p2-cli", "p3-cli"] {
        let flags =
            ["--env-file", file, "--env", "GIVEN=a=b", "--env", "TAKEN", "--env", "SAME=flag"];
        let ended = run_with(&flags, name, |command| {
            command.env("TAKEN", "from the caller").env("OTHER", "not granted");
        });
        let expected = "env FROM_FILE=first\nenv GIVEN=a=b\nenv QUOTED=two words\nenv SAME=flag\n\
                        env SINGLE=one\nenv TAKEN=from the caller\n";
        ended.prints(&[expected]);
        assert!(!ended.stdout.contains("OTHER"), "{}", ended.stdout);
    }
}

#[test]
fn standard_streams_are_the_callers() {
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| b'a' + (n % 23) as u8).collect();
    let mut command = reef();
    command.arg("run").arg(guest("p1-cat"));
    let ended = finish(command, &bytes);
    assert_eq!((ended.status(), ended.stdout.as_bytes() == bytes), (0, true));
    assert_eq!(ended.stderr, "");

    let ended = run(&[], "p1-hello", &[]);
    assert_eq!(ended.stderr, "hello on standard error\n");
    assert!(!ended.stdout.contains("standard error"));
}

#[test]
fn a_guest_is_read_from_standard_input() {
    let mut command = reef();
    command.args(["run", "-", "--", "one"]);
    finish(command, &fs::read(guest("p2-cli")).unwrap()).prints(&["arg 1: one\n"]);
}

#[test]
fn a_text_form_runs_as_its_binary_does() {
    let dir = tempdir().unwrap();
    for name in ["p1-hello", "p2-cli", "p3-cli"] {
        let mut command = reef();
        command.args(["inspect", "--wat"]).arg(guest(name));
        let text = finish(command, b"");
        assert_eq!(text.status(), 0);
        let file = dir.path().join(format!("{name}.wat"));
        fs::write(&file, text.stdout).unwrap();
        run_file(&[], &file, &["one"]).prints(&["hello from", "arg 1: one\n"]);
    }
}

#[test]
fn a_trap_prints_a_symbolised_backtrace() {
    let ended = run(&[], "p1-trap", &[]);
    ended.fails(
        134,
        &[
            "reef: p1-trap trapped: wasm trap: wasm `unreachable` instruction executed",
            "guest backtrace, innermost call first:",
            "0: p1_trap::inner_function",
            "1: p1_trap::middle_function",
            "2: p1_trap::outer_function",
            "p1-trap/src/main.rs:16",
        ],
    );
    assert_eq!(ended.stdout, "about to trap\n");

    run(&[], "p1-hello", &["panic"]).fails(134, &["asked to panic", "p1_hello::main"]);
    run(&[], "p2-cli", &["trap"]).fails(134, &["asked to trap", "p2_cli::main"]);
}

#[test]
fn a_deadline_ends_computing_and_waiting_alike() {
    for (name, args) in [
        ("p1-spin", &[][..]),
        ("p1-sleep", &["600000"]),
        ("p2-cli", &["spin"]),
        ("p2-cli", &["wait"]),
        ("p3-cli", &["spin"]),
        ("p3-cli", &["wait"]),
    ] {
        let ended = run(&["--deadline", "400ms"], name, args);
        let said = format!(
            "{name} was stopped: the deadline of 400 ms passed; allow more with --deadline, in a manifest limits.deadline"
        );
        ended.fails(124, &[&said]);
        assert!(ended.took < PATIENCE, "{ended:?}");
    }
    // Enough time is no limit.
    for enough in ["10m", "10y"] {
        assert_eq!(run(&["--deadline", enough], "p1-sleep", &["10"]).status(), 0);
    }
}

#[test]
fn standard_input_is_read_as_it_comes() {
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    for (name, args) in [("p1-cat", &[][..]), ("p2-cli", &["cat"]), ("p3-cli", &["cat"])] {
        let mut command = reef();
        command.args(["run", "--deadline", "60s"]).arg(guest(name)).arg("--").args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        // Each line only after the one before has come back: the guest waits in between.
        for line in ["one\n", "two\n", "three\n"] {
            input.write_all(line.as_bytes()).unwrap();
            let mut back = vec![0; line.len()];
            output.read_exact(&mut back).unwrap();
            assert_eq!(String::from_utf8_lossy(&back), line, "{name}");
        }
        let sent = big.clone();
        let sending = thread::spawn(move || input.write_all(&sent));
        let mut back = Vec::new();
        output.read_to_end(&mut back).unwrap();
        assert!(back == big, "{name}: {} bytes of {}", back.len(), big.len());
        sending.join().unwrap().unwrap();
        assert!(child.wait().unwrap().success());
        // A file, and nothing at all.
        for (file, size) in [
            (guest("p1-cat"), fs::metadata(guest("p1-cat")).unwrap().len()),
            ("/dev/null".into(), 0),
        ] {
            let mut command = reef();
            command.arg("run").arg(guest(name)).arg("--").args(args);
            let copied = command.stdin(fs::File::open(file).unwrap()).output().unwrap();
            assert_eq!(copied.stdout.len() as u64, size, "{name}");
            assert!(copied.status.success(), "{name}");
        }
    }
}

#[test]
fn a_deadline_ends_reads_and_writes_that_wait_for_ever() {
    let mut reading = reef();
    reading.args(["run", "--deadline", "300ms"]).arg(guest("p1-cat"));
    reading.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = reading.spawn().unwrap();
    watch(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(124));

    // Nobody reads what it writes, and it writes more than a pipe holds.
    let mut writing = reef();
    writing.args(["run", "--deadline", "300ms"]).arg(guest("p1-cat"));
    writing.stdin(fs::File::open("/dev/zero").unwrap());
    writing.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = writing.spawn().unwrap();
    watch(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(124));

    // Nobody opens the other end of a file that is a pipe.
    for name in ["p1-files", "p2-files"] {
        let dir = tempdir().unwrap();
        let pipe = dir.path().join("f0");
        assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
        let grant = format!("{}::/d", dir.path().display());
        run(&["--deadline", "300ms", "--dir", &grant], name, &["/d", "1"])
            .fails(124, &["the deadline of 300 ms passed"]);
    }
}

#[test]
fn memory_is_limited_from_the_start_and_in_growing() {
    for name in ["p1-alloc", "p2-cli", "p3-cli"] {
        let ended = run(&["--memory", "1MiB"], name, &[]);
        ended.fails(125, &["the limit is 1MiB; raise it with --memory"]);
        assert_eq!(ended.stdout, "");
    }
    run(&["--memory", "20MiB"], "p1-alloc", &[]).prints(&["refused after 18 MiB"]);
    run(&["--memory", "20MiB"], "p1-alloc", &["10"]).prints(&["got 10 MiB"]);
    let bomb = run(&["--memory", "40MiB"], "p2-cli", &["fill"]);
    bomb.fails(134, &["and was refused: the limit is 40MiB; raise it with --memory"]);
    assert!(bomb.peak < 400 << 20, "{} bytes", bomb.peak);
}

#[test]
fn a_share_of_the_processor_is_kept_to() {
    for (name, args) in [("p1-spin", &[][..]), ("p2-cli", &["spin"]), ("p3-cli", &["spin"])] {
        // Once without, so that what is measured does not compile.
        run(&["--deadline", "10ms"], name, args).fails(124, &[]);
        let ended = run(&["--cpu", "0.25", "--deadline", "2s"], name, args);
        ended.fails(124, &[]);
        assert!(ended.cpu.as_secs_f64() < 1.0, "{name}: {:?} in 2 s", ended.cpu);
    }
    // A share is no deadline: what ends by itself ends well.
    run(&["--cpu", "50%"], "p1-sha", &["20000"]).prints(&["20000 rounds"]);
}

#[test]
fn an_interrupt_ends_a_run() {
    for name in ["p1-spin", "p1-sleep"] {
        let mut command = reef();
        command.arg("run").arg(guest(name)).args(["--", "600000"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // It is inside the guest once the guest has spoken.
        child.stdout.take().unwrap().read_exact(&mut [0; 4]).unwrap();
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
        let status = eventually("the end of the run", || child.try_wait().unwrap());
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2));
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_writer() {
    let mut command = reef();
    command.arg("run").arg(guest("p1-cat"));
    command.stdin(fs::File::open("/dev/zero").unwrap());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap();
    let status = eventually("the end of the run", || child.try_wait().unwrap());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn runs_do_not_disturb_each_other() {
    let mut children = Vec::new();
    for number in 0..4 {
        let mut command = reef();
        command.arg("run").arg(guest("p1-cat")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        write!(child.stdin.as_mut().unwrap(), "{number}").unwrap();
        children.push(child);
    }
    let threads = children.into_iter().map(|child| thread::spawn(|| child.wait_with_output()));
    for (number, thread) in threads.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(thread.join().unwrap().unwrap().stdout, number.to_string().as_bytes());
    }
}

#[test]
fn flags_that_make_no_sense_are_explained() {
    let hello = guest("p1-hello");
    for (flags, said) in [
        (&["--dir", "::"][..], "write HOST, HOST::GUEST or HOST::GUEST:ro"),
        (&["--env", "=x"], "write KEY=VALUE, or KEY to take over the host's value"),
        (&["--egress", "example.com"], "write `example.com:443` for one port"),
        (&["--listen", "here"], "write 127.0.0.1:8080"),
        (&["--deadline", "0s"], "must be more than nothing"),
        (&["--deadline", "5000y"], "10 years at most"),
        (&["--deadline", "soon"], "write 500ms, 2s or 1m30s"),
        (&["--memory", "much"], "such as 64MiB, 512k or 1GiB"),
        (&["--cpu", "0"], "write 0.5 or 50% for half a core"),
        (&["--no-such-flag"], "unexpected argument '--no-such-flag'"),
        (&["-o", "file"], "--invoke"),
    ] {
        run_file(flags, &hello, &[]).fails(2, &[said]);
    }
    for (flags, said) in [
        (&["--dir", "/no/such/folder"][..], "/no/such/folder cannot be opened"),
        (&["--env", "NOT_SET_HERE"], "set it, or write --env NOT_SET_HERE=VALUE"),
        (&["--env-file", "/no/such/file"], "cannot read the variables in /no/such/file"),
    ] {
        run_file(flags, &hello, &[]).fails(125, &[said]);
    }
}
