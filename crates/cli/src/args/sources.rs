//! The arguments of where artifacts come from, and where what is made of them is kept.

use std::path::PathBuf;

use clap::{Args, ValueHint};

#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Code cache")]
pub(crate) struct CacheArgs {
    /// Folder for compiled code [default: $XDG_CACHE_HOME/reef/code or ~/.cache/reef/code]
    #[arg(long, value_name = "DIR", env = "REEF_CACHE_DIR", value_hint = ValueHint::DirPath)]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Compile anew and keep nothing
    #[arg(long)]
    pub(crate) no_cache: bool,
}

impl CacheArgs {
    /// As the environment says, for commands without these flags.
    pub(crate) fn from_env() -> Self {
        let set = std::env::var_os("REEF_CACHE_DIR").filter(|value| !value.is_empty());
        Self { cache_dir: set.map(PathBuf::from), no_cache: false }
    }
}

/// Where artifacts come from that are not files.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Registries and downloads")]
pub(crate) struct SourceArgs {
    /// A host, with a port or without, that is asked without TLS; this machine always is
    #[arg(long, value_name = "HOST", env = "REEF_INSECURE_REGISTRIES", value_delimiter = ',')]
    pub(crate) insecure_registry: Vec<String>,
    /// The Bindle server of bindles for which no other is named
    #[arg(long, value_name = "URL", env = "BINDLE_URL")]
    pub(crate) bindle_server: Option<String>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Data")]
pub(crate) struct DataArgs {
    /// Folder for what applications keep: one for each by its name, which one host at a time may use
    /// [default: $XDG_DATA_HOME/reef/data or ~/.local/share/reef/data]
    #[arg(long, value_name = "DIR", env = "REEF_DATA", value_hint = ValueHint::DirPath)]
    pub(crate) data: Option<PathBuf>,
    /// Keep nothing: what applications keep is in memory
    #[arg(long, conflicts_with = "data")]
    pub(crate) no_data: bool,
}
