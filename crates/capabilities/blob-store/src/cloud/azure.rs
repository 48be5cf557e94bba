//! Azure's Blob Storage.

use std::sync::Arc;

use object_store::azure::MicrosoftAzureBuilder;
use reef_capability::{Backend, OpenError, Opening, Setting, TLS_CERT, TLS_KEY, TLS_ROOTS};
use reef_egress::TlsClient;

use super::{Cloud, ENDPOINT, PART_SIZE, PREFIX, client, unusable, wrong};
use crate::store::{BlobStore, MAX_OBJECT};

const ACCOUNT: Setting = Setting::new("account", "the storage account");
const BUCKET: Setting =
    Setting::new("azure-container", "Azure's container, which is there already");
const ACCESS_KEY: Setting = Setting::new("access-key", "the account's key, by secret reference");
const SAS_TOKEN: Setting =
    Setting::new("sas-token", "a shared access signature, by secret reference");
const TENANT: Setting = Setting::new("tenant", "the directory of a service principal");
const CLIENT: Setting = Setting::new("client", "the identifier of a service principal");
const CLIENT_SECRET: Setting =
    Setting::new("client-secret", "the secret of a service principal, by secret reference");

/// Blobs in Azure.
pub(crate) const BACKEND: Backend<dyn BlobStore> = Backend {
    name: "azure",
    system: "azure.blob",
    settings: &[
        ACCOUNT,
        BUCKET,
        ENDPOINT,
        PREFIX,
        ACCESS_KEY,
        SAS_TOKEN,
        TENANT,
        CLIENT,
        CLIENT_SECRET,
        PART_SIZE,
        TLS_ROOTS,
        TLS_CERT,
        TLS_KEY,
        MAX_OBJECT,
    ],
    private: false,
    open,
};

fn open(opening: Opening<'_>) -> Result<Arc<dyn BlobStore>, OpenError> {
    let settings = opening.settings;
    let tls = TlsClient::new(settings.tls(opening.folder)?.unwrap_or_default());
    let mut builder = MicrosoftAzureBuilder::new()
        .with_http_connector(client::Connector::new(opening.runtime.clone(), tls))
        .with_retry(client::retries())
        .with_account(settings.required(&ACCOUNT)?)
        .with_container_name(settings.required(&BUCKET)?);
    if let Some(endpoint) = settings.get(ENDPOINT.name) {
        builder = builder.with_endpoint(endpoint.to_owned()).with_allow_http(true);
    }
    let key = settings.get(ACCESS_KEY.name);
    let sas = settings.get(SAS_TOKEN.name);
    let principal = [TENANT, CLIENT, CLIENT_SECRET].map(|part| settings.get(part.name));
    builder = match (key, sas, principal) {
        (Some(key), None, [None, None, None]) => builder.with_access_key(key),
        (None, Some(token), [None, None, None]) => {
            let pairs = token.trim_start_matches('?').split('&');
            let pairs = pairs.filter_map(|pair| pair.split_once('='));
            let decoded = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy();
            let pairs = pairs.map(|(name, value)| (name.to_owned(), decoded(value).into_owned()));
            builder.with_sas_authorization(pairs.collect::<Vec<_>>())
        }
        (None, None, [Some(tenant), Some(client), Some(secret)]) => {
            builder.with_client_secret_authorization(client, secret, tenant)
        }
        // Nothing is taken from the machine that was not granted.
        (None, None, [None, None, None]) => builder.with_skip_signature(true),
        _ => {
            let why = "is one way of several that are given, or a part of one; \
                       give `access-key`, `sas-token`, or `tenant`, `client` and `client-secret`";
            return Err(wrong(ACCESS_KEY.name, why).into());
        }
    };
    let store = builder.build().map_err(|error| unusable(&error))?;
    Ok(Arc::new(Cloud::new(opening, Arc::new(store))?))
}
