//! Which functions of a program a run of it calls.
//!
//! A breakpoint on each function, taken away at its first hit, so that a run hardly takes longer.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// The names of functions by address; several may have one.
type Functions = HashMap<u64, Vec<String>>;

/// The functions of `program` that `command`, which starts it, calls, in the order of their first
/// calls.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) fn functions_called(program: &Path, command: &Command) -> Result<Vec<String>> {
    use nix::sys::ptrace::{self, Options};
    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    use nix::unistd::Pid;

    let functions = functions_of(program)?;
    let mut child = stopped(command).spawn().context("cannot start a shell")?;
    let pid = Pid::from_raw(child.id().cast_signed());
    waitpid(pid, Some(WaitPidFlag::WUNTRACED))?;
    let options =
        Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
    if let Err(error) = ptrace::seize(pid, options) {
        let _ = child.kill();
        let _ = child.wait();
        bail!("this machine does not let one process trace another: {error}");
    }
    kill(pid, Signal::SIGCONT)?;

    let mut called = Vec::new();
    let mut planted: Option<Breakpoints> = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::__WALL))? {
            WaitStatus::Exited(ended, _) | WaitStatus::Signaled(ended, ..) if ended == pid => break,
            WaitStatus::PtraceEvent(of, _, event) => {
                if event == nix::libc::PTRACE_EVENT_EXEC {
                    planted = Some(Breakpoints::plant(pid.as_raw(), program, &functions)?);
                }
                ptrace::cont(of, None)?;
            }
            WaitStatus::Stopped(of, Signal::SIGTRAP) => {
                let mut registers = ptrace::getregs(of)?;
                let address = registers.rip - 1;
                match &mut planted {
                    Some(breakpoints) if functions.contains_key(&address) => {
                        // Another thread may have hit it at the same time.
                        if breakpoints.take_away(address)? {
                            called.push(address);
                        }
                        registers.rip = address;
                        ptrace::setregs(of, registers)?;
                        ptrace::cont(of, None)?;
                    }
                    _ => ptrace::cont(of, Signal::SIGTRAP)?,
                }
            }
            WaitStatus::Stopped(of, signal) => ptrace::cont(of, signal)?,
            _ => {}
        }
    }
    Ok(called.iter().flat_map(|address| functions[address].clone()).collect())
}

/// Elsewhere nobody has written it.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(super) fn functions_called(_: &Path, _: &Command) -> Result<Vec<String>> {
    bail!("calls are traced on x86-64 Linux only")
}

/// The same command, stopped just before it starts.
fn stopped(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill -STOP $$; exec \"$@\"", "sh"]);
    shell.arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(key, value),
            None => shell.env_remove(key),
        };
    }
    let null = std::process::Stdio::null;
    shell.stdin(null()).stdout(null()).stderr(null());
    shell
}

fn functions_of(program: &Path) -> Result<Functions> {
    let table = process::capture(Command::new("readelf").args(["-sW"]).arg(program))?;
    let mut functions = Functions::new();
    for line in table.lines() {
        // Number, value, size, type, binding, visibility, section, name.
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [_, value, _, "FUNC", _, _, section, name] = words[..]
            && section != "UND"
            && let Ok(address) = u64::from_str_radix(value, 16)
        {
            functions.entry(address).or_default().push(name.to_owned());
        }
    }
    if functions.is_empty() {
        bail!("{} has no names of functions", program.display());
    }
    Ok(functions)
}

/// Breakpoints in a running program that is linked at a fixed address.
struct Breakpoints {
    memory: File,
    start: u64,
    original: Vec<u8>,
    left: HashSet<u64>,
}

impl Breakpoints {
    const TRAP: u8 = 0xcc;

    fn plant(pid: i32, program: &Path, functions: &Functions) -> Result<Self> {
        let (start, end) = text_of(pid, program)?;
        let mut memory =
            OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
        let mut original = vec![0; usize::try_from(end - start)?];
        memory.seek(SeekFrom::Start(start))?;
        memory.read_exact(&mut original)?;
        let left: HashSet<u64> = functions
            .keys()
            .copied()
            .filter(|&address| start <= address && address < end)
            .collect();
        let mut text = original.clone();
        for &address in &left {
            text[usize::try_from(address - start)?] = Self::TRAP;
        }
        memory.seek(SeekFrom::Start(start))?;
        memory.write_all(&text)?;
        Ok(Self { memory, start, original, left })
    }

    /// Whether it was still there.
    fn take_away(&mut self, address: u64) -> Result<bool> {
        if !self.left.remove(&address) {
            return Ok(false);
        }
        let at = usize::try_from(address - self.start)?;
        self.memory.seek(SeekFrom::Start(address))?;
        self.memory.write_all(&self.original[at..=at])?;
        Ok(true)
    }
}

/// Where the program's code is mapped.
fn text_of(pid: i32, program: &Path) -> Result<(u64, u64)> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let program = program.canonicalize()?;
    maps.lines()
        .filter(|line| line.ends_with(&*program.to_string_lossy()))
        .find_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let executable = rest.as_bytes().get(2) == Some(&b'x');
            let address = |text| u64::from_str_radix(text, 16).ok();
            executable.then_some((address(start)?, address(end)?))
        })
        .context("the program's code is not mapped")
}
