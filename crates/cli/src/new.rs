//! `reef new`: a folder to begin with.

mod templates;

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow, bail};
use reef_app::Name;

use crate::{args::New, table};
use templates::{ALL, Template};

/// Makes an application out of a template.
pub(crate) fn new(args: &New) -> anyhow::Result<i32> {
    if args.list {
        let rows: Vec<_> =
            ALL.iter().map(|one| [one.name.to_owned(), one.about.to_owned()]).collect();
        return table::print(&rows);
    }
    let given = args.name.as_deref().context("name the application")?;
    let folder = PathBuf::from(given);
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or(given);
    let name: Name = name.parse()?;
    let template = ALL.iter().find(|one| one.name == args.template).ok_or_else(|| {
        let all: Vec<_> = ALL.iter().map(|one| one.name).collect();
        anyhow!("there is no template `{}`; there is {}", args.template, all.join(", "))
    })?;
    make(template, &name, &folder)?;
    let mut out = io::stdout().lock();
    writeln!(out, "Made {} from the template {}. Next:\n", folder.display(), template.name)?;
    let build = if template.is_built() { "reef build" } else { "reef check" };
    for command in [&*format!("cd {}", quoted(given)), build, "reef up"] {
        writeln!(out, "  {command}")?;
    }
    writeln!(out, "\n`reef dev` does both again whenever a file changes; `reef test` tests it.")?;
    Ok(0)
}

/// Writes the files, into a folder that is not there or has nothing in it.
fn make(template: &Template, name: &Name, folder: &Path) -> anyhow::Result<()> {
    let shown = folder.display();
    match fs::read_dir(folder) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                bail!("{shown} is there already, and has something in it; choose another name");
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(_) if folder.exists() => {
            bail!("{shown} is there already, and is no folder; choose another name")
        }
        Err(error) => return Err(error).with_context(|| format!("cannot look at {shown}")),
    }
    let package = package(name);
    for (path, text) in template.files {
        let text = text
            .replace("@name@", name.as_str())
            .replace("@crate@", &package.replace('-', "_"))
            .replace("@package@", &package);
        let path = folder.join(path);
        let unwritten = || format!("cannot write {}", path.display());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(unwritten)?;
        }
        // Not over what somebody else puts there meanwhile.
        let file = fs::File::options().write(true).create_new(true).open(&path);
        let mut file = file.with_context(unwritten)?;
        file.write_all(text.as_bytes()).with_context(unwritten)?;
    }
    Ok(())
}

/// What package managers take: small letters, digits, `-` and `_`, a letter first.
fn package(name: &Name) -> String {
    let package = name.as_str().to_ascii_lowercase().replace('.', "-");
    match package.starts_with(|first: char| first.is_ascii_alphabetic()) {
        true => package,
        false => format!("app-{package}"),
    }
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    match text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests;
