//! A folder as a site.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

use reef_app::Route;

use crate::{
    language::Language,
    pattern::{Pattern, PatternError, Segment},
    routes::{Routes, shape},
};

/// Most routes of one site.
pub const MAX_ROUTES: usize = 20_000;

/// What the files of a folder are.
///
/// | file | answers at |
/// | --- | --- |
/// | `index.js` | `/` |
/// | `about.py`, or `about/index.py` | `/about` |
/// | `users/[id].rb` | `/users/` and one segment, which the worker is told as `id` |
/// | `files/[...path].wasm` | everything below `/files/`, which the worker is told as `path` |
/// | `public/logo.png` | `/logo.png`, as it is |
///
/// A path belongs to the worker of the first pattern that takes it: those written out, then those with
/// parameters, then catch-alls, the longest first. Files in `public` come after the first and before the
/// others ([`Worker::is_fixed`]).
///
/// Paths are those of a URL: `my page.js` answers at `/my%20page`. A host removes double and trailing
/// slashes before it asks ([`Site::normal`]), as Wasm Workers Server does.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// The workers, the first to be asked first.
    pub workers: Vec<Worker>,
    /// The files of the folder `public`, with it.
    pub public: Vec<String>,
    /// What is neither.
    pub skipped: Vec<Skipped>,
    /// What cannot be a worker and looks like one. Two workers at one route are one of these.
    pub faults: Vec<Fault>,
}

/// A file that answers requests.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The file.
    pub file: String,
    /// What it is written in.
    pub language: Language,
    /// The file of its [`Settings`](crate::Settings), if there is one.
    pub settings: Option<String>,
    /// Where it answers: its own route first, then those by which it keeps its paths from others.
    pub routes: Vec<Route>,
    pattern: Pattern,
}

/// A file that is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub file: String,
    /// Why.
    pub reason: Reason,
}

/// Why a file is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its name or that of a folder around it begins with `_`.
    Underscore,
    /// Its name or that of a folder around it begins with a dot, except for `.well-known`. Wasm Workers
    /// Server serves these; a folder's `.git` has scripts in it that nobody means to publish.
    Hidden,
    /// It belongs to packages: `node_modules`.
    Packages,
    /// It is in a folder `public` that is not the site's own.
    InnerPublic,
    /// It has the settings of a worker.
    Settings,
    /// It is written in a language that has no runtime yet.
    Pending(&'static str),
    /// Its ending is not one of a worker.
    Ending,
}

/// A file that looks like a worker and cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its name is no pattern.
    #[error("{file} cannot be a worker: {error}")]
    Pattern {
        /// The file.
        file: String,
        /// What is wrong.
        error: PatternError,
    },
    /// Another worker answers there.
    #[error(
        "{first} and {second} both answer at {route}: rename one of them, or move it to a folder whose name begins with `_`"
    )]
    Conflict {
        /// The one that is kept.
        first: String,
        /// The one that is left out.
        second: String,
        /// Where.
        route: String,
    },
    /// It is not in the folder.
    #[error("{0} is not the path of a file in this folder")]
    Outside(String),
    /// Too many.
    #[error("these workers need more than {MAX_ROUTES} routes")]
    TooMany,
}

impl Site {
    /// Reads a folder, by the paths of its files from the folder on, with `/` between.
    pub fn of<F: AsRef<str>>(files: impl IntoIterator<Item = F>) -> Self {
        let files: BTreeSet<String> =
            files.into_iter().map(|file| file.as_ref().to_owned()).collect();
        let mut site = Self::default();
        let mut found = Vec::new();
        for file in &files {
            if file.split('/').any(|part| matches!(part, "" | "." | "..")) || file.contains('\0') {
                site.faults.push(Fault::Outside(file.clone()));
                continue;
            }
            match kind(file) {
                Kind::Worker(language, stem) => match Pattern::of_file(stem) {
                    Ok(pattern) => {
                        let settings =
                            Some(format!("{stem}.toml")).filter(|name| files.contains(name));
                        let (file, routes) = (file.clone(), Vec::new());
                        found.push(Worker { file, language, settings, routes, pattern });
                    }
                    Err(error) => site.faults.push(Fault::Pattern { file: file.clone(), error }),
                },
                Kind::Public => site.public.push(file.clone()),
                Kind::Skipped(reason) => site.skipped.push(Skipped { file: file.clone(), reason }),
            }
        }
        let settings: BTreeSet<_> =
            found.iter().filter_map(|worker| worker.settings.clone()).collect();
        for skipped in &mut site.skipped {
            if skipped.reason == Reason::Ending && settings.contains(&skipped.file) {
                skipped.reason = Reason::Settings;
            }
        }
        site.order(found);
        site
    }

