//! `reef run --invoke`.

use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
};

use tempfile::tempdir;

use crate::support::{guest, reef};

fn invoke(wasm: impl AsRef<OsStr>, call: &str) -> Command {
    let mut command = reef();
    command.arg("run").arg(wasm).args(["--invoke", call]);
    command
}

fn call(wasm: impl AsRef<OsStr>, text: &str) -> Output {
    invoke(wasm, text).output().unwrap()
}

#[track_caller]
fn assert_prints(output: &Output, expected: &str) {
    assert_eq!((stdout(output).as_str(), output.status.code()), (expected, Some(0)), "{output:?}");
}

#[track_caller]
fn assert_fails(output: &Output, status: i32, with: &[&str]) {
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    for part in with {
        assert!(stderr(output).contains(part), "{part:?} is not in\n{}", stderr(output));
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn start(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A component over byte streams, in the text format.
fn streams(dir: &Path) -> PathBuf {
    let path = dir.join("streams.wat");
    fs::write(
        &path,
        r#"(component
            (type $bytes (stream u8))
            (core func $drop (canon stream.drop-readable $bytes))
            (core module $m
                (import "" "drop" (func $drop (param i32)))
                (func (export "keep") (param i32) (result i32) i32.const 7)
                (func (export "drop") (param i32) (result i32)
                    local.get 0 call $drop i32.const 8)
                (func (export "same") (param i32) (result i32) local.get 0))
            (core instance $i (instantiate $m (with "" (instance (export "drop" (func $drop))))))
            (func (export "keep") (param "in" $bytes) (result u32)
                (canon lift (core func $i "keep")))
            (func (export "drop") (param "in" $bytes) (result u32)
                (canon lift (core func $i "drop")))
            (func (export "same") (param "in" $bytes) (result $bytes)
                (canon lift (core func $i "same"))))"#,
    )
    .unwrap();
    path
}

/// Answers each connection with the next of these, whatever it asks.
fn server(answers: Vec<Vec<u8>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for answer in answers {
            let (mut connection, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && connection.read(&mut byte).unwrap() == 1 {
                request.push(byte[0]);
            }
            // A client that has read enough closes the connection.
            let _ = connection.write_all(&answer);
        }
    });
    port
}

#[test]
fn values_go_in_and_out_as_wave() {
    let library = guest("p2-lib");
    for (text, expected) in [
        ("add(1, -2)", "-1\n"),
        ("greet(\"A, (B\")", "\"hello, A, (B\"\n"),
        ("divide(1, 4)", "ok(0.25)\n"),
        ("total([1, 2, 3,])", "6\n"),
        ("first([])", "none\n"),
        ("birthday({name: \"A\", age: 3})", "{name: \"A\", age: 4}\n"),
        ("area(rectangle((2, 3)))", "6\n"),
    ] {
        assert_prints(&call(&library, text), expected);
    }
}

#[test]
fn an_error_of_the_function_is_printed_and_is_status_1() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    let out = dir.join("out");
    let output = invoke(guest("p2-lib"), "divide(1, 0)").arg("-o").arg(&out).output().unwrap();
    assert_fails(&output, 1, &["err(\"division by zero\")"]);
    assert_eq!(stdout(&output), "");
    assert_eq!(fs::read_dir(dir).unwrap().count(), 0);
}

#[test]
fn what_does_not_fit_is_explained() {
    let library = guest("p2-lib");
    assert_fails(
        &call(&library, "add(1, \"x\")"),
        125,
        &["argument 2 (`b`): expected s32, found a string\n  add(1, \"x\")\n         ^^^"],
    );
    assert_fails(
        &call(&library, "add(1)"),
        125,
        &["2 arguments expected, 1 given\n  add: func(a: s32, b: s32) -> s32"],
    );
    assert_fails(
        &call(&library, "great(\"A\")"),
        125,
        &[
            "it exports no function `great`; did you mean `greet`?",
            "\n  total: func(numbers: list<u32>) -> u64\n",
        ],
    );
    assert_fails(&call(&library, "add(@x, 1)"), 125, &["expected s32; an @source can be given"]);
    assert_fails(&call(&library, "crash()"), 134, &["unreachable"]);
}

