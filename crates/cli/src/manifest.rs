//! What is to be run, whatever it is written in.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use reef_app::{Application, HttpTrigger, Manifest, Name, Source, Triggers, Workload};
use reef_document::{At, Diagnostic, Diagnostics, LARGEST, Source as Text, Syntax, parse};
use reef_host::deploy::leads_outside;
use reef_registry::{Place, PlaceError};

use crate::{guest, site};

/// The manifest of a folder.
const DEFAULT: &str = "reef.toml";
/// What the manifests of other systems are called, the first that is there counts.
const OTHERS: [&str; 5] = ["spin.toml", "modules.toml", "wadm.yaml", "wadm.yml", "wadm.json"];

/// Whose manifest a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Reef,
    Spin,
    Wagi,
    Oam,
}

impl Kind {
    /// What people call it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Reef => "reef.toml",
            Self::Spin => "Spin manifest",
            Self::Wagi => "WAGI modules.toml",
            Self::Oam => "wadm manifest",
        }
    }

    /// What a document is, by what is in it and by its name. One that nobody can read is taken for the
    /// one that its name says, to be told what is wrong with it.
    pub(crate) fn of(text: &Text) -> Self {
        let name = Path::new(text.name());
        let ending = name.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let syntax = match ending {
            // JSON is YAML, too.
            "yaml" | "yml" | "json" => Syntax::Yaml,
            _ => Syntax::Toml,
        };
        let by_name = match (syntax, name.file_name().and_then(|name| name.to_str())) {
            (Syntax::Yaml, _) => Self::Oam,
            (_, Some("spin.toml")) => Self::Spin,
            (_, Some("modules.toml")) => Self::Wagi,
            _ => Self::Reef,
        };
        match parse(text, syntax) {
            Ok(node) if reef_spin::is_manifest(&node) => Self::Spin,
            Ok(node) if reef_oam::is_manifest(&node) => Self::Oam,
            Ok(node) if reef_wagi::modules::is_manifest(&node) => Self::Wagi,
            _ => by_name,
        }
    }
}

/// An application and the folder that its paths start from.
pub(crate) struct Loaded {
    pub(crate) application: Application,
    pub(crate) folder: PathBuf,
    /// A site, whose workers may name variables of the environment.
    pub(crate) site: bool,
    /// Written for Spin, whose variables have names of their own in the environment.
    pub(crate) spin: bool,
}

/// Reads a manifest, but nothing that is too large to be one.
pub(crate) fn read(path: &Path) -> anyhow::Result<Text> {
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

/// The application of a manifest. What is wrong is added to `found`; there is one only if nothing makes
/// it unusable.
pub(crate) fn application(
    text: &Text,
    profile: Option<&str>,
    folder: &Path,
    found: &mut Diagnostics,
) -> Option<Application> {
    let application = match Kind::of(text) {
        Kind::Spin => reef_spin::read(text, profile, found),
        kind @ (Kind::Wagi | Kind::Oam) => {
            if let Some(profile) = profile {
                let message = format!("a {} has no profiles", kind.word());
                let help =
                    format!("leave `--profile {profile}` out, or convert it: `reef convert`");
                found.push(Diagnostic::error(message).help(help));
            }
            match kind {
                Kind::Wagi => reef_wagi::modules::read(text, found),
                _ => reef_oam::read(text, found),
            }
        }
        Kind::Reef => match Manifest::parse(text) {
            Ok(manifest) => manifest.application(profile, found),
            Err(wrong) => {
                found.extend(wrong);
                None
            }
        },
    };
    let mut application = application?;
    if Kind::of(text) == Kind::Wagi {
        from_working_directory(&mut application, folder);
    }
    files(&application, folder, found);
    folders(&application, folder, found);
    found.settle(text);
    (!found.has_errors()).then_some(application)
}

/// WAGI takes the paths of a manifest from where it was started. Those that are not below the manifest's
/// folder and are there are meant so.
fn from_working_directory(application: &mut Application, folder: &Path) {
    let Ok(here) = std::env::current_dir() else { return };
    let elsewhere = |path: &Path| {
        (path.is_relative() && !folder.join(path).exists() && here.join(path).exists())
            .then(|| here.join(path))
    };
    for workload in &mut application.workloads {
        if let Source::File(file) = &mut workload.source.value
            && let Some(there) = elsewhere(file)
        {
            *file = there;
        }
        for dir in &mut workload.dirs {
            if let Some(there) = elsewhere(&dir.value.0.host) {
                dir.value.0.host = there;
            }
        }
    }
}

/// The same for each profile of a `reef.toml`, as nobody may have used one yet: what is wrong only there.
pub(crate) fn profiles(text: &Text, folder: &Path, found: &mut Diagnostics) -> bool {
    if Kind::of(text) != Kind::Reef {
        return true;
    }
    let Ok(manifest) = Manifest::parse(text) else { return false };
    let mut usable = true;
    for profile in manifest.profiles() {
        let mut own = Diagnostics::default();
        usable &= application(text, Some(profile), folder, &mut own).is_some();
        for one in own {
            let same = |known: &&Diagnostic| {
                known.span() == one.span() && known.message().ends_with(one.message())
            };
            if !found.iter().any(|known| same(&known)) {
                found.push(one.among(&format!("with the profile `{profile}`")));
            }
        }
    }
    usable
}

/// What a path stands for: a manifest, a folder with one, a `.wasm` file, or a folder of them.
///
/// # Errors
/// When it is nothing of that. What is wrong with a manifest goes to `found`, and there is nothing.
pub(crate) fn load(
    path: &Path,
    profile: Option<&str>,
    found: &mut Diagnostics,
) -> anyhow::Result<Option<Loaded>> {
    let folder = |path: &Path| path.parent().unwrap_or(Path::new("")).to_owned();
    if is_artifact(path) {
        let application = of_artifacts(&guest::name_of(path), &[path.to_owned()]);
        return Ok(Some(Loaded { application, folder: PathBuf::new(), site: false, spin: false }));
    }
    let manifest = manifest_of(path);
    if path.is_dir() && !manifest.exists() {
        if let Some(names) = site::files(path)? {
            let application = site::application(path, &names, found)?;
            if let Some(application) = &application {
                files(application, path, found);
                folders(application, path, found);
            }
            let application = application.filter(|_| !found.has_errors());
            let folder = path.to_owned();
            return Ok(application.map(|application| Loaded {
                application,
                folder,
                site: true,
                spin: false,
            }));
        }
        let artifacts = artifacts(path)?;
        if artifacts.is_empty() {
            bail!(
                "{} has neither a {DEFAULT} nor a .wasm file nor workers; name a folder that has, or a manifest",
                path.display()
            );
        }
        let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let application = of_artifacts(&guest::name_of(&absolute), &artifacts);
        return Ok(Some(Loaded { application, folder: PathBuf::new(), site: false, spin: false }));
    }
    let text = read(&manifest)?;
    let folder = folder(&manifest);
    let application = application(&text, profile, &folder, found);
    let spin = Kind::of(&text) == Kind::Spin;
    Ok(application.map(|application| Loaded { application, folder, site: false, spin }))
}

/// A folder's manifest, or the path itself.
pub(crate) fn manifest_of(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.to_owned();
    }
    let here = path == Path::new(".");
    let inside = |name: &&str| if here { name.into() } else { path.join(name) };
    let others = OTHERS.iter().map(inside);
    std::iter::once(inside(&DEFAULT))
        .chain(others)
        .find(|file| file.is_file())
        .unwrap_or_else(|| inside(&DEFAULT))
}

