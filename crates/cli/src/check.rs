//! `reef check`.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
};

use miette::{GraphicalReportHandler, GraphicalTheme};
use reef_app::Application;
use reef_document::{Diagnostics, Severity, Source as Text};
use serde_json::{Value, json};

use crate::{args::Check, manifest};

/// Says what is wrong with manifests; the status is 1 when one of them cannot be used.
pub(crate) fn check(args: &Check) -> anyhow::Result<i32> {
    let mut files = args.files.clone();
    if files.is_empty() {
        files.push(".".into());
    }
    let mut usable = true;
    let mut answers = Vec::new();
    for file in &files {
        let path = manifest::manifest_of(file);
        let mut found = Diagnostics::default();
        if file.is_dir() && !path.exists() {
            // A folder of workers, or of artifacts.
            let loaded = manifest::load(file, args.profile.as_deref(), &mut found)?;
            usable &= loaded.is_some();
            let application = loaded.map(|loaded| loaded.application);
            let text = Text::new(file.display().to_string(), "");
            if args.json {
                answers.push(answer(&text, application.is_some(), &found));
            } else {
                print(&text, application.as_ref(), &found)?;
            }
            continue;
        }
        let text = manifest::read(&path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let profile = args.profile.as_deref();
        let application = manifest::application(&text, profile, folder, &mut found);
        let mut all = application.is_some();
        if all && profile.is_none() {
            all = manifest::profiles(&text, folder, &mut found);
        }
        usable &= all;
        if args.json {
            answers.push(answer(&text, all, &found));
        } else {
            print(&text, application.as_ref().filter(|_| all), &found)?;
        }
    }
    if args.json {
        writeln!(io::stdout(), "{:#}", Value::Array(answers))?;
    }
    Ok((!usable).into())
}

/// A manifest that cannot be used, with all that is wrong as it is shown to people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Wrong(pub(crate) String);

/// Shows what is wrong, to people.
pub(crate) fn show(name: &str, found: &Diagnostics) -> anyhow::Result<()> {
    Ok(io::stderr().lock().write_all(rendered(name, found)?.as_bytes())?)
}

/// What is wrong, for people.
pub(crate) fn rendered(name: &str, found: &Diagnostics) -> anyhow::Result<String> {
    let terminal = io::stderr().is_terminal();
    let theme = match (terminal, std::env::var_os("NO_COLOR")) {
        (false, _) => GraphicalTheme::none(),
        (true, None) => GraphicalTheme::unicode(),
        (true, Some(_)) => GraphicalTheme::unicode_nocolor(),
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false);
    let mut said = String::new();
    for diagnostic in found.iter() {
        let mut report = String::new();
        handler.render_report(&mut report, diagnostic)?;
        if diagnostic.span().is_none() {
            said.push_str(name);
            said.push(':');
        }
        said.push_str(report.trim_end());
        said.push('\n');
    }
    Ok(said)
}

fn print(
    text: &Text,
    application: Option<&Application>,
    found: &Diagnostics,
) -> anyhow::Result<()> {
    show(text.name(), found)?;
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
