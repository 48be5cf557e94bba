//! Servers of other projects, each test its own: started on loopback at a free port, ended when dropped.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::{TempDir, tempdir};

use crate::support::eventually;

/// A server that can be ended and started again at the same port.
pub(crate) struct External {
    pub(crate) addr: SocketAddr,
    dir: TempDir,
    start: fn(&Path, u16) -> Command,
    child: Option<Child>,
}

impl External {
    pub(crate) fn redis() -> Self {
        Self::start(|dir, port| {
            let mut command = Command::new(program("redis-server"));
            command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]);
            command.arg(port.to_string()).arg("--dir").arg(dir);
            command.args(["--requirepass", "open sesame"]);
            command
        })
    }

    /// Who connects is `me` with the password `open sesame`.
    pub(crate) fn mosquitto() -> Self {
        Self::start(|dir, port| {
            let passwords = dir.join("passwords");
            if !passwords.exists() {
                let mut command = Command::new(program("mosquitto_passwd"));
                command.args(["-b", "-c"]).arg(&passwords).args(["me", "open sesame"]);
                assert!(command.status().unwrap().success());
            }
            let config = dir.join("mosquitto.conf");
            let text = format!(
                "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\nuser {}\n",
                passwords.display(),
                std::env::var("USER").unwrap_or_else(|_| "root".to_owned()),
            );
            fs::write(&config, text).unwrap();
            let mut command = Command::new(program("mosquitto"));
            command.arg("-c").arg(config);
            command
        })
    }

    fn start(start: fn(&Path, u16) -> Command) -> Self {
        // Free when it was asked for; who takes it in between shows when the server does not start.
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut server = Self { addr, dir: tempdir().unwrap(), start, child: None };
        server.up();
        server
    }

    /// Starts it, at the port that it had.
    pub(crate) fn up(&mut self) {
        let mut command = (self.start)(self.dir.path(), self.addr.port());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        eventually("the server", || TcpStream::connect(self.addr).ok());
    }

    /// Ends it at once: nobody is told.
    pub(crate) fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for External {
    fn drop(&mut self) {
        self.down();
    }
}

/// Where a program is; `cargo xtask test` installs it.
pub(crate) fn program(name: &str) -> String {
    let places = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
    let found =
        places.iter().map(|place| format!("{place}/{name}")).find(|path| Path::new(path).exists());
    found.unwrap_or_else(|| {
        panic!("there is no `{name}` on this machine: `cargo xtask test` installs redis-server and mosquitto from Debian")
    })
}