fn is_artifact(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    matches!(ending, Some("wasm" | "wat")) && !path.is_dir()
}

fn artifacts(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let mut artifacts = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if is_artifact(&path) {
            artifacts.push(path);
        }
    }
    artifacts.sort();
    Ok(artifacts)
}

/// One artifact answers everywhere; of several, each does below its own name.
fn of_artifacts(name: &str, artifacts: &[PathBuf]) -> Application {
    let workloads = artifacts.iter().map(|path| {
        let name = Name::lenient(&guest::name_of(path));
        let route = match artifacts.len() {
            1 => "/...".parse(),
            _ => format!("/{name}/...").parse(),
        };
        let http = route.into_iter().map(HttpTrigger::at).collect::<Vec<_>>();
        let trigger = Triggers::http(http);
        Workload { trigger, ..Workload::new(name, Source::File(path.clone())) }
    });
    let workloads = workloads.collect();
    Application { workloads, ..Application::new(Name::lenient(name)) }
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
        places(workload, found);
        for files in &workload.files {
            let from = files.from.as_str();
            if !from.contains(['*', '?', '[']) && !folder.join(from).exists() {
                let message = format!("there is no file {}", folder.join(from).display());
                found.push(placed(Diagnostic::error(message), &files.from));
            }
        }
        for dir in &workload.dirs {
            let host = folder.join(&dir.host);
            if !host.is_dir() {
                let message = format!("there is no folder {}", host.display());
                found.push(
                    placed(Diagnostic::error(message), dir).help("make it, or leave the grant out"),
                );
            }
        }
    }
}

/// Says which places elsewhere are none. Whether there is something at them is known when it is fetched.
fn places(workload: &Workload, found: &mut Diagnostics) {
    let own = (&workload.source, &workload.digest);
    let parts =
        workload.links.iter().filter_map(|link| Some((link.component.as_ref()?, &link.digest)));
    for (source, digest) in std::iter::once(own).chain(parts) {
        let digest = digest.as_ref().map(|digest| digest.as_str());
        match Place::new(source, digest, None) {
            Ok(_) | Err(PlaceError::File(_)) => {}
            Err(error) => found.push(placed(Diagnostic::error(error.to_string()), source)),
        }
    }
}

/// The same for folders of files.
fn folders(application: &Application, folder: &Path, found: &mut Diagnostics) {
    let triggers = application.workloads.iter().flat_map(|workload| workload.trigger.http.iter());
    let of_triggers = triggers.filter_map(|trigger| trigger.files.as_ref());
    for named in application.statics.iter().map(|files| &files.dir).chain(of_triggers) {
        served(folder, named, found);
    }
}

/// A folder that is served from as it is.
fn served(folder: &Path, dir: &At<PathBuf>, found: &mut Diagnostics) {
    let whole = folder.join(&dir.value);
    let (message, help) = if !whole.is_dir() {
        (format!("there is no folder {}", whole.display()), "make it, or name another")
    } else if leads_outside(folder, &dir.value) {
        let message = format!("{} is outside of the manifest's folder", dir.value.display());
        (message, "files are served from the manifest's folder only: put a copy there")
    } else {
        return;
    };
    found.push(placed(Diagnostic::error(message), dir).help(help));
}

fn placed<T>(diagnostic: Diagnostic, place: &At<T>) -> Diagnostic {
    match place.span() {
        Some(span) => diagnostic.at(span),
        None => diagnostic,
    }
}
