//! One process from start to end: what it wrote, how it ended, what it used.

use std::{
    fs,
    io::{Read, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::support::{PATIENCE, guest, reef};

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Processor time of all its threads.
    pub(crate) cpu: Duration,
    /// The most memory that it was seen to hold, in bytes.
    pub(crate) peak: u64,
    pub(crate) took: Duration,
}

impl Ended {
    #[track_caller]
    pub(crate) fn status(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self:?}"))
    }

    pub(crate) fn signal(&self) -> Option<i32> {
        self.status.signal()
    }

    /// Fails unless it ended with this status and has said all of this on standard error.
    #[track_caller]
    pub(crate) fn fails(&self, status: i32, said: &[&str]) {
        assert_eq!(self.status(), status, "{self:?}");
        for part in said {
            assert!(self.stderr.contains(part), "{part:?} is not in\n{}", self.stderr);
        }
    }

    /// Fails unless it ended well and has printed all of this.
    #[track_caller]
    pub(crate) fn prints(&self, parts: &[&str]) {
        assert_eq!(self.status(), 0, "{self:?}");
        for part in parts {
            assert!(self.stdout.contains(part), "{part:?} is not in\n{}", self.stdout);
        }
    }
}

/// Runs a command to its end; ends it itself, and fails, when that takes too long.
pub(crate) fn finish(mut command: Command, stdin: &[u8]) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // Whoever does not read its input to the end may end before it is written.
    let feeding = thread::spawn(move || drop(input.write_all(&stdin)));
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let (cpu, peak) = watch(&mut child);
    let status = child.wait().unwrap();
    let took = start.elapsed();
    feeding.join().unwrap();
    // On a slow machine it says that it compiles, which no test is about.
    let compiles = |line: &str| line.starts_with("Compiling ");
    let said = stderr.join().unwrap();
    let stderr = said.split_inclusive('\n').filter(|line| !compiles(line)).collect();
    Ended { status, stdout: stdout.join().unwrap(), stderr, cpu, peak, took }
}

/// Waits until a child has ended, with what it used; it is still to be waited for.
pub(crate) fn watch(child: &mut Child) -> (Duration, u64) {
    let proc = format!("/proc/{}", child.id());
    let until = Instant::now() + 10 * PATIENCE;
    let mut peak = 0;
    loop {
        let status = fs::read_to_string(format!("{proc}/status")).unwrap();
        if let Some(kib) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
            peak = kib.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10;
        }
        let stat = fs::read_to_string(format!("{proc}/stat")).unwrap();
        // After the name in brackets: the state, and as the 12th and 13th field the time, in
        // hundredths of a second (proc(5)).
        let fields: Vec<_> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
        if fields[0] == "Z" {
            let ticks: u64 = fields[11..=12].iter().map(|n| n.parse::<u64>().unwrap()).sum();
            return (Duration::from_millis(ticks * 10), peak);
        }
        if Instant::now() > until {
            child.kill().unwrap();
            panic!("it does not end");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// `reef run FLAGS FILE -- ARGS`.
pub(crate) fn run_file(flags: &[&str], file: &Path, args: &[&str]) -> Ended {
    let mut command = reef();
    command.arg("run").args(flags).arg(file).arg("--").args(args);
    finish(command, b"")
}

/// The same for a guest.
pub(crate) fn run(flags: &[&str], name: &str, args: &[&str]) -> Ended {
    run_file(flags, &guest(name), args)
}

/// The same for a guest in its text form.
pub(crate) fn run_text(flags: &[&str], text: &str) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("guest.wat");
    fs::write(&file, text).unwrap();
    run_file(flags, &file, &[])
}
