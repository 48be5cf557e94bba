//! What to do about a failure of TLS, as far as that can be told from it.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::{AlertDescription as Alert, CertificateError};

use crate::error::chain;

const UNKNOWN: &str = "if its authority is to be trusted, name that one's certificate as `tls-roots` in the link's \
                       settings (`tls.roots` of a workload)";
/// What to do about a server that wants a client's certificate, for one that says so in its own protocol.
pub const CLIENT_CERTIFICATE: &str = "if it wants a certificate of who connects, name one as `tls-cert`, and its key \
                                      as `tls-key`, in the link's settings (`tls.cert` and `tls.key` of a workload)";

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
        ) => Some(CLIENT_CERTIFICATE),
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
