//! An application with everything that it is made of, by digest: so that any host can run it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use futures::{
    StreamExt as _, TryStreamExt as _,
    stream::{FuturesUnordered, iter},
};
use reef_app::{Application, Source};
use reef_controller::api::Pin;
use reef_document::Diagnostics;
use reef_host::{
    deploy::files_seen,
    fetch::{Fetcher, Wanted},
};
use reef_lattice::{Digest, Failure, Lattice, Objects, accept, record::File};
use sha2::{Digest as _, Sha256};

/// Where artifacts stand that are not in the manifest's folder.
const ARTIFACTS: &str = "reef-artifacts";
/// Files of one application.
const MOST: usize = 20_000;
/// Files that the lattice is asked for at once, and those that are sent at once.
const ASKED: usize = 32;
const SENT: usize = 8;
/// How long servers may take to change over, and how long until it is tried again.
const PATIENCE: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(250);
/// The label of a workload whose artifact came from elsewhere: from where.
const SOURCE: &str = "reef.source";

/// An application with what it is made of.
pub(crate) struct Pinned {
    pub(crate) application: Application,
    pub(crate) files: Vec<File>,
    /// The artifact of each workload.
    pub(crate) digests: BTreeMap<String, Digest>,
    /// Where the files lie on this machine.
    local: BTreeMap<Digest, PathBuf>,
    /// Artifacts that were fetched, for as long as they are needed.
    _fetched: tempfile::TempDir,
}

/// Makes artifacts ready that a client of wadm names. Files are those of this machine.
pub(crate) struct Pinner {
    lattice: Lattice,
    fetcher: Fetcher,
}

struct Pinning<'p> {
    folder: &'p Path,
    files: BTreeMap<String, File>,
    local: BTreeMap<Digest, PathBuf>,
    fetched: tempfile::TempDir,
    fetcher: &'p Fetcher,
}

/// Looks at everything that an application is made of, and fetches what is not on this machine.
///
/// # Errors
/// When something is not there, or belongs to this machine alone.
pub(crate) async fn pin(
    mut application: Application,
    folder: &Path,
    fetcher: &Fetcher,
) -> anyhow::Result<Pinned> {
    let fetched = tempfile::tempdir().context("no temporary folder can be made")?;
    let (files, local) = (BTreeMap::new(), BTreeMap::new());
    let mut pinning = Pinning { folder, files, local, fetched, fetcher };
    let mut digests = BTreeMap::new();
    for at in 0..application.workloads.len() {
        let Some(workload) = application.workloads.get(at) else { break };
        let name = workload.name.to_string();
        let of = |what: &str| format!("workload `{name}`: {what}");
        let wanted = Wanted {
            digest: workload.digest.as_ref().map(|digest| digest.value.clone()),
            server: workload.labels.get(reef_wagi::modules::BINDLE_SERVER).cloned(),
            ..Wanted::new(workload.source.value.clone())
        };
        let (source, digest) =
            pinning.artifact(&wanted).await.with_context(|| of("its artifact"))?;
        let mut links = Vec::new();
        for (at, link) in workload.links.iter().enumerate() {
            let Some(component) = &link.component else { continue };
            let wanted = Wanted {
                digest: link.digest.as_ref().map(|digest| digest.value.clone()),
                ..Wanted::new(component.value.clone())
            };
            let pinned = pinning.artifact(&wanted).await;
            let (source, digest) =
                pinned.with_context(|| of("a component that it is linked to"))?;
            links.push((at, source, digest));
        }
        for seen in files_seen(&workload.files, folder).map_err(|why| anyhow::anyhow!(of(&why)))? {
            pinning.file(&seen).with_context(|| of("a file that it sees"))?;
        }
        for trigger in workload.trigger.http.iter() {
            if let Some(files) = &trigger.files {
                pinning.folder(&files.value).with_context(|| of("the files of a route"))?;
            }
        }
        for dir in &workload.dirs {
            if dir.value.0.host.is_relative() {
                bail!(of(&format!(
                    "`dirs` has `{}`, a directory of this machine: hosts have none such. Use `files` for what is only read, \
                     a `[[volume]]` for what is written, or the whole path of a directory that every host has",
                    dir.value.0.host.display()
                )));
            }
        }
        if let Some(tls) = &workload.tls {
            for file in tls.roots.iter().chain(&tls.cert) {
                if Path::new(&file.value).is_relative() {
                    pinning.file(&folder.join(&file.value)).with_context(|| of("`tls`"))?;
                }
            }
            if let Some(key) = tls.key.as_ref().filter(|key| Path::new(&key.value).is_relative()) {
                bail!(of(&format!(
                    "`tls.key` is the file `{}` beside the manifest, which would be kept in the lattice: put the key on \
                     each host, and say its whole path",
                    key.value
                )));
            }
        }
        let Some(workload) = application.workloads.get_mut(at) else { break };
        if !matches!(workload.source.value, Source::File(_)) {
            let from = workload.source.value.to_string();
            workload.labels.insert(SOURCE.to_owned(), from);
        }
        workload.source.value = source;
        // The file is known by its digest.
        workload.digest = None;
        for (at, source, _) in links {
            let Some(link) = workload.links.get_mut(at) else { continue };
            if let Some(component) = &mut link.component {
                component.value = source;
                link.digest = None;
            }
        }
        digests.insert(name, digest);
    }
    for files in &application.statics {
        pinning.folder(&files.dir.value).context("`[[static]]`")?;
    }
    let Pinning { files, local, fetched, .. } = pinning;
    let files = files.into_values().collect();
    Ok(Pinned { application, files, digests, local, _fetched: fetched })
}