#[test]
fn core_modules_are_called_with_numbers() {
    let module = guest("as-add");
    assert_prints(&call(&module, "add(0xffffffff, 3)"), "2\n");
    assert_prints(&call(&module, "fib(10)"), "55\n");
    assert_prints(&call(&module, "half(-inf)"), "-inf\n");
    assert_fails(&call(&module, "add(1, 2.5)"), 125, &["`2.5` is not a number of type i32"]);
    assert_fails(&call(&module, "ad(1, 2)"), 125, &["did you mean `add`?", "add(i32, i32) -> i32"]);
}

#[test]
fn a_reactor_is_initialized_before_it_is_called() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("reactor.wat");
    fs::write(
        &path,
        r#"(module
            (global $ready (mut i32) (i32.const 0))
            (func (export "_initialize")
                (global.set $ready (i32.add (global.get $ready) (i32.const 1))))
            (func (export "both") (result i32 f64) (global.get $ready) (f64.const nan))
            (func (export "wide") (param v128)))"#,
    )
    .unwrap();
    assert_prints(&call(&path, "both"), "1\nnan\n");
    assert_prints(&call(&path, "_initialize()"), "");
    assert_fails(&call(&path, "wide(1)"), 125, &["a value of type v128 cannot be written out"]);
}

#[test]
fn files_go_in_and_out_without_a_grant() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    let (input, out) = (dir.join("a, b.txt"), dir.join("out"));
    fs::write(&input, "Hello").unwrap();
    fs::write(&out, "before").unwrap();
    let wasm = guest("p3-streams");
    for (function, expected) in [("rot13", "Uryyb"), ("upper", "HELLO"), ("count", "5\n")] {
        let text = format!("{function}(@{:?})", input.display().to_string());
        let output = invoke(&wasm, &text).arg("-o").arg(&out).output().unwrap();
        assert_prints(&output, "");
        assert_eq!(fs::read_to_string(&out).unwrap(), expected);
    }
    // Printed, a stream is its bytes and a list is WAVE.
    let quoted = format!("(@{:?})", input.display().to_string());
    assert_prints(&call(&wasm, &format!("rot13{quoted}")), "Uryyb");
    assert_prints(&call(&wasm, &format!("upper{quoted}")), "[72, 69, 76, 76, 79]\n");
    let greeting = call(guest("p2-lib"), &format!("greet{quoted}"));
    assert_prints(&greeting, "\"hello, Hello\"\n");
    assert_eq!(fs::read_dir(dir).unwrap().count(), 2);
}

#[test]
fn a_failed_call_leaves_the_output_as_it_was() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    let (input, out) = (dir.join("in"), dir.join("out"));
    fs::write(&input, vec![7; 1 << 20]).unwrap();
    fs::write(&out, "before").unwrap();
    let run =
        |text: String| invoke(guest("p3-streams"), &text).arg("-o").arg(&out).output().unwrap();
    assert_fails(&run(format!("break-midway(@{})", input.display())), 134, &["unreachable"]);
    assert_fails(&run(format!("count(@{}/none)", dir.display())), 1, &["No such file"]);
    assert_fails(&run(format!("count(@{})", dir.display())), 1, &["Is a directory"]);
    assert_eq!(fs::read_to_string(&out).unwrap(), "before");
    assert_eq!(fs::read_dir(dir).unwrap().count(), 2);

    let full = invoke(guest("p3-streams"), "zeros(9000000000)").args(["-o", "/dev/full"]).output();
    assert_fails(&full.unwrap(), 1, &["cannot write /dev/full: No space left on device"]);
}

