//! Google's Cloud Storage.

use std::sync::Arc;

use object_store::gcp::GoogleCloudStorageBuilder;
use reef_capability::{Backend, OpenError, Opening, Setting, TLS_CERT, TLS_KEY, TLS_ROOTS};
use reef_egress::TlsClient;

use super::{Cloud, ENDPOINT, PART_SIZE, PREFIX, client, unusable};
use crate::store::{BlobStore, MAX_OBJECT};

const BUCKET: Setting = Setting::new("gcs-bucket", "the bucket, which is there already");
const SERVICE_ACCOUNT: Setting =
    Setting::new("service-account", "a service account's key as JSON, by secret reference");

/// Blobs in Google's cloud.
pub(crate) const BACKEND: Backend<dyn BlobStore> = Backend {
    name: "gcs",
    system: "gcp.storage",
    settings: &[
        BUCKET,
        ENDPOINT,
        PREFIX,
        SERVICE_ACCOUNT,
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
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_http_connector(client::Connector::new(opening.runtime.clone(), tls))
        .with_retry(client::retries())
        .with_bucket_name(settings.required(&BUCKET)?);
    builder = match settings.get(SERVICE_ACCOUNT.name) {
        Some(key) => builder.with_service_account_key(key),
        // Nothing is taken from the machine that was not granted.
        None => builder.with_skip_signature(true),
    };
    if let Some(endpoint) = settings.get(ENDPOINT.name) {
        builder = builder.with_base_url(endpoint);
    }
    let store = builder.build().map_err(|error| unusable(&error))?;
    Ok(Arc::new(Cloud::new(opening, Arc::new(store))?))
}
