use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE as CONTENT_TYPE_HEADER};
use http::{HeaderValue, Method, Request, Response, StatusCode};

use crate::health::Answer;
use crate::metrics::CONTENT_TYPE;
use crate::{Health, Metrics};

#[cfg(test)]
mod tests;

const TEXT: &str = "text/plain; charset=utf-8";
const INDEX: &str = "\
reef admin
/metrics  Prometheus metrics
/livez    whether the process is alive
/healthz  the same
/readyz   whether it takes requests
";

/// The answer of the admin address to a request: metrics and health. It has nothing secret to tell and
/// nothing to change, and still belongs on an address that only operators reach.
///
/// A HEAD request is answered like a GET; that its body is not sent is the listener's business.
#[must_use]
pub fn respond<B>(request: &Request<B>, metrics: &Metrics, health: &Health) -> Response<String> {
    let path = request.uri().path();
    let answer: fn(&Metrics, &Health) -> Response<String> = match path {
        "/" => |_, _| text(StatusCode::OK, TEXT, INDEX.to_owned()),
        "/metrics" => |metrics, _| text(StatusCode::OK, CONTENT_TYPE, metrics.render()),
        "/healthz" | "/livez" => |_, health| probe(health.live()),
        "/readyz" => |_, health| probe(health.ready()),
        _ => {
            let body = format!("no {path} here; / lists what there is\n");
            return text(StatusCode::NOT_FOUND, TEXT, body);
        }
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let body = format!("{path} is read with GET\n");
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, TEXT, body);
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    answer(metrics, health)
}

fn probe(answer: Answer) -> Response<String> {
    let status = if answer.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    text(status, TEXT, format!("{}\n", answer.state.as_str()))
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE_HEADER, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