impl Pinned {
    /// Says which links may go to another host and cannot, by the artifacts as they are here.
    pub(crate) fn carried(&self) -> anyhow::Result<Diagnostics> {
        let mut known = BTreeMap::new();
        for workload in accept::distant(&self.application).into_iter().map(|one| one.workload) {
            let name = workload.name.as_str();
            let local = self.digests.get(name).and_then(|digest| self.local.get(digest));
            if let (Some(local), false) = (local, known.contains_key(name)) {
                let bytes = fs::read(local);
                let bytes = bytes.with_context(|| format!("{} cannot be read", local.display()))?;
                known.insert(name, accept::uncarried(name, bytes));
            }
        }
        Ok(accept::check_carried(&self.application, |workload| {
            known.get(workload.name.as_str())?.as_deref()
        }))
    }

    /// Has the lattice keep what it does not have yet. `told`: of each that is sent, its path and size.
    pub(crate) async fn upload(
        &self,
        objects: &dyn Objects,
        mut told: impl FnMut(&File),
    ) -> anyhow::Result<()> {
        let mut seen = BTreeSet::new();
        let all = self.files.iter().filter(|file| seen.insert(&file.digest));
        let asking: Vec<_> = all.map(|file| lacks(objects, file)).collect();
        let lacking: Vec<_> = iter(asking).buffered(ASKED).try_collect().await?;
        let mut sending = FuturesUnordered::new();
        for file in lacking.into_iter().flatten() {
            let Some(local) = self.local.get(&file.digest) else { continue };
            if sending.len() >= SENT {
                sending.try_next().await?;
            }
            told(file);
            sending.push(send(objects, file, local));
        }
        sending.try_collect().await
    }
}

/// The file, if the lattice does not have it.
async fn lacks<'a>(objects: &dyn Objects, file: &'a File) -> anyhow::Result<Option<&'a File>> {
    let has = patiently(|| objects.has(&file.digest)).await?;
    Ok((!has).then_some(file))
}

async fn send(objects: &dyn Objects, file: &File, local: &Path) -> anyhow::Result<()> {
    let sent = patiently(|| objects.put(&file.digest, local)).await;
    sent.with_context(|| format!("{} cannot be kept in the lattice", file.path))
}

// === impl Pinner ===

impl Pinner {
    pub(crate) fn new(lattice: Lattice, fetcher: Fetcher) -> Self {
        Self { lattice, fetcher }
    }
}

impl std::fmt::Debug for Pinner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pinner").field("lattice", &self.lattice.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl Pin for Pinner {
    async fn pin(&self, application: &mut Application) -> Result<Vec<File>, String> {
        let (lattice, fetcher) = (self.lattice.clone(), self.fetcher.clone());
        let given = application.clone();
        let pinning = async move {
            only_wasm(&given)?;
            let mut pinned = pin(given, Path::new("/"), &fetcher).await?;
            pinned.upload(&*lattice.objects, |_| {}).await?;
            for workload in &mut pinned.application.workloads {
                let digest = pinned.digests.get(workload.name.as_str());
                workload.digest = digest.map(|digest| digest.to_string().into());
            }
            anyhow::Ok((pinned.application, pinned.files))
        };
        // Files are read and hashed meanwhile.
        let runtime = tokio::runtime::Handle::current();
        let pinned = tokio::task::spawn_blocking(move || runtime.block_on(pinning)).await;
        let (pinned, files) =
            pinned.map_err(|error| error.to_string())?.map_err(|error| format!("{error:#}"))?;
        *application = pinned;
        Ok(files)
    }
}

