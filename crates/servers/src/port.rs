//! Ports for servers that are killed and start again: nobody else may have one in between.

use std::{
    fs::{File, TryLockError},
    net::{Ipv4Addr, TcpListener},
    ops::Range,
    process,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};

/// Below those that the system gives to connections and to whoever asks for any.
const PORTS: Range<u16> = 20_000..32_000;

/// What keeps the ports of this process from other tests; the system takes the locks back when the process ends.
static LOCKS: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port on 127.0.0.1 that nothing listens on and that no other process has from here, for as long as this one runs.
///
/// # Errors
/// When none is free, or the folder of locks cannot be used.
pub fn free_port() -> Result<u16> {
    let user = rustix::process::getuid().as_raw();
    let folder = std::env::temp_dir().join(format!("reef-ports-{user}"));
    std::fs::create_dir_all(&folder)?;
    let mut locks = LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    // Processes that start together begin in different places.
    let many = usize::from(PORTS.end - PORTS.start);
    let first = (process::id() as usize).wrapping_mul(61) % many;
    for port in PORTS.cycle().skip(first).take(many) {
        let path = folder.join(port.to_string());
        let lock = File::options().create(true).append(true).open(&path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| path.display().to_string());
            }
        }
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            locks.push(lock);
            return Ok(port);
        }
    }
    anyhow::bail!("no port of {PORTS:?} is free")
}
