//! The HTTP client below the stores' protocols: the one that Reef has anyhow, with its TLS.

use std::{sync::Arc, time::Duration};

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
use reef_egress::{TlsClient, explained};
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
    tls: TlsClient,
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
    pub(super) fn new(runtime: Handle, tls: TlsClient) -> Self {
        Self { shared: Arc::new(Shared { runtime, tls, pool: OnceCell::new() }) }
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
        let unusable = |why: String| HttpError::new_boxed(HttpErrorKind::Connect, why.into());
        let tls = Arc::unwrap_or_clone(self.tls.config_in_case().await.map_err(unusable)?);
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

fn unanswered(error: hyper_util::client::legacy::Error) -> HttpError {
    if error.is_connect() {
        return HttpError::new_boxed(HttpErrorKind::Connect, explained(&error).into());
    }
    // The connection went away, before or after the request was on it.
    HttpError::new(HttpErrorKind::Interrupted, error)
}
