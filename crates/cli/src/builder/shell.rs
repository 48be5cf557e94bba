//! Commands in the shell, each in a process group of its own, which is ended as a whole.

use std::{
    collections::HashSet,
    io::{self, BufRead as _, BufReader, Read as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

/// How long commands that are told to end may take.
const GRACE: Duration = Duration::from_secs(3);
/// How long is waited for what a command's own children still say when it has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Bytes of a line; a longer one becomes several.
const LONGEST_LINE: u64 = 8192;
/// Lines that may wait to be told.
const WAITING: usize = 256;

/// Ends the commands that run with it, and keeps others from starting.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<State>);

#[derive(Debug, Default)]
struct State {
    told: AtomicBool,
    groups: Mutex<HashSet<Pid>>,
}

enum Event {
    Line(String),
    Ended(io::Result<ExitStatus>),
}

impl Stop {
    /// Says so. Commands are asked to end, and after some seconds made to.
    pub(crate) fn now(&self) {
        self.0.told.store(true, Ordering::SeqCst);
        for group in self.groups().iter() {
            let _ = kill_process_group(*group, Signal::TERM);
        }
        let state = self.clone();
        thread::spawn(move || {
            thread::sleep(GRACE);
            for group in state.groups().iter() {
                let _ = kill_process_group(*group, Signal::KILL);
            }
        });
    }

    /// Whether that was said.
    pub(crate) fn is_told(&self) -> bool {
        self.0.told.load(Ordering::SeqCst)
    }

    fn groups(&self) -> MutexGuard<'_, HashSet<Pid>> {
        self.0.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, group: Pid) {
        self.groups().insert(group);
        // It was said between the start of the command and this.
        if self.is_told() {
            let _ = kill_process_group(group, Signal::TERM);
        }
    }
}

/// Runs a command to its end. Each line of its output is handed on, standard output and error in the
/// order that they were written in.
pub(super) fn run(
    command: &str,
    folder: &Path,
    env: &[(&str, &str)],
    stop: &Stop,
    mut line: impl FnMut(&str),
) -> io::Result<ExitStatus> {
    let (reader, writer) = io::pipe()?;
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut child = {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(command).current_dir(folder).envs(env.iter().copied());
        shell.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
        // The writers go with the block: the reader would wait for them.
        shell.spawn()?
    };
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        stop.enter(group);
    }
    let (events, happened) = mpsc::sync_channel(WAITING);
    let lines = events.clone();
    thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut bytes = Vec::new();
        while matches!((&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut bytes), Ok(1..)) {
            let text = String::from_utf8_lossy(&bytes).replace('\t', "    ");
            let text = reef_artifact::visible(text.trim_end(), usize::MAX);
            if lines.send(Event::Line(text)).is_err() {
                return;
            }
            bytes.clear();
        }
    });
    let groups = stop.clone();
    thread::spawn(move || {
        let ended = child.wait();
        if let Some(group) = group {
            groups.groups().remove(&group);
        }
        let _ = events.send(Event::Ended(ended));
    });
    let mut ended = None::<(io::Result<ExitStatus>, Instant)>;
    loop {
        let event = match &ended {
            // Something that the command left behind may hold its output open for ever.
            Some((_, until)) => {
                happened.recv_timeout(until.saturating_duration_since(Instant::now()))
            }
            None => happened.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match event {
            Ok(Event::Line(said)) => line(&said),
            Ok(Event::Ended(status)) => ended = Some((status, Instant::now() + LAST_WORDS)),
            Err(_) => break,
        }
    }
    ended.map_or_else(|| Err(io::Error::other("nobody saw its end")), |(status, _)| status)
}
