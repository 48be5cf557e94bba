//! Packages of Debian and Ubuntu: installed when missing, or only unpacked into the cache.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

use crate::cache::{self, Cache};
use crate::process;

/// True once the package lists were updated by this process.
static UPDATED: Mutex<bool> = Mutex::new(false);

/// Installs those of the packages that are missing. Needs root or `sudo` without a password;
/// otherwise the error is the one command line to run.
pub(crate) fn ensure(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!("sudo apt-get install -y --no-install-recommends {}", missing.join(" "));
    if process::find("apt-get").is_none() {
        bail!(
            "this is neither Debian nor Ubuntu; install what these packages hold: {}",
            missing.join(" ")
        );
    }
    let Some(prefix) = privilege() else {
        bail!("packages are missing and this user may not install them. Run:\n    {by_hand}");
    };
    eprintln!("installing {}", missing.join(" "));
    update(prefix)?;
    let mut install = apt_get(prefix);
    install.args(["install", "-y", "--no-install-recommends"]).args(&missing);
    process::capture(&mut install)
        .with_context(|| format!("apt-get could not; try:\n    {by_hand}"))?;
    Ok(())
}

/// The first of these packages that is installed or that this system's sources offer.
pub(crate) fn first_available<'a>(names: &[&'a str]) -> Result<&'a str> {
    let known = |name: &&&str| {
        let quiet = Command::new("apt-cache").args(["show", "--no-all-versions", name]).output();
        quiet.is_ok_and(|output| output.status.success())
    };
    if let Some(name) = names.iter().find(|name| is_installed(name)) {
        return Ok(name);
    }
    if let Some(prefix) = privilege() {
        update(prefix)?;
    }
    names.iter().find(known).copied().with_context(|| {
        format!("this system's package sources offer none of: {}", names.join(" "))
    })
}

/// The installed version of a package.
pub(crate) fn version(package: &str) -> Option<String> {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${db:Status-Status} ${Version}", package]);
    let output = process::capture(&mut query).ok()?;
    output.strip_prefix("installed ").map(str::to_owned)
}

/// Unpacks one package of a suite that this system need not have among its sources; nothing is
/// installed. Returns the folder that holds the package's tree.
pub(crate) fn unpack(cache: &Cache, suite: &str, package: &str) -> Result<PathBuf> {
    let folder = cache.toolchain(&format!("{package}-{suite}"));
    if cache::is_finished(&folder, suite) {
        return Ok(folder);
    }
    eprintln!("fetching {package} of {suite}");
    let work = cache.scratch("apt")?;
    for part in ["lists/partial", "archives/partial", "no-parts"] {
        fs::create_dir_all(work.join(part)).context("cannot write to the cache")?;
    }
    // Sources, lists and archives of its own: the system's stay as they are.
    let at = work.display();
    let sources = format!("deb http://deb.debian.org/debian {suite} main\n");
    let settings = format!(
        "Dir::Etc::sourcelist \"{at}/sources.list\";\n\
         Dir::Etc::sourceparts \"{at}/no-parts\";\n\
         Dir::State::lists \"{at}/lists\";\n\
         Dir::Cache \"{at}\";\n\
         APT::Sandbox::User \"\";\n"
    );
    fs::write(work.join("sources.list"), sources).context("cannot write to the cache")?;
    fs::write(work.join("apt.conf"), settings).context("cannot write to the cache")?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("APT_CONFIG", work.join("apt.conf")).current_dir(&work);
        process::capture(&mut command)
    };
    apt(&["update"])?;
    apt(&["download", &format!("{package}/{suite}")])?;
    let archive = fs::read_dir(&work)
        .context("cannot read the cache")?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .with_context(|| format!("apt-get downloaded no {package}"))?;
    cache::remove(&folder)?;
    process::capture(Command::new("dpkg").arg("-x").arg(archive).arg(&folder))?;
    cache::finish(&folder, suite)?;
    cache::remove(&work)?;
    Ok(folder)
}

fn is_installed(package: &str) -> bool {
    version(package).is_some()
}

/// What to put before `apt-get`: nothing as root, `sudo` where it asks for no password.
fn privilege() -> Option<&'static [&'static str]> {
    let succeeds = |program: &str, arguments: &[&str], expected: Option<&str>| {
        Command::new(program).args(arguments).output().is_ok_and(|output| {
            let printed = String::from_utf8_lossy(&output.stdout);
            output.status.success() && expected.is_none_or(|text| printed.trim() == text)
        })
    };
    if succeeds("id", &["-u"], Some("0")) {
        Some(&[])
    } else if succeeds("sudo", &["-n", "true"], None) {
        Some(&["sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive"])
    } else {
        None
    }
}

fn apt_get(prefix: &[&str]) -> Command {
    let mut words = prefix.iter().copied().chain(["apt-get"]);
    let mut command = Command::new(words.next().unwrap_or("apt-get"));
    // A server that is installed for tests is not started as a service.
    command.args(words).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command
}

/// Updates the package lists, once.
fn update(prefix: &[&str]) -> Result<()> {
    let mut updated = UPDATED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !*updated {
        process::capture(apt_get(prefix).arg("update"))?;
        *updated = true;
    }
    Ok(())
}
