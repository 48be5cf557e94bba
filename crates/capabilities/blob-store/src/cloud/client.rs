//! The HTTP client below the stores' protocols: the one that Reef has anyhow, with its TLS.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use object_store::{
    BackoffConfig, ClientOptions, RetryConfig,
    client::{
        HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
        HttpResponseBody, HttpService,
    },
};
use rustls::{RootCertStore, pki_types::CertificateDer, pki_types::pem::PemObject as _};
use tokio::{runtime::Handle, sync::OnceCell};
use tokio_util::task::AbortOnDropHandle;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a store may take to begin its answer, once it has the request.
const ANSWER: Duration = Duration::from_secs(60);
/// How long a connection is kept that nobody uses, and how many are.
const IDLE: (Duration, usize) = (Duration::from_secs(60), 32);
/// The largest answer that is not an object.
const LARGEST: usize = 16 << 20;

type Pool = Client<HttpsConnector<HttpConnector>, HttpRequestBody>;

/// Makes one client for all that a store's protocol asks for.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Connections belong to it, whoever asks for them.
    runtime: Handle,
    ca: Option<PathBuf>,
    pool: OnceCell<Pool>,
}

#[derive(Debug)]
struct Service(Arc<Shared>);

/// What is tried again below the link's own tries: a part of an upload is no use of the link by itself.
pub(super) fn retries() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_secs(1),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: 2, retry_timeout: Duration::from_secs(30) }
}

impl Connector {
    pub(super) fn new(runtime: Handle, ca: Option<PathBuf>) -> Self {
        Self { shared: Arc::new(Shared { runtime, ca, pool: OnceCell::new() }) }
    }
}

impl object_store::client::HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Service(self.shared.clone())))
    }
}

impl Shared {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let pool = self.pool.get_or_try_init(|| self.pool()).await?;
        // Anything but an object is read as a whole by whoever asked.
        let whole = request.method() != http::Method::GET || request.uri().query().is_some();
        let answer = tokio::time::timeout(ANSWER, pool.request(request)).await;
        let answer = answer.map_err(|error| HttpError::new(HttpErrorKind::Timeout, error))?;
        let (head, body) = answer.map_err(unanswered)?.into_parts();
        let body = if whole || !head.status.is_success() {
            let lost = |error| HttpError::new_boxed(HttpErrorKind::Interrupted, error);
            HttpResponseBody::new(Limited::new(body, LARGEST).map_err(lost))
        } else {
            HttpResponseBody::new(body.map_err(|e| HttpError::new(HttpErrorKind::Interrupted, e)))
        };
        Ok(HttpResponse::from_parts(head, body))
    }

    async fn pool(&self) -> Result<Pool, HttpError> {
        let ca = self.ca.clone();
        // Files are read.
        let roots = tokio::task::spawn_blocking(move || roots(ca)).await;
        let roots = roots.unwrap_or_else(|error| Err(error.to_string()));
        let unusable = |why: String| HttpError::new_boxed(HttpErrorKind::Connect, why.into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?
            .with_root_certificates(roots.map_err(unusable)?)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_nodelay(true);
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        Ok(Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE.0)
            .pool_max_idle_per_host(IDLE.1)
            .build(https.enable_http1().wrap_connector(tcp)))
    }
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let shared = self.0.clone();
        let sending = self.0.runtime.spawn(async move { shared.send(request).await });
        let answer = AbortOnDropHandle::new(sending).await;
        answer.unwrap_or_else(|error| Err(HttpError::new(HttpErrorKind::Interrupted, error)))
    }
}

/// The machine's root certificates, and those of a file.
fn roots(ca: Option<PathBuf>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "A root certificate cannot be read.");
    }
    roots.add_parsable_certificates(found.certs);
    if let Some(file) = ca {
        let wrong = |why: String| format!("the certificates of {}: {why}", file.display());
        let all = CertificateDer::pem_file_iter(&file).map_err(|error| wrong(error.to_string()))?;
        for certificate in all {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
    }
    Ok(roots)
}

fn unanswered(error: hyper_util::client::legacy::Error) -> HttpError {
    if error.is_connect() {
        return HttpError::new(HttpErrorKind::Connect, error);
    }
    // The connection went away, before or after the request was on it.
    HttpError::new(HttpErrorKind::Interrupted, error)
}
