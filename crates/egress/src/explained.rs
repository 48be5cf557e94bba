//! What to do about a failure of TLS, as far as that can be told from it.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::{AlertDescription as Alert, CertificateError};

use crate::error::chain;

const UNKNOWN: &str = "no authority that is trusted here issued its certificate: name a file with the authority's own \
                       as `tls-roots` in the link's settings, or as `tls.roots` of the workload";
const NOT_ACCEPTED: &str = "if the server wants to know who connects, name a certificate that it accepts, and its key, as \
                            `tls-cert` and `tls-key` in the link's settings, or as `tls.cert` and `tls.key` of the workload";

/// An error and its causes in one line; where it is one of TLS that a setting is missing for, with that.
pub fn explained(error: &(dyn Error + 'static)) -> String {
    let said = chain(error);
    match advice(error) {
        Some(advice) => format!("{said}; {advice}"),
        None => said,
    }
}

/// The same of an error that is one of TLS, or that one of TLS caused.
pub fn tls_failure(error: &(dyn Error + 'static)) -> Option<String> {
    of_tls(error).map(|_| explained(error))
}

fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    match of_tls(error)? {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => Some(UNKNOWN),
        // Servers of TLS 1.2 have no alert of their own for a certificate that is missing.
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::HandshakeFailure
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA,
        ) => Some(NOT_ACCEPTED),
        _ => None,
    }
}

fn of_tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(one) = next {
        if let Some(found) = one.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        // An I/O error's source is not what it wraps, but the source of that; so is that of a shared one.
        let shared = one.downcast_ref::<Arc<dyn Error + Send + Sync>>().map(|error| &**error);
        let wrapped = one.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match shared.or(wrapped) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => one.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the library failed")]
    struct Wrapped(#[source] io::Error);

    #[test]
    fn what_a_setting_would_help_with_says_so() {
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let unknown = Wrapped(io::Error::new(io::ErrorKind::InvalidData, unknown));
        assert!(explained(&unknown).contains("`tls-roots`"), "{}", explained(&unknown));
        let wanted = rustls::Error::AlertReceived(Alert::CertificateRequired);
        let wanted = io::Error::other(Wrapped(io::Error::other(wanted)));
        assert!(explained(&wanted).contains("`tls-cert`"), "{}", explained(&wanted));
        let shared: Arc<dyn Error + Send + Sync> = Arc::new(unknown);
        assert!(explained(&shared).contains("`tls-roots`"), "{}", explained(&shared));
        assert!(tls_failure(&shared).is_some() && tls_failure(&io::Error::other("x")).is_none());
        let other = io::Error::other(rustls::Error::InvalidCertificate(CertificateError::Expired));
        assert_eq!(explained(&other), other.to_string());
    }
}
