use std::error::Error as StdError;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use reef_egress::{Backoff, PemError, Tls, TlsClient};
use rustls::ClientConfig;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::{Stop, Target};
use crate::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// An answer says how many were refused and why: never much.
const ANSWER_MAX: usize = 64 * 1024;
/// Most times that one batch is sent.
const MOST_TRIES: u32 = 4;

type Http = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Carries the batches of one signal to its receiver, one after the other.
#[derive(Debug)]
pub(crate) struct Sender {
    target: Target,
    tls: TlsClient,
    http: OnceCell<Http>,
}

/// What a receiver did not take of a batch that it took.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    pub(crate) count: u64,
    pub(crate) why: Option<String>,
}

/// Why one try failed, and what to do about it.
enum Failed {
    /// The same would happen again.
    ForGood(String),
    /// It may go better later, but not before a time that the receiver gave.
    ForNow(String, Option<Duration>),
}

impl Sender {
    pub(super) fn new(target: &Target) -> Result<Self, Error> {
        let tls = match &target.authorities {
            None => Tls::default(),
            Some(path) => {
                let wrong = |reason| Error::Certificates { path: path.clone(), reason };
                let read = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
                let made = Tls::from_pem(Some(&read), None);
                made.map_err(
                    |(PemError::Roots(why) | PemError::Cert(why) | PemError::Key(why))| wrong(why),
                )?
            }
        };
        Ok(Self { target: target.clone(), tls: TlsClient::new(tls), http: OnceCell::new() })
    }

    /// Sends a batch, and again while the receiver has no time for it (OTLP specification, "OTLP/HTTP Response"
    /// and "OTLP/HTTP Throttling"), within the target's time and until the export's end.
    ///
    /// # Errors
    /// Why it was not taken, for people.
    pub(crate) async fn send(&self, batch: Vec<u8>, stop: &Stop) -> Result<Refused, String> {
        let batch = Bytes::from(batch);
        let time = self.target.timeout;
        tokio::select! {
            sent = tokio::time::timeout(time, self.tries(batch)) => {
                sent.unwrap_or_else(|_| Err(format!("no success within {} s", time.as_secs_f64())))
            }
            () = stop.over() => Err("the process ended before they were sent".to_owned()),
        }
    }

    async fn tries(&self, batch: Bytes) -> Result<Refused, String> {
        let until = Instant::now() + self.target.timeout;
        let mut backoff = Backoff::default();
        for more in (0..MOST_TRIES).rev() {
            let (why, least) = match self.once(batch.clone()).await {
                Ok(refused) => return Ok(refused),
                Err(Failed::ForGood(why)) => return Err(why),
                Err(Failed::ForNow(why, least)) => (why, least),
            };
            let pause = backoff.pause().max(least.unwrap_or_default());
            // What came of it says more than that time was up.
            if more == 0 || Instant::now() + pause >= until {
                return Err(why);
            }
            tokio::time::sleep(pause).await;
        }
        Err("it was not tried".to_owned())
    }

    async fn once(&self, batch: Bytes) -> Result<Refused, Failed> {
        let http = self.http.get_or_try_init(|| self.connect()).await.map_err(Failed::ForGood)?;
        let mut request = Request::new(Full::new(batch));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.endpoint.clone();
        request.headers_mut().clone_from(&self.target.headers);
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        request.headers_mut().insert(CONTENT_TYPE, protobuf);
        let lost = |error: &(dyn StdError + 'static)| Failed::ForNow(with_causes(error), None);
        let (head, body) = http.request(request).await.map_err(|error| lost(&error))?.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await;
        let body = body.map_err(|error| lost(error.as_ref()))?.to_bytes();
        if head.status.is_success() {
            return Ok(refused(body));
        }
        let why = format!("the receiver answered {}", head.status);
        Err(match head.status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Failed::ForNow(why, retry_after(&head.headers)),
            _ => Failed::ForGood(why),
        })
    }

    /// The certificates are read when the first batch is sent, on the thread that sends.
    async fn connect(&self) -> Result<Http, String> {
        let tls: ClientConfig = match self.target.endpoint.scheme_str() {
            Some("https") => self.tls.config().await?,
            _ => self.tls.config_in_case().await?,
        }
        .as_ref()
        .clone();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(1)
            .build(connector))
    }
}

/// The answers to all three signals are the same on the wire: a number of those that were refused, and why.
fn refused(answer: Bytes) -> Refused {
    let partial = ExportTraceServiceResponse::decode(answer).ok();
    match partial.and_then(|answer| answer.partial_success) {
        Some(partial) if partial.rejected_spans > 0 => Refused {
            count: partial.rejected_spans.unsigned_abs(),
            why: Some(format!("the receiver refused some: {}", partial.error_message)),
        },
        _ => Refused::default(),
    }
}

/// In seconds, as receivers give it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
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
