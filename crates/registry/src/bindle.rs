//! From a Bindle server (Bindle 1.0.0, protocol specification).

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reef_bindle::{Id, Invoice, LARGEST, invoice_path, parcel_path};
use url::Url;

use crate::{
    Error, Fetched, PlaceError,
    client::{Answer, Side, again},
    download::{Expected, download, kept},
    registry::Asking,
};

/// Finds the parcel that is the WebAssembly, and fetches it if it is not there.
pub(crate) async fn fetch(asking: &Asking<'_>, id: &Id, server: &Url) -> Result<Fetched, Error> {
    let what = || asking.what.to_owned();
    let host = || server.host_str().unwrap_or_default().to_owned();
    let url = below(server, &invoice_path(id))?;
    // Asked for each time: it may have been taken back.
    let bytes = again(asking.tries, || async {
        get(asking, &url, "application/toml", server).await?.bytes(LARGEST).await
    });
    let invoice = Invoice::parse(&bytes.await?).map_err(|cause| Error::Invoice {
        what: what(),
        host: host(),
        cause,
    })?;
    if invoice.id != *id {
        return Err(Error::Other { what: what(), host: host(), is: invoice.id.to_string() });
    }
    let parcel = invoice.wasm().map_err(|cause| Error::Parcel { what: what(), cause })?;
    if let Some(should) = asking.digest
        && parcel.digest != should
    {
        return Err(Error::Digest { what: what(), is: parcel.digest, should });
    }
    let fetched = match kept(asking.store, parcel.digest).await {
        Some(kept) => kept,
        None => {
            let url = below(server, &parcel_path(id, parcel))?;
            let expected = Expected {
                what: asking.what,
                digest: Some(parcel.digest),
                size: Some(parcel.size),
                largest: asking.largest,
            };
            let fetching = again(asking.tries, || async {
                let answer = get(asking, &url, "*/*", server).await?;
                download(asking.store, answer, &expected, asking.told).await
            });
            fetching.await?
        }
    };
    asking.remember(&fetched.digest, None).await;
    Ok(fetched)
}

/// A path of the protocol below wherever the server has it.
fn below(server: &Url, path: &str) -> Result<Url, Error> {
    let text = format!("{}{path}", server.as_str().trim_end_matches('/'));
    Url::parse(&text).map_err(|error| PlaceError::Url { url: text, why: error.to_string() }.into())
}

async fn get(
    asking: &Asking<'_>,
    url: &Url,
    accept: &'static str,
    server: &Url,
) -> Result<Answer, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    let answer = asking.client.get(url, Side::Inside, headers).await?;
    match answer.status {
        StatusCode::OK => Ok(answer),
        StatusCode::NOT_FOUND => {
            let host = server.host_str().unwrap_or_default().to_owned();
            Err(Error::NotFound { what: asking.what.to_owned(), host })
        }
        _ => Err(answer.refused()),
    }
}
