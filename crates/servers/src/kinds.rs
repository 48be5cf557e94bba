//! How each server is prepared, started, and seen to be ready.

use std::{
    fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    Certificates, Clients, Kind, answers, installed, succeeds,
    tls::{self, Own},
};

/// Versions of NATS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nats {
    /// The newest.
    Newest,
    /// The oldest that is supported.
    Oldest,
}

impl Nats {
    /// The version, as PyPI has it.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Newest => "2.15.1",
            Self::Oldest => "2.10.26",
        }
    }
}

impl Kind {
    /// Makes what has to be there before the first start.
    pub(crate) fn prepare(self, folder: &Path, tls: Option<Clients>) -> Result<()> {
        let data = folder.join("data");
        fs::create_dir(&data)?;
        if tls.is_some() {
            tls::issue(folder)?;
        }
        match self {
            Self::Postgres => {
                // It does not run as root.
                if let Some((user, group)) = postgres_user()? {
                    chown(folder, Some(user), Some(group))?;
                    chown(&data, Some(user), Some(group))?;
                }
                let password = folder.join("password");
                fs::write(&password, "reef")?;
                let mut make = as_postgres(&postgres("initdb")?)?;
                make.args([
                    "--username=reef",
                    "--auth=scram-sha-256",
                    "--no-sync",
                    "--encoding=UTF8",
                ]);
                make.arg("--locale=C").arg("--pwfile").arg(&password).arg("-D").arg(&data);
                run(&mut make)?;
                if let Some(clients) = tls {
                    if let Some((user, group)) = postgres_user()? {
                        chown(Own::of(folder).key, Some(user), Some(group))?;
                    }
                    let demands = match clients {
                        Clients::Any => "",
                        Clients::Certified => "clientcert=verify-ca",
                    };
                    // Who is on this machine can see that it is ready.
                    let who = format!(
                        "local all all scram-sha-256\n\
                         hostssl all all 127.0.0.1/32 scram-sha-256 {demands}\n"
                    );
                    fs::write(data.join("pg_hba.conf"), who)?;
                }
                Ok(())
            }
            Self::MariaDb => {
                let mut make = Command::new("mariadb-install-db");
                make.args(["--no-defaults", "--auth-root-authentication-method=normal"]);
                make.arg("--skip-test-db").arg(format!("--datadir={}", data.display()));
                // One that starts removes the temporary tables that it finds, those of others too.
                make.env("TMPDIR", folder);
                if rustix::process::getuid().is_root() {
                    make.arg("--user=root");
                }
                run(&mut make)
            }
            Self::GuardedMosquitto => {
                let mut make = Command::new("mosquitto_passwd");
                make.args(["-b", "-c"]).arg(folder.join("passwords"));
                make.args(["reef", "open sesame"]);
                run(&mut make)
            }
            Self::Nats(_) if tls.is_some() => {
                let (own, Certificates { ca, .. }) = (Own::of(folder), Certificates::of(folder));
                let text = format!(
                    "jetstream: enabled\n\
                     tls: {{cert_file: '{}', key_file: '{}', ca_file: '{}', verify: {}}}\n",
                    own.cert.display(),
                    own.key.display(),
                    ca.display(),
                    tls == Some(Clients::Certified)
                );
                Ok(fs::write(folder.join("config"), text)?)
            }
            Self::Redis | Self::Mosquitto | Self::Nats(_) | Self::Registry => Ok(()),
        }
    }