    /// Sorts the workers, leaves out those whose place is taken, and gives the others their routes.
    fn order(&mut self, mut found: Vec<Worker>) {
        found.sort_by(|one, other| {
            one.pattern.precedence(&other.pattern).then_with(|| one.file.cmp(&other.file))
        });
        let mut taken: HashMap<String, usize> = HashMap::new();
        for worker in found {
            let shape = shape(&worker.pattern.segments, worker.pattern.rest.is_some());
            match taken.get(&shape).and_then(|at| self.workers.get(*at)) {
                Some(first) => self.faults.push(Fault::Conflict {
                    first: first.file.clone(),
                    second: worker.file,
                    route: written(&first.pattern.segments, first.pattern.rest.is_some()),
                }),
                None => {
                    taken.insert(shape, self.workers.len());
                    self.workers.push(worker);
                }
            }
        }
        let patterns: Vec<&Pattern> = self.workers.iter().map(|worker| &worker.pattern).collect();
        let Ok(routes) = Routes::of(&patterns, MAX_ROUTES) else {
            self.workers.clear();
            self.faults.push(Fault::TooMany);
            return;
        };
        for worker in &mut self.workers {
            let own = written(&worker.pattern.segments, worker.pattern.rest.is_some());
            worker.routes.extend(own.parse::<Route>());
        }
        for entry in routes.entries() {
            let Some(worker) = self.workers.get_mut(entry.owner) else { continue };
            if let Ok(route) = written(&entry.segments, entry.below).parse::<Route>()
                && !worker.routes.contains(&route)
            {
                worker.routes.push(route);
            }
        }
    }

    /// The worker that answers at a path (without its query), and its parameters: what a router does
    /// with [`Worker::routes`], one worker after the other.
    pub fn find(&self, path: &str) -> Option<(&Worker, BTreeMap<String, String>)> {
        self.workers.iter().find_map(|worker| Some((worker, worker.parameters(path)?)))
    }

    /// A path without double slashes, and without one at the end.
    pub fn normal(path: &str) -> String {
        let mut normal = String::with_capacity(path.len());
        for part in path.split('/').filter(|part| !part.is_empty()) {
            normal.push('/');
            normal.push_str(part);
        }
        if normal.is_empty() { "/".to_owned() } else { normal }
    }
}

impl Worker {
    /// The values of its parameters in a path (without its query). `None`: the worker does not answer
    /// there, although one of its routes takes the path; that is the folder of a catch-all, such as
    /// `/files` for `files/[...path].js`.
    pub fn parameters(&self, path: &str) -> Option<BTreeMap<String, String>> {
        self.pattern.parameters(path)
    }

    /// The names of its parameters, from left to right.
    pub fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.pattern.names()
    }

    /// Whether it answers at one path only. Such a worker comes before a file of `public`; one with
    /// parameters comes after it.
    pub fn is_fixed(&self) -> bool {
        self.pattern.is_fixed()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Underscore => f.write_str("its name, or a folder's, begins with `_`"),
            Self::Hidden => f.write_str("its name, or a folder's, begins with a dot"),
            Self::Packages => f.write_str("it belongs to packages"),
            Self::InnerPublic => f.write_str("it is in a `public` that is not the site's own"),
            Self::Settings => f.write_str("it has the settings of a worker"),
            Self::Pending(language) => write!(f, "there is no runtime for {language} yet"),
            Self::Ending => f.write_str("its ending is not one of a worker"),
        }
    }
}

enum Kind<'f> {
    /// What it is written in, and its path without the ending.
    Worker(Language, &'f str),
    Public,
    Skipped(Reason),
}

fn kind(file: &str) -> Kind<'_> {
    let (folders, name) = file.rsplit_once('/').unwrap_or(("", file));
    let folders = || folders.split('/').filter(|folder| !folder.is_empty());
    let hidden = |part: &str| part.starts_with('.') && part != ".well-known";
    if hidden(name) || folders().any(hidden) {
        return Kind::Skipped(Reason::Hidden);
    }
    if folders().next() == Some("public") {
        return Kind::Public;
    }
    for folder in folders() {
        match folder {
            "public" => return Kind::Skipped(Reason::InnerPublic),
            "node_modules" => return Kind::Skipped(Reason::Packages),
            _ => {}
        }
    }
    if name.starts_with('_') || folders().any(|folder| folder.starts_with('_')) {
        return Kind::Skipped(Reason::Underscore);
    }
    let Some((stem, ending)) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) else {
        return Kind::Skipped(Reason::Ending);
    };
    match Language::of_ending(ending) {
        Some(language) => Kind::Worker(language, &file[..file.len() - name.len() + stem.len()]),
        None => Kind::Skipped(Language::pending(ending).map_or(Reason::Ending, Reason::Pending)),
    }
}

/// As a [`Route`] is written. What two patterns made together may have two parameters of one name.
fn written(segments: &[Segment], below: bool) -> String {
    let mut path = String::new();
    let mut names = BTreeSet::new();
    for segment in segments {
        match segment {
            Segment::Literal(text) => path.extend(["/", text]),
            Segment::Parameter(name) => {
                let mut name = name.to_string();
                while !names.insert(name.clone()) {
                    name.push('_');
                }
                path.extend(["/:", &name]);
            }
        }
    }
    if below {
        path.push_str("/...");
    }
    if path.is_empty() { "/".to_owned() } else { path }
}

#[cfg(test)]
mod tests;
