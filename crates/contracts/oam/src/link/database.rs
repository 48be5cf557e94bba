//! Links to databases.

use reef_app::Template;

use crate::settings::Values;

/// Settings of wasmCloud's provider for PostgreSQL, and what a link of this host calls them.
const SETTINGS: [(&str, &str); 7] = [
    ("postgres_host", "host"),
    ("postgres_port", "port"),
    ("postgres_username", "user"),
    ("postgres_password", "password"),
    ("postgres_database", "database"),
    ("postgres_tls_required", "tls"),
    ("postgres_pool_size", "max-connections"),
];

/// The settings of a link to PostgreSQL. Others are as they are: what opens the link knows which there may be.
pub(super) fn config(values: &Values) -> Values {
    let mut config = Values::new();
    config.insert("backend".to_owned(), Template::literal("postgres").into());
    for (key, value) in values {
        let own = SETTINGS.into_iter().find(|(name, _)| name == key).map_or(&**key, |(_, own)| own);
        config.insert(own.to_owned(), value.clone());
    }
    config
}