    pub(crate) fn command(self, folder: &Path, port: u16, tls: Option<Clients>) -> Result<Command> {
        let data = folder.join("data");
        let (own, Certificates { ca, .. }) = (Own::of(folder), Certificates::of(folder));
        let certified = tls == Some(Clients::Certified);
        let mut command;
        match self {
            Self::Redis => {
                command = Command::new("redis-server");
                command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]);
                command.args(["--appendfsync", "always", "--notify-keyspace-events", "KEA"]);
                command.arg("--dir").arg(&data);
                if tls.is_some() {
                    command.args(["--port", "0", "--tls-port"]).arg(port.to_string());
                    command.arg("--tls-cert-file").arg(own.cert);
                    command.arg("--tls-key-file").arg(own.key);
                    command.arg("--tls-ca-cert-file").arg(ca);
                    command.args(["--tls-auth-clients", if certified { "yes" } else { "no" }]);
                } else {
                    command.arg("--port").arg(port.to_string());
                }
            }
            Self::Postgres => {
                // A socket's path may have some hundred bytes only.
                command = as_postgres(&postgres("postgres")?)?;
                command.arg("-D").arg(&data).arg("-k").arg(folder).arg("-p").arg(port.to_string());
                command.args(["-h", "127.0.0.1", "-c", "max_connections=100"]);
                if tls.is_some() {
                    let files = [("cert", own.cert), ("key", own.key), ("ca", ca)];
                    command.args(["-c", "ssl=on"]);
                    for (name, file) in files {
                        command.arg("-c").arg(format!("ssl_{name}_file={}", file.display()));
                    }
                }
                // What a killed one leaves behind.
                let _ = fs::remove_file(data.join("postmaster.pid"));
            }
            Self::MariaDb => {
                command = Command::new(mariadbd()?);
                command.args(["--no-defaults", "--bind-address=127.0.0.1"]);
                command.arg(format!("--datadir={}", data.display())).env("TMPDIR", folder);
                command.arg(format!("--port={port}"));
                command.arg(format!("--socket={}", folder.join("s").display()));
                if tls.is_some() {
                    // Who is on this machine can see that it is ready.
                    command.args(["--skip-name-resolve", "--require-secure-transport=ON"]);
                    for (name, file) in [("cert", own.cert), ("key", own.key), ("ca", ca)] {
                        command.arg(format!("--ssl-{name}={}", file.display()));
                    }
                }
                let demands = if certified { "require x509" } else { "" };
                let first = folder.join("first.sql");
                fs::write(
                    &first,
                    format!(
                        "create database if not exists reef;\n\
                         create user if not exists 'reef'@'%' identified by 'reef' {demands};\n\
                         create user if not exists 'reef'@'localhost' identified by 'reef';\n\
                         grant all on *.* to 'reef'@'%';\n\
                         grant all on *.* to 'reef'@'localhost';\n"
                    ),
                )?;
                command.arg(format!("--init-file={}", first.display()));
                if rustix::process::getuid().is_root() {
                    command.arg("--user=root");
                }
            }
            Self::Mosquitto | Self::GuardedMosquitto => {
                let config = folder.join("mosquitto.conf");
                let who = match self {
                    Self::Mosquitto => "allow_anonymous true".to_owned(),
                    _ => {
                        let passwords = folder.join("passwords");
                        format!("allow_anonymous false\npassword_file {}", passwords.display())
                    }
                };
                let with = tls.map(|_| {
                    format!(
                        "cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate {certified}\n",
                        ca.display(),
                        own.cert.display(),
                        own.key.display()
                    )
                });
                let with = with.unwrap_or_default();
                let text = format!(
                    "listener {port} 127.0.0.1\n{with}{who}\npersistence true\npersistence_location {}/\n\
                     autosave_interval 1\nuser root\n",
                    data.display()
                );
                fs::write(&config, text)?;
                command = Command::new(system("mosquitto")?);
                command.arg("-c").arg(&config);
            }
            Self::Nats(version) => {
                command = Command::new(installed(&format!("nats-server-{}", version.version())));
                let config = folder.join("config");
                let said = fs::read_to_string(&config).unwrap_or_default();
                if !said.lines().any(|line| line.starts_with("host:")) {
                    command.args(["-a", "127.0.0.1"]);
                }
                if config.exists() {
                    command.arg("-c").arg(config);
                } else {
                    command.arg("-js");
                }
                command.arg("-p").arg(port.to_string()).arg("-sd").arg(&data);
            }
            Self::Registry => {
                let config = folder.join("registry.yml");
                let text = format!(
                    "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
                     http: {{addr: '127.0.0.1:{port}'}}\n",
                    data.display()
                );
                fs::write(&config, text)?;
                command = Command::new("docker-registry");
                command.arg("serve").arg(&config);
            }
        }
        Ok(command)
    }

    pub(crate) fn is_ready(self, folder: &Path, port: u16, tls: Option<Clients>) -> bool {
        match self {
            Self::Redis if tls.is_some() => {
                let Certificates { ca, cert, key } = Certificates::of(folder);
                let mut ping = Command::new("redis-cli");
                ping.args(["--tls", "-p", &port.to_string(), "--cacert"]).arg(ca);
                ping.arg("--cert").arg(cert).arg("--key").arg(key).arg("ping");
                succeeds(&mut ping)
            }
            // It listens when it is ready.
            Self::Mosquitto | Self::GuardedMosquitto if tls.is_some() => {
                std::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).is_ok()
            }
            Self::Redis => answers(port, b"PING\r\n", b"+PONG"),
            Self::Nats(_) => answers(port, b"", b"INFO"),
            // A CONNECT of MQTT 3.1.1 without a name, which is accepted.
            Self::Mosquitto | Self::GuardedMosquitto => {
                let connect = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00";
                answers(port, connect, b"\x20\x02\x00")
            }
            Self::Registry => answers(port, b"GET /v2/ HTTP/1.0\r\n\r\n", b"HTTP/1.0 200"),
            Self::Postgres => {
                let port = port.to_string();
                let host = if tls.is_some() { folder } else { Path::new("127.0.0.1") };
                let psql = |database: &str, statement: &str| {
                    let mut psql = Command::new("psql");
                    psql.env("PGPASSWORD", "reef").arg("-h").arg(host).args(["-p", &port]);
                    psql.args(["-U", "reef", "-d", database, "-c", statement]);
                    psql
                };
                succeeds(&mut psql("reef", "select 1"))
                    || (succeeds(&mut psql("postgres", "create database reef"))
                        && succeeds(&mut psql("reef", "select 1")))
            }
            Self::MariaDb => {
                let mut client = Command::new("mariadb");
                client.arg("--no-defaults").arg(format!("--socket={}", folder.join("s").display()));
                succeeds(client.args(["-u", "reef", "-preef", "-e", "select 1", "reef"]))
            }
        }
    }
}

