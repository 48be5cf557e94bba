//! Manifests, and which of their layers is the WebAssembly.

use reef_artifact::Digest;
use serde::Deserialize;

/// The largest manifest in bytes: what registries have to take at least (OCI distribution 1.1, "Pushing
/// manifests").
pub const LARGEST: usize = 4 << 20;

/// The media types to ask a registry for.
pub const ENTRY_TYPES: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";

/// Characters of foreign text in a message.
const LONGEST_SHOWN: usize = 200;

/// The CNCF's Wasm artifact: one layer, of [`WASM`].
const ARTIFACT: &str = "application/vnd.wasm.config.v0+json";
const WASM: &str = "application/wasm";
/// Media types of layers that are WebAssembly as it is.
const LAYERS: [&str; 4] = [
    WASM,
    // Krustlet's, which wasmCloud and WAGI read; Spin's.
    "application/vnd.wasm.content.layer.v1+wasm",
    // wasm-to-oci's, which Istio reads.
    "application/vnd.module.wasm.content.layer.v1+wasm",
    // runwasi's.
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
];
/// A whole application of Spin's: its manifest, its components and its files.
const SPIN: &str = "application/vnd.fermyon.spin.application.v1+config";

/// What a registry holds under a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// One artifact.
    Manifest(Manifest),
    /// Several, for one platform each.
    Index(Index),
}

/// An artifact: what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Says which layout it has.
    config: Option<String>,
    layers: Vec<Descriptor>,
}

/// Artifacts for one platform each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Operating system, architecture, manifest.
    entries: Vec<(String, String, Descriptor)>,
}

/// Something that a registry holds, by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// How many.
    pub size: u64,
}

/// Not a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Larger than any.
    #[error("it is larger than {LARGEST} bytes")]
    Large,
    /// No JSON, or not of this form.
    #[error("it is not an OCI manifest: {0}")]
    Form(String),
    /// Named by another hash, or by none.
    #[error("it names `{0}`, which is not a SHA-256 digest")]
    Digest(String),
}

/// There is no layer to run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayerError {
    /// A Spin application.
    #[error(
        "it is a whole application of Spin, and Reef takes single artifacts from registries; name its spin.toml"
    )]
    Spin,
    /// An image with a file system in it.
    #[error(
        "it is a container image, and the Wasm is a file in one of its layers, which Reef does not unpack yet; push the .wasm itself, for example with `wkg oci push` or `oras push REFERENCE FILE:application/wasm`"
    )]
    Image,
    /// A program for wasmCloud's hosts.
    #[error("it is an archive of native programs, not WebAssembly")]
    Native,
    /// Nothing of it is Wasm.
    #[error("none of its layers is WebAssembly: there is {}", or_nothing(.0))]
    None(Vec<String>),
    /// More than one.
    #[error(
        "it has {0} layers of WebAssembly, and which of them to run is not said; push one alone"
    )]
    Several(usize),
    /// None for Wasm.
    #[error("it is an index of images, none of which is for WebAssembly: there is {}", or_nothing(.0))]
    Platform(Vec<String>),
}

/// What somebody else wrote, for people: so long at most, and without anything that a terminal obeys.
fn visible(text: &str) -> String {
    text.chars().take(LONGEST_SHOWN).flat_map(char::escape_debug).collect()
}

fn or_nothing(all: &[String]) -> String {
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
    manifests: Option<Vec<RawDescriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
}

#[derive(Default, Deserialize)]
struct Platform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
}

// === impl Document ===

impl Document {
    /// Reads what a registry answered.
    ///
    /// # Errors
    /// When it is none, or names something by other than a SHA-256 digest.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > LARGEST {
            return Err(ManifestError::Large);
        }
        let raw: Raw = serde_json::from_slice(bytes)
            .map_err(|error| ManifestError::Form(visible(&error.to_string())))?;
        match (raw.layers, raw.manifests) {
            (Some(layers), _) => {
                let config = raw.config.map(|config| config.media_type);
                let layers = layers.into_iter().map(descriptor).collect::<Result<_, _>>()?;
                Ok(Self::Manifest(Manifest { config, layers }))
            }
            (None, Some(entries)) => {
                let entries = entries.into_iter().map(|mut entry| {
                    let Platform { os, architecture } = entry.platform.take().unwrap_or_default();
                    Ok((os, architecture, descriptor(entry)?))
                });
                Ok(Self::Index(Index { entries: entries.collect::<Result<_, _>>()? }))
            }
            (None, None) => Err(ManifestError::Form("it has no layers".to_owned())),
        }
    }
}

fn descriptor(raw: RawDescriptor) -> Result<Descriptor, ManifestError> {
    let RawDescriptor { media_type, digest, size, .. } = raw;
    let digest = digest.parse().map_err(|_| ManifestError::Digest(visible(&digest)))?;
    Ok(Descriptor { media_type, digest, size })
}

// === impl Manifest ===

impl Manifest {
    /// The layer that is the WebAssembly.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn wasm(&self) -> Result<&Descriptor, LayerError> {
        let config = self.config.as_deref().unwrap_or_default();
        if config == SPIN {
            return Err(LayerError::Spin);
        }
        let is_wasm = |layer: &&Descriptor| {
            let media_type = layer.media_type.split(';').next().unwrap_or_default().trim();
            LAYERS.contains(&media_type)
        };
        let found: Vec<_> = self.layers.iter().filter(is_wasm).collect();
        match &found[..] {
            // The first version of the format has one layer, and more are to be refused.
            [_] if config == ARTIFACT && self.layers.len() > 1 => {
                Err(LayerError::Several(self.layers.len()))
            }
            [one] => Ok(one),
            [] => Err(self.without()),
            several => Err(LayerError::Several(several.len())),
        }
    }

    /// Why there is none.
    fn without(&self) -> LayerError {
        let has = |part: &str| self.layers.iter().any(|layer| layer.media_type.contains(part));
        match () {
            () if has("provider.archive") => LayerError::Native,
            () if has("image.layer") || has("image.rootfs.diff") => LayerError::Image,
            () => LayerError::None(
                self.layers.iter().map(|layer| visible(&layer.media_type)).take(8).collect(),
            ),
        }
    }
}

// === impl Index ===

impl Index {
    /// The manifest for WebAssembly: the one of a platform that is Wasm, or the only one of none.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn wasm(&self) -> Result<&Descriptor, LayerError> {
        // `wasip1/wasm` and `wasip2/wasm` today, `wasi/wasm` and `wasi/wasm32` before.
        let is_wasm = |os: &str, architecture: &str| {
            architecture.starts_with("wasm") || os.starts_with("wasi")
        };
        let found: Vec<_> = self
            .entries
            .iter()
            .filter(|(os, architecture, _)| is_wasm(os, architecture))
            .map(|(_, _, descriptor)| descriptor)
            .collect();
        match (&found[..], &self.entries[..]) {
            ([one], _) => Ok(one),
            ([], [(os, architecture, one)]) if os.is_empty() && architecture.is_empty() => Ok(one),
            ([], all) => Err(LayerError::Platform(
                all.iter().map(|(os, arch, _)| visible(&format!("{os}/{arch}"))).take(8).collect(),
            )),
            (several, _) => Err(LayerError::Several(several.len())),
        }
    }
}

#[cfg(test)]
mod tests;
