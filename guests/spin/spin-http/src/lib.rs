//! An HTTP handler written with Spin's SDK 7: says what the variable is that its path ends with.

use spin_sdk::{
    http::{IntoResponse, Request},
    http_service, variables,
};

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let name = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    format!("{:?}", variables::get(&name).await)
}