#[test]
fn a_link_and_its_files_permissions_are_kept() {
    let dir = tempdir().unwrap();
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    fs::write(&file, "before").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("file", &link).unwrap();
    let output = invoke(guest("p3-streams"), "zeros(3)").arg("-o").arg(&link).output().unwrap();
    assert_prints(&output, "");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(&file).unwrap(), [0; 3]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_result_that_cannot_be_written_yet_is_said_to_be_pending() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("future.wat");
    fs::write(
        &path,
        r#"(component
            (type $later (future u8))
            (core module $m (func (export "f") (result i32) unreachable))
            (core instance $i (instantiate $m))
            (func (export "later") (result $later) (canon lift (core func $i "f"))))"#,
    )
    .unwrap();
    assert_fails(&call(&path, "later"), 125, &["is pending", "later: func() -> future<u8>"]);
}

#[test]
fn a_reader_that_stops_reading_is_no_error() {
    // Whether it says that it compiles is not what is looked at.
    assert_prints(&call(guest("p3-streams"), "zeros(0)"), "");
    let mut child = start(invoke(guest("p3-streams"), "zeros(900000000000)"));
    let mut start = [1; 100];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    assert_eq!(start, [0; 100]);
}

#[test]
fn a_guest_need_not_read_its_input() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    let wasm = streams(dir);
    let input = dir.join("in");
    fs::write(&input, vec![7; 4 << 20]).unwrap();
    assert_prints(&call(&wasm, &format!("keep(@{})", input.display())), "7\n");
    assert_prints(&call(&wasm, &format!("drop(@{})", input.display())), "8\n");
    // Standard input stays open: nothing waits for its end.
    for (text, expected) in [("keep(@-)", "7\n"), ("drop(@-)", "8\n")] {
        let mut child = start(invoke(&wasm, text));
        let open = child.stdin.take();
        assert_prints(&child.wait_with_output().unwrap(), expected);
        drop(open);
    }
    // What the guest hands back untouched does not go through it.
    let output = call(&wasm, &format!("same(@{})", input.display()));
    assert!(output.stdout == fs::read(&input).unwrap(), "{}", stderr(&output));
}

