//! Amazon's S3, and what speaks like it: MinIO, Ceph, R2 and others.

use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use reef_capability::{Backend, OpenError, Opening, Setting, TLS_CERT, TLS_KEY, TLS_ROOTS};
use reef_egress::TlsClient;

use super::{Cloud, ENDPOINT, PART_SIZE, PREFIX, client, unusable, wrong};
use crate::store::{BlobStore, MAX_OBJECT};

const BUCKET: Setting = Setting::new("s3-bucket", "the bucket, which is there already");
const REGION: Setting = Setting::new("region", "where the bucket is: `us-east-1`");
const ACCESS_KEY: Setting = Setting::new("access-key", "the key's identifier");
const SECRET_KEY: Setting = Setting::new("secret-key", "the key itself, by secret reference");
const SESSION_TOKEN: Setting =
    Setting::new("session-token", "the token of a key for a while, by secret reference");
const INSTANCE_ROLE: Setting =
    Setting::new("instance-role", "`true` for the credentials that the cloud gives this machine");
const PATH_STYLE: Setting = Setting::new(
    "path-style",
    "`false` where the bucket is a part of the endpoint's host name; at Amazon it always is",
);

/// Blobs in S3.
pub(crate) const BACKEND: Backend<dyn BlobStore> = Backend {
    name: "s3",
    system: "aws.s3",
    settings: &[
        BUCKET,
        REGION,
        ENDPOINT,
        PREFIX,
        ACCESS_KEY,
        SECRET_KEY,
        SESSION_TOKEN,
        INSTANCE_ROLE,
        PATH_STYLE,
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
    let mut builder = AmazonS3Builder::new()
        .with_http_connector(client::Connector::new(opening.runtime.clone(), tls))
        .with_retry(client::retries())
        .with_bucket_name(settings.required(&BUCKET)?);
    if let Some(region) = settings.get(REGION.name) {
        builder = builder.with_region(region);
    }
    let endpoint = settings.get(ENDPOINT.name);
    if let Some(endpoint) = endpoint {
        // Whoever writes `http:` means it.
        builder = builder.with_endpoint(endpoint).with_allow_http(true);
    }
    let path_style = settings.flag(PATH_STYLE.name)?.unwrap_or(endpoint.is_some());
    builder = builder.with_virtual_hosted_style_request(!path_style);
    let role = settings.flag(INSTANCE_ROLE.name)?.unwrap_or(false);
    builder = match (settings.get(ACCESS_KEY.name), settings.get(SECRET_KEY.name)) {
        (Some(_), Some(_)) if role => {
            return Err(wrong(INSTANCE_ROLE.name, "is not needed where there is a key").into());
        }
        (Some(id), Some(key)) => {
            let builder = builder.with_access_key_id(id).with_secret_access_key(key);
            match settings.get(SESSION_TOKEN.name) {
                Some(token) => builder.with_token(token),
                None => builder,
            }
        }
        (Some(_), None) => return Err(wrong(SECRET_KEY.name, "belongs to `access-key`").into()),
        (None, Some(_)) => return Err(wrong(ACCESS_KEY.name, "belongs to `secret-key`").into()),
        (None, None) if role => builder,
        // Nothing is taken from the machine that was not granted.
        (None, None) => builder.with_skip_signature(true),
    };
    let store = builder.build().map_err(|error| unusable(&error))?;
    Ok(Arc::new(Cloud::new(opening, Arc::new(store))?))
}
