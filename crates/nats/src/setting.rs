//! The settings that a link to NATS takes.

use reef_capability::Setting;
pub use reef_capability::{TLS_CERT, TLS_KEY, TLS_ROOTS};

/// The servers.
pub const URL: Setting =
    Setting::new("url", "the servers: `nats://host:4222`, several of a cluster with commas");
/// A user's name.
pub const USER: Setting = Setting::new("user", "a user's name");
/// The user's password.
pub const PASSWORD: Setting = Setting::new("password", "the user's password, by secret reference");
/// A token.
pub const TOKEN: Setting = Setting::new("token", "a token, by secret reference");
/// An NKey's seed.
pub const NKEY: Setting = Setting::new("nkey", "the seed of an NKey, by secret reference");
/// A file of credentials, as text.
pub const CREDENTIALS: Setting =
    Setting::new("credentials", "what a `.creds` file holds (JWT and seed), by secret reference");
/// Whether TLS is needed.
pub const TLS: Setting = Setting::new("tls", "`true` to connect with TLS or not at all");
/// JetStream's domain.
pub const DOMAIN: Setting = Setting::new("domain", "JetStream's domain, where it has one");

/// What every backend that is kept in NATS takes, and what it takes beside that: the settings of a
/// [`Backend`](reef_capability::Backend).
#[macro_export]
macro_rules! settings {
    ($($own:expr),* $(,)?) => {
        &[
            $crate::setting::URL,
            $crate::setting::USER,
            $crate::setting::PASSWORD,
            $crate::setting::TOKEN,
            $crate::setting::NKEY,
            $crate::setting::CREDENTIALS,
            $crate::setting::TLS,
            $crate::setting::TLS_ROOTS,
            $crate::setting::TLS_CERT,
            $crate::setting::TLS_KEY,
            $crate::setting::DOMAIN,
            $($own),*
        ]
    };
}