#[test]
fn a_guest_sees_its_input_as_it_comes() {
    let mut child = start(invoke(guest("p3-streams"), "rot13(@-)"));
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    for (sent, expected) in [(b"abc", b"nop"), (b"xyz", b"klm")] {
        stdin.write_all(sent).unwrap();
        let mut came = [0; 3];
        stdout.read_exact(&mut came).unwrap();
        assert_eq!(&came, expected);
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_deadline_ends_the_wait_for_input() {
    let mut command = invoke(guest("p3-streams"), "count(@-)");
    command.args(["--deadline", "300ms"]);
    let mut child = start(command);
    let open = child.stdin.take();
    assert_fails(&child.wait_with_output().unwrap(), 124, &["the deadline of 300 ms passed"]);
    drop(open);
}

#[test]
fn urls_are_fetched_where_egress_is_granted() {
    let answer = |head: &str, body: &str| format!("HTTP/1.1 {head}\r\n\r\n{body}").into_bytes();
    let port = server(vec![
        answer("200 OK\r\nContent-Length: 5\r\nConnection: close", "Hello"),
        answer("404 Not Found\r\nContent-Length: 0\r\nConnection: close", ""),
        answer("302 Found\r\nLocation: /new\r\nContent-Length: 0\r\nConnection: close", ""),
        answer("200 OK\r\nContent-Length: 50\r\nConnection: close", "Hello"),
    ]);
    let text = format!("rot13(@http://127.0.0.1:{port}/photo?a=(b))");
    let wasm = guest("p3-streams");
    let egress = format!("127.0.0.1:{port}");
    assert_fails(&call(&wasm, &text), 1, &["was not granted", &format!("--egress {egress}")]);

    let granted = || invoke(&wasm, &text).args(["--egress", &egress]).output().unwrap();
    assert_prints(&granted(), "Uryyb");
    assert_fails(&granted(), 1, &["the server answered 404 Not Found"]);
    assert_fails(&granted(), 1, &["302 Found and names /new; redirects are not followed"]);
    // The guest saw an early end and returned normally.
    assert_fails(&granted(), 1, &["cannot read http://127.0.0.1", "the connection was closed"]);
}

#[test]
fn a_list_has_to_fit_into_the_guest() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    let input = dir.join("in");
    fs::File::create(&input).unwrap().set_len(65 << 20).unwrap();
    let text = format!("upper(@{})", input.display());
    let output = invoke(guest("p3-streams"), &text).args(["--memory", "64MiB"]).output();
    assert_fails(
        &output.unwrap(),
        125,
        &["does not fit into the memory limit of 64MiB", "--memory"],
    );
}

#[test]
fn memory_stays_constant_however_long_the_stream_is() {
    const LENGTH: usize = 512 << 20;
    let wasm = guest("p3-streams");
    // Compiling is not what is measured.
    assert_prints(&call(&wasm, "zeros(0)"), "");

    let mut child = start(invoke(&wasm, "passthrough(@-)"));
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let feeder = thread::spawn(move || {
        let chunk = vec![7; 1 << 20];
        for _ in 0..LENGTH >> 20 {
            stdin.write_all(&chunk).unwrap();
        }
        stdin
    });
    let mut left = LENGTH;
    let mut buffer = vec![0; 1 << 20];
    while left > 0 {
        let length = stdout.read(&mut buffer).unwrap();
        assert!(length > 0, "{left} bytes did not come");
        assert!(buffer[..length].iter().all(|byte| *byte == 7));
        left -= length;
    }
    // It still waits for more, so the kernel still knows its peak.
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    drop(feeder.join().unwrap());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(kibibytes < 100 << 10, "{kibibytes} KiB at the peak");
}

#[test]
fn the_shrink_example_makes_a_picture_smaller() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    let (photo, small) = (dir.join("photo.png"), dir.join("small.png"));
    fs::write(&photo, png(1200, 800)).unwrap();
    let text = format!("shrink(@{})", photo.display());
    let output = invoke(guest("shrink"), &text).arg("-o").arg(&small).output().unwrap();
    assert_prints(&output, "");
    let small_png = fs::read(&small).unwrap();
    assert!(small_png.starts_with(b"\x89PNG"));
    let side = |at: usize| u32::from_be_bytes(small_png[at..at + 4].try_into().unwrap());
    assert_eq!((side(16), side(20)), (480, 320));

    // What is no picture is refused by the guest, in its own words and with its own status.
    fs::write(&photo, "no picture").unwrap();
    let output = invoke(guest("shrink"), &text).arg("-o").arg(&small).output().unwrap();
    assert_fails(&output, 1, &["shrink: not a picture"]);
    assert!(fs::read(&small).unwrap() == small_png);
}

/// A picture of one colour, uncompressed (PNG, third edition, sections 5 and 10).
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut row = vec![0];
    row.resize(1 + 3 * width as usize, 120);
    let pixels = row.repeat(height as usize);
    let mut zlib = vec![0x78, 0x01];
    let mut blocks = pixels.chunks(0xffff).peekable();
    while let Some(block) = blocks.next() {
        let length = block.len() as u16;
        zlib.push(u8::from(blocks.peek().is_none()));
        zlib.extend([length.to_le_bytes(), (!length).to_le_bytes()].concat());
        zlib.extend(block);
    }
    let (a, b) = pixels.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (a + b) % 65521)
    });
    zlib.extend((b << 16 | a).to_be_bytes());

    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", header), (b"IDAT", zlib), (b"IEND", vec![])] {
        png.extend((data.len() as u32).to_be_bytes());
        let start = png.len();
        png.extend(kind);
        png.extend(data);
        let checksum = !png[start..].iter().fold(!0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
            })
        });
        png.extend(checksum.to_be_bytes());
    }
    png
}