/// Who may send a manifest may not have other files of this machine put where everybody in the lattice reads them.
fn only_wasm(application: &Application) -> anyhow::Result<()> {
    for workload in &application.workloads {
        let linked = workload.links.iter().filter_map(|link| link.component.as_ref());
        for source in linked.map(|source| &source.value).chain([&workload.source.value]) {
            let Source::File(path) = source else { continue };
            let mut magic = [0; 4];
            let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
            read.with_context(|| format!("{} cannot be read on this host", path.display()))?;
            if magic != *b"\0asm" {
                bail!("{} is no WebAssembly", path.display());
            }
        }
        if !workload.files.is_empty() || workload.trigger.http.iter().any(|one| one.files.is_some())
        {
            bail!(
                "workload `{}` has files, which a host does not take from its machine",
                workload.name.value
            );
        }
    }
    Ok(())
}

impl Pinning<'_> {
    /// An artifact: what stands for it in the application, and its digest.
    async fn artifact(&mut self, wanted: &Wanted) -> anyhow::Result<(Source, Digest)> {
        if let Source::File(path) = &wanted.source {
            let local = self.folder.join(path);
            let (digest, size) = hashed(&local)?;
            if let Some(should) = &wanted.digest
                && !should.eq_ignore_ascii_case(digest.as_str())
            {
                bail!("{} is {digest}, and is pinned to {should}", path.display());
            }
            let within = match below(path) {
                Some(within) => within,
                None => format!("{ARTIFACTS}/{}.wasm", digest.hex()),
            };
            self.add(within.clone(), &local, digest.clone(), size)?;
            return Ok((Source::File(within.into()), digest));
        }
        let artifact = self.fetcher.fetch(wanted).await?;
        let local = self.fetched.path().join(format!("{:x}", self.files.len()));
        fs::write(&local, artifact.bytes()).context("what was fetched cannot be kept")?;
        let (digest, size) = hashed(&local)?;
        let within = format!("{ARTIFACTS}/{}.wasm", digest.hex());
        self.add(within.clone(), &local, digest.clone(), size)?;
        Ok((Source::File(within.into()), digest))
    }

    fn folder(&mut self, folder: &Path) -> anyhow::Result<()> {
        if below(folder).is_none() {
            bail!("`{}` is outside of the manifest's folder", folder.display());
        }
        for entry in walkdir::WalkDir::new(self.folder.join(folder)).follow_links(true) {
            let entry = entry?;
            if entry.file_type().is_file() {
                self.file(entry.path())?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> anyhow::Result<()> {
        let within = path.strip_prefix(self.folder).ok().and_then(below);
        let Some(within) = within else {
            bail!("{} is outside of the manifest's folder", path.display());
        };
        let (digest, size) = hashed(path)?;
        self.add(within, path, digest, size)
    }

    fn add(&mut self, path: String, local: &Path, digest: Digest, size: u64) -> anyhow::Result<()> {
        self.local.insert(digest.clone(), local.to_owned());
        self.files.insert(path.clone(), File { path, digest, size });
        if self.files.len() > MOST {
            bail!("it has more than {MOST} files; put fewer into an application");
        }
        Ok(())
    }
}

/// Does what may be done twice again while servers change over.
async fn patiently<T, F: Future<Output = Result<T, Failure>>>(
    mut done: impl FnMut() -> F,
) -> Result<T, Failure> {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        match done().await {
            Err(Failure::Unavailable { .. } | Failure::Timeout(_))
                if std::time::Instant::now() < until =>
            {
                tokio::time::sleep(AGAIN).await;
            }
            other => return other,
        }
    }
}

/// A path from the manifest's folder on, if it stays in it.
fn below(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_str()?),
            _ => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn hashed(path: &Path) -> anyhow::Result<(Digest, u64)> {
    let cannot = || format!("{} cannot be read", path.display());
    let mut file = fs::File::open(path).with_context(cannot)?;
    let (mut hash, mut size, mut piece) = (Sha256::new(), 0, vec![0; 64 << 10]);
    loop {
        let read = file.read(&mut piece).with_context(cannot)?;
        let Some(read) = piece.get(..read).filter(|read| !read.is_empty()) else { break };
        hash.update(read);
        size += read.len() as u64;
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((format!("sha256:{hex}").parse()?, size))
}
