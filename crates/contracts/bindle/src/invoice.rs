//! Invoices, and which of their parcels is the WebAssembly.

use reef_artifact::Digest;
use serde::Deserialize;

use crate::Id;

/// The largest invoice in bytes: some hundred bytes for each of the parcels that a bindle may have.
pub const LARGEST: usize = 4 << 20;
/// The media type of a parcel that is WebAssembly.
const WASM: &str = "application/wasm";
/// Characters of foreign text in a message.
const LONGEST_SHOWN: usize = 200;
/// The version of the format.
const VERSION: &str = "1.0.0";

/// What a bindle holds (invoice specification).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// What it says to be.
    pub id: Id,
    /// Taken back by its author.
    yanked: bool,
    yanked_reason: Option<String>,
    parcels: Vec<Parcel>,
}

/// One file of a bindle (label specification).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of them.
    pub digest: Digest,
    /// Whether it is in the bindle without a condition.
    global: bool,
}

/// Not an invoice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvoiceError {
    /// Larger than any.
    #[error("the invoice is larger than {LARGEST} bytes")]
    Large,
    /// No TOML, or not of this form.
    #[error("it is not an invoice: {0}")]
    Form(String),
    /// A version of the format that nobody has defined yet.
    #[error("the invoice is of version `{0}` of the format; Reef reads {VERSION}")]
    Version(String),
    /// A parcel that is named by something else.
    #[error("the parcel `{name}` has `{sha256}` for a SHA-256 digest")]
    Digest {
        /// The parcel's name.
        name: String,
        /// What it has instead.
        sha256: String,
    },
}

/// There is no parcel to run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParcelError {
    /// The bindle was taken back.
    #[error("it was yanked by its author{}; name another version", .0.as_ref().map(|why| format!(", because: {why}")).unwrap_or_default())]
    Yanked(Option<String>),
    /// None is Wasm.
    #[error("none of its parcels is WebAssembly ({WASM}) and in it without a condition: there is {}", if .0.is_empty() { "nothing".to_owned() } else { .0.join(", ") })]
    None(Vec<String>),
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "bindleVersion")]
    version: String,
    bindle: RawBindle,
    #[serde(default)]
    yanked: bool,
    yanked_reason: Option<String>,
    #[serde(default)]
    parcel: Vec<RawParcel>,
}

#[derive(Deserialize)]
struct RawBindle {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct RawParcel {
    label: RawLabel,
    #[serde(default)]
    conditions: Conditions,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLabel {
    sha256: String,
    media_type: String,
    #[serde(default)]
    name: String,
    size: u64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Conditions {
    #[serde(default)]
    member_of: Vec<String>,
}

/// What somebody else wrote, for people: so long at most, and without anything that a terminal obeys.
fn visible(text: &str) -> String {
    text.chars().take(LONGEST_SHOWN).flat_map(char::escape_debug).collect()
}

impl Invoice {
    /// Reads an invoice.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvoiceError> {
        if bytes.len() > LARGEST {
            return Err(InvoiceError::Large);
        }
        let form = |why: String| InvoiceError::Form(visible(&why));
        let text = str::from_utf8(bytes).map_err(|error| form(error.to_string()))?;
        let raw: Raw = toml::from_str(text).map_err(|error| form(error.message().to_owned()))?;
        // Servers of before the format was settled wrote `v1`.
        if raw.version != VERSION && raw.version != "v1" {
            return Err(InvoiceError::Version(visible(&raw.version)));
        }
        let id = format!("{}/{}", raw.bindle.name, raw.bindle.version);
        let id = id.parse().map_err(|error: crate::IdError| form(error.to_string()))?;
        let parcels = raw.parcel.into_iter().map(|RawParcel { label, conditions }| {
            let RawLabel { sha256, media_type, name, size } = label;
            match format!("sha256:{sha256}").parse() {
                Ok(digest) => {
                    let global = conditions.member_of.is_empty();
                    Ok(Parcel { name, media_type, size, digest, global })
                }
                Err(_) => {
                    let (name, sha256) = (visible(&name), visible(&sha256));
                    Err(InvoiceError::Digest { name, sha256 })
                }
            }
        });
        let parcels = parcels.collect::<Result<_, _>>()?;
        let (yanked, yanked_reason) = (raw.yanked, raw.yanked_reason);
        Ok(Self { id, yanked, yanked_reason, parcels })
    }

    /// The parcel that is the WebAssembly: the first that is in the bindle without a condition, as WAGI
    /// has it.
    ///
    /// # Errors
    /// When there is none, or the bindle was yanked.
    pub fn wasm(&self) -> Result<&Parcel, ParcelError> {
        if self.yanked {
            return Err(ParcelError::Yanked(self.yanked_reason.as_deref().map(visible)));
        }
        let is_wasm = |parcel: &&Parcel| parcel.global && parcel.media_type == WASM;
        self.parcels.iter().find(is_wasm).ok_or_else(|| {
            let named = |parcel: &Parcel| {
                let condition = if parcel.global { "" } else { ", with a condition" };
                format!("{} ({}{condition})", visible(&parcel.name), visible(&parcel.media_type))
            };
            ParcelError::None(self.parcels.iter().map(named).take(8).collect())
        })
    }
}

#[cfg(test)]
mod tests;
