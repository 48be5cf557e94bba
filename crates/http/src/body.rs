//! Bodies of requests and responses, streamed, never gathered.

mod request;
mod response;

pub(crate) use request::BodyLimits;
pub use request::{BodyError, RequestBody};
pub use response::ResponseBody;

/// Any error of a response body. It is logged, and the response is cut where it stands.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
