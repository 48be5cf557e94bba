use std::error::Error as StdError;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::batch::Shared;
use crate::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// An answer says how many spans were refused and why: never much.
const ANSWER_MAX: usize = 64 * 1024;

/// Carries the exporter's requests; keeps what it learns of failures for the log.
#[derive(Debug)]
pub(super) struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    shared: Arc<Shared>,
}

impl Client {
    pub(super) fn new(
        endpoint: &Uri,
        authorities: Option<&Path>,
        shared: Arc<Shared>,
    ) -> Result<Self, Error> {
        let roots = match (endpoint.scheme_str(), authorities) {
            (Some("https"), Some(file)) => roots_of(file)?,
            (Some("https"), None) => roots_of_machine()?,
            _ => RootCertStore::empty(),
        };
        let tls =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots)
                .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(1)
            .build(connector);
        Ok(Self { http, shared })
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.http.request(request.map(Full::new)).await.inspect_err(|error| {
            self.shared.note_failure(with_causes(error));
        })?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await.inspect_err(|error| {
            self.shared.note_failure(with_causes(error.as_ref()));
        })?;
        let body = body.to_bytes();
        if !parts.status.is_success() {
            self.shared.note_failure(format!("the receiver answered {}", parts.status));
        } else if let Ok(answer) = ExportTraceServiceResponse::decode(body.clone())
            && let Some(partial) = answer.partial_success
            && partial.rejected_spans > 0
        {
            self.shared.note_rejected(partial.rejected_spans.unsigned_abs());
            self.shared
                .note_failure(format!("the receiver refused some: {}", partial.error_message));
        }
        Ok(Response::from_parts(parts, body))
    }
}

fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn roots_of(file: &Path) -> Result<RootCertStore, Error> {
    let error = |reason: String| Error::Certificates { path: file.to_owned(), reason };
    let read = File::open(file).map_err(|cause| error(cause.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_reader_iter(BufReader::new(read)) {
        let certificate = certificate.map_err(|cause| error(cause.to_string()))?;
        roots.add(certificate).map_err(|cause| error(cause.to_string()))?;
    }
    if roots.is_empty() {
        return Err(error("no certificate in it".to_owned()));
    }
    Ok(roots)
}

fn roots_of_machine() -> Result<RootCertStore, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Machines carry odd certificates; the usable ones are enough.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let reason =
            found.errors.first().map_or_else(|| "none installed".to_owned(), with_causes_of);
        return Err(Error::NoRoots { reason });
    }
    Ok(roots)
}

fn with_causes_of(error: &rustls_native_certs::Error) -> String {
    with_causes(error)
}
