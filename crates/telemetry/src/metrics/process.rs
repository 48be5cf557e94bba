use std::fs;

use super::{Family, Kind, Value};

/// This process, from `/proc/self` (proc(5)); on a machine without it, nothing.
pub(super) fn collect(out: &mut Vec<Family>) {
    if let Some(stat) =
        fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::parse(&text))
    {
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let page = rustix::param::page_size() as u64;
        let mut add =
            |name, kind, help, value| out.push(Family::new(name, kind, help).with(&[], value));
        add(
            "process_cpu_seconds_total",
            Kind::Counter,
            "Time on a CPU, in user and system mode.",
            Value::Float(stat.cpu_ticks as f64 / ticks),
        );
        add("process_threads", Kind::Gauge, "Threads.", Value::Integer(stat.threads));
        add(
            "process_virtual_memory_bytes",
            Kind::Gauge,
            "Address space in use; instance pools reserve far more than they touch.",
            Value::Integer(stat.virtual_bytes),
        );
        add(
            "process_resident_memory_bytes",
            Kind::Gauge,
            "Memory in RAM.",
            Value::Integer(stat.resident_pages * page),
        );
        if let Some(boot) = boot_time() {
            add(
                "process_start_time_seconds",
                Kind::Gauge,
                "When the process started, in seconds since 1970.",
                Value::Float(boot as f64 + stat.start_ticks as f64 / ticks),
            );
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is this listing's own.
        let open = open.count().saturating_sub(1) as u64;
        out.push(
            Family::new("process_open_fds", Kind::Gauge, "Open file descriptors.")
                .with(&[], Value::Integer(open)),
        );
    }
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        out.push(
            Family::new("process_max_fds", Kind::Gauge, "Most file descriptors that may be open.")
                .with(&[], Value::Integer(limit)),
        );
    }
}

/// Seconds since 1970 at which the machine started.
fn boot_time() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The fields of `/proc/PID/stat` that are wanted (proc_pid_stat(5)).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) cpu_ticks: u64,
    pub(super) threads: u64,
    pub(super) start_ticks: u64,
    pub(super) virtual_bytes: u64,
    pub(super) resident_pages: u64,
}

impl Stat {
    pub(super) fn parse(text: &str) -> Option<Self> {
        // The second field is the program's name in parentheses, and may itself contain some.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Numbered from 1 in the manual page; the first here is number 3.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)?.saturating_add(field(15)?),
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}
