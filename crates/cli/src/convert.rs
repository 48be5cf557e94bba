//! `reef convert`: any manifest in the native form.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use reef_app::{Application, Manifest, Source, Workload};
use reef_document::{Diagnostics, Source as Text};

use crate::{
    args::Convert,
    check,
    manifest::{self, Kind},
};

/// Writes the native form of a manifest; the status is 1 when there is none.
pub(crate) fn convert(args: &Convert) -> anyhow::Result<i32> {
    let path = manifest::manifest_of(&args.file);
    let path = if path.exists() { path } else { args.file.clone() };
    let name = path.display().to_string();
    let mut found = Diagnostics::default();
    let loaded = manifest::load(&args.file, args.profile.as_deref(), &mut found)?;
    check::show(&name, &found)?;
    let Some(loaded) = loaded else { return Ok(1) };
    let mut application = loaded.application;
    let from = std::path::absolute(Path::new(".").join(&loaded.folder))?;
    let to = args.to.as_deref().filter(|to| *to != Path::new("-"));
    let into = match to {
        Some(to) => std::path::absolute(to)?.parent().map(Path::to_owned).unwrap_or_default(),
        None => from.clone(),
    };
    if from != into {
        let way = pathdiff::diff_paths(&from, &into).unwrap_or_else(|| from.clone());
        if !from.starts_with(&into) && has_files(&application) {
            bail!(
                "it has files of {}, and a manifest's files are below its own folder; write it there: --to {}",
                from.display(),
                from.join("reef.toml").display()
            );
        }
        rebase(&mut application, &way);
    }
    let text = format!("# From {name}, by `reef convert`.\n{}", written(&application)?);
    match to {
        None => io::stdout().write_all(text.as_bytes())?,
        Some(to) => {
            if to.exists() && !args.force {
                bail!(
                    "{} is there already; name another file, or write over it with --force",
                    to.display()
                );
            }
            fs::write(to, &text).with_context(|| format!("cannot write {}", to.display()))?;
            writeln!(io::stdout(), "{} is {} as reef.toml.", to.display(), of(&path))?;
        }
    }
    Ok(0)
}

/// The application as `reef.toml`, which reads as the same application.
fn written(application: &Application) -> anyhow::Result<String> {
    let text = toml::to_string_pretty(application).context("it cannot be written as TOML")?;
    let mut found = Diagnostics::default();
    let again = Manifest::parse(&Text::new("reef.toml", text.clone()))
        .map_err(|wrong| wrong.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
    let again = again.map(|manifest| manifest.application(None, &mut found));
    match again {
        Ok(Some(again)) if again == *application => Ok(text),
        _ => {
            bail!("this application cannot be written as reef.toml without loss; please report it")
        }
    }
}

/// Whether it takes files from beside its manifest, other than artifacts.
fn has_files(application: &Application) -> bool {
    let of_triggers =
        |workload: &Workload| workload.trigger.http.iter().any(|trigger| trigger.files.is_some());
    !application.statics.is_empty()
        || application.workloads.iter().any(|one| !one.files.is_empty() || of_triggers(one))
}

/// Paths of a manifest that moves elsewhere.
fn rebase(application: &mut Application, folder: &Path) {
    let based = |path: &Path| -> PathBuf {
        if path.is_absolute() { path.to_owned() } else { folder.join(path) }
    };
    for workload in &mut application.workloads {
        if let Source::File(file) = &mut workload.source.value {
            *file = based(file);
        }
        for dir in &mut workload.dirs {
            dir.value.0.host = based(&dir.value.0.host);
        }
        for link in &mut workload.links {
            if let Some(component) = &mut link.component
                && let Source::File(file) = &mut component.value
            {
                *file = based(file);
            }
        }
        for trigger in workload.trigger.http.0.iter_mut() {
            if let Some(files) = &mut trigger.files {
                files.value = based(&files.value);
            }
        }
        for files in &mut workload.files {
            files.from.value = based(Path::new(&files.from.value)).display().to_string();
        }
        if let Some(build) = &mut workload.build {
            let dir = based(Path::new(build.dir.as_deref().unwrap_or("")));
            build.dir = Some(dir.display().to_string());
            for pattern in &mut build.watch {
                *pattern = based(Path::new(&*pattern)).display().to_string();
            }
        }
    }
    for files in &mut application.statics {
        files.dir.value = based(&files.dir.value);
    }
}

fn of(path: &Path) -> String {
    match manifest::read(path) {
        Ok(text) if Kind::of(&text) != Kind::Reef => format!("the {}", Kind::of(&text).word()),
        _ => "what was read".to_owned(),
    }
}
