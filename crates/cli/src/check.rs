//! `reef check`.

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use miette::{GraphicalReportHandler, GraphicalTheme};
use reef_app::{Application, Manifest, Source};
use reef_document::{At, Diagnostic, Diagnostics, LARGEST, Severity, Source as Text};
use serde_json::{Value, json};

use crate::args::Check;

/// The manifest of a folder.
const DEFAULT: &str = "reef.toml";

/// Says what is wrong with manifests; the status is 1 when one of them cannot be used.
pub(crate) fn check(args: &Check) -> anyhow::Result<i32> {
    let mut files = args.files.clone();
    if files.is_empty() {
        files.push(DEFAULT.into());
    }
    let mut usable = true;
    let mut answers = Vec::new();
    for file in &files {
        let path = if file.is_dir() { file.join(DEFAULT) } else { file.clone() };
        let text = read(&path)?;
        let mut found = Diagnostics::default();
        let application = load(&text, args.profile.as_deref(), &path, &mut found);
        usable &= application.is_some();
        if args.json {
            answers.push(answer(&text, application.is_some(), &found));
        } else {
            print(&text, application.as_ref(), &found)?;
        }
    }
    if args.json {
        writeln!(io::stdout(), "{:#}", Value::Array(answers))?;
    }
    Ok((!usable).into())
}

/// Reads a manifest, but nothing that is too large to be one.
fn read(path: &Path) -> anyhow::Result<Text> {
    let name = path.display();
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("there is no manifest {name}; name one, or a folder with a {DEFAULT}")
        }
        opened => opened.with_context(|| format!("cannot open {name}"))?,
    };
    let mut bytes = Vec::new();
    // One more byte tells that there are more.
    file.take(LARGEST as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {name}"))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Text::new(name.to_string(), text)),
        Err(_) => bail!("{name} is not a manifest: it is not text in UTF-8"),
    }
}

fn load(
    text: &Text,
    profile: Option<&str>,
    path: &Path,
    found: &mut Diagnostics,
) -> Option<Application> {
    let manifest = match Manifest::parse(text) {
        Ok(manifest) => manifest,
        Err(wrong) => {
            found.extend(wrong);
            return None;
        }
    };
    let application = manifest.application(profile, found)?;
    files(&application, path.parent().unwrap_or(Path::new("")), found);
    found.settle(text);
    (!found.has_errors()).then_some(application)
}

/// Says which files and folders are not there.
fn files(application: &Application, folder: &Path, found: &mut Diagnostics) {
    for workload in &application.workloads {
        if let Source::File(file) = &workload.source.value
            && !folder.join(file).exists()
        {
            let message = format!("there is no file {}", folder.join(file).display());
            found.push(match &workload.build {
                Some(build) => placed(Diagnostic::warning(message), &workload.source)
                    .help(format!("`{}` makes it", build.command)),
                None => placed(Diagnostic::error(message), &workload.source)
                    .help("paths are those from the manifest's folder on"),
            });
        }
        for dir in &workload.dirs {
            let host: PathBuf = folder.join(&dir.host);
            if !host.is_dir() {
                let message = format!("there is no folder {}", host.display());
                found.push(
                    placed(Diagnostic::error(message), dir).help("make it, or leave the grant out"),
                );
            }
        }
    }
}

fn placed<T>(diagnostic: Diagnostic, place: &At<T>) -> Diagnostic {
    match place.span() {
        Some(span) => diagnostic.at(span),
        None => diagnostic,
    }
}

fn print(
    text: &Text,
    application: Option<&Application>,
    found: &Diagnostics,
) -> anyhow::Result<()> {
    let terminal = io::stderr().is_terminal();
    let theme = match (terminal, std::env::var_os("NO_COLOR")) {
        (false, _) => GraphicalTheme::none(),
        (true, None) => GraphicalTheme::unicode(),
        (true, Some(_)) => GraphicalTheme::unicode_nocolor(),
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false);
    let mut errors = io::stderr().lock();
    for diagnostic in found.iter() {
        let mut report = String::new();
        handler.render_report(&mut report, diagnostic)?;
        if diagnostic.span().is_none() {
            write!(errors, "{}:", text.name())?;
        }
        writeln!(errors, "{}", report.trim_end())?;
    }
    if let Some(application) = application {
        let routes: usize = application.workloads.iter().map(|w| w.trigger.http.len()).sum();
        writeln!(
            io::stdout(),
            "{}: {} is well formed: {}, {}",
            text.name(),
            application.name,
            counted(application.workloads.len(), "workload"),
            counted(routes, "route"),
        )?;
    }
    Ok(())
}

fn counted(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

fn answer(text: &Text, usable: bool, found: &Diagnostics) -> Value {
    let diagnostics: Vec<_> = found
        .iter()
        .map(|diagnostic| {
            let place = diagnostic.line_and_column();
            json!({
                "severity": match diagnostic.severity() {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                "message": diagnostic.message(),
                "help": diagnostic.help_text(),
                "line": place.map(|(line, _)| line),
                "column": place.map(|(_, column)| column),
            })
        })
        .collect();
    json!({ "file": text.name(), "valid": usable, "diagnostics": diagnostics })
}