/// Programs that are not on everybody's path.
fn system(name: &str) -> Result<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
    let found =
        folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file());
    found.with_context(|| format!("there is no {name}; `cargo xtask servers` installs it"))
}

fn mariadbd() -> Result<PathBuf> {
    system("mariadbd").or_else(|_| system("mysqld"))
}

/// A program of the newest PostgreSQL that is installed as Debian does it.
fn postgres(name: &str) -> Result<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin").join(name)))
        })
        .filter(|(_, path)| path.is_file())
        .collect();
    versions.sort();
    match versions.pop() {
        Some((_, path)) => Ok(path),
        None => system(name),
    }
}

fn postgres_user() -> Result<Option<(u32, u32)>> {
    if !rustix::process::getuid().is_root() {
        return Ok(None);
    }
    let all = fs::read_to_string("/etc/passwd")?;
    let line = all.lines().find(|line| line.starts_with("postgres:"));
    let line = line.context("there is no user `postgres`; `cargo xtask servers` installs it")?;
    let mut fields = line.split(':').skip(2).map(str::parse);
    match (fields.next(), fields.next()) {
        (Some(Ok(user)), Some(Ok(group))) => Ok(Some((user, group))),
        _ => bail!("/etc/passwd makes no sense: {line}"),
    }
}

fn as_postgres(program: &Path) -> Result<Command> {
    let mut command = match postgres_user()? {
        None => Command::new(program),
        Some((user, group)) => {
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={user}")).arg(format!("--regid={group}"));
            command.arg("--clear-groups").arg(program);
            command
        }
    };
    command.current_dir("/");
    Ok(command)
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let output = command.output().with_context(|| {
        format!("{program} cannot be started; `cargo xtask servers` installs it")
    })?;
    if !output.status.success() {
        let (said, failed) = (&output.stdout, &output.stderr);
        let (said, failed) = (String::from_utf8_lossy(said), String::from_utf8_lossy(failed));
        bail!("{program} failed with {}:\n{said}{failed}", output.status);
    }
    Ok(())
}
