//! What an error of NATS is to a guest.

use std::error::Error;

use async_nats::jetstream::{
    self, ErrorCode,
    context::{
        CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind, PublishError,
        PublishErrorKind,
    },
};
use reef_capability::Failure;

/// JetStream's own reason, somewhere below an error.
pub fn jetstream_error(error: &(dyn Error + 'static)) -> Option<jetstream::Error> {
    let mut next = Some(error);
    while let Some(one) = next {
        if let Some(reason) = one.downcast_ref::<jetstream::Error>() {
            return Some(reason.clone());
        }
        // Some errors have it as their kind, and not as their source.
        if let Some(GetStreamErrorKind::JetStream(reason)) =
            one.downcast_ref::<GetStreamError>().map(GetStreamError::kind)
        {
            return Some(reason);
        }
        if let Some(CreateStreamErrorKind::JetStream(reason)) =
            one.downcast_ref::<CreateStreamError>().map(CreateStreamError::kind)
        {
            return Some(reason);
        }
        next = one.source();
    }
    None
}

/// Whether a message was not taken since the one before it on its subject is another than was expected.
pub fn is_conflict(error: &PublishError) -> bool {
    error.kind() == PublishErrorKind::WrongLastSequence || is_being_written(error)
}

/// Whether that is since another one is just on its way to all servers of a cluster. What is read then may still be the
/// one before both.
pub fn is_being_written(error: &PublishError) -> bool {
    jetstream_error(error)
        .is_some_and(|reason| reason.error_code() == ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT)
}

/// An error of NATS as a failure. One that says that something is not there is for the caller to know before.
pub fn failed(error: &(dyn Error + Send + Sync + 'static)) -> Failure {
    let said = error.to_string();
    if let Some(reason) = jetstream_error(error) {
        let said = reason.to_string();
        return match reason.error_code() {
            ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
                no_jetstream()
            }
            ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::MEMORY_RESOURCES_EXCEEDED => Failure::Full(said),
            ErrorCode::STREAM_STORE_FAILED if is_full(&said) => Failure::Full(said),
            // The cluster has no leader for now, or its account is not there yet.
            ErrorCode::CLUSTER_NOT_AVAILABLE | ErrorCode::CLUSTER_NOT_LEADER => Failure::lost(said),
            _ if reason.code() == 503 => Failure::lost(said),
            _ => Failure::Backend(said),
        };
    }
    let mut chain = vec![said];
    let mut next = error.source();
    while let Some(one) = next {
        let said = one.to_string();
        if chain.last().is_some_and(|last| !last.contains(&said)) {
            chain.push(said);
        }
        next = one.source();
    }
    let said = chain.join(": ");
    let words = said.to_lowercase();
    if words.contains("no responders") || words.contains("jetstream unavailable") {
        return no_jetstream();
    }
    let gone = ["timed out", "broken pipe", "connection", "disconnected", "heartbeat"];
    if gone.iter().any(|word| words.contains(word)) {
        return Failure::lost(format!("NATS: {said}"));
    }
    Failure::Backend(format!("NATS: {said}"))
}

/// That nobody answers for JetStream, as a failure that passes: where it is known to be there, it is behind a connection
/// of the servers' that is lost (a leaf node's). Any other failure is as it is.
pub fn unreached(failure: Failure) -> Failure {
    match failure {
        Failure::Unsupported(why) => Failure::unreachable(why),
        // As the client says that there were no responders to one of its requests.
        Failure::Backend(why) if why.contains("JetStream resource does not exist") => {
            Failure::unreachable(why)
        }
        other => other,
    }
}

/// Whether that a stream does not take a message is for want of room. It may also be that its files are just then made,
/// or removed, which passes.
fn is_full(said: &str) -> bool {
    ["exceeded", "no space", "quota", "insufficient"].iter().any(|word| said.contains(word))
}

fn no_jetstream() -> Failure {
    let why = "the NATS server has no JetStream for this account; start it with `-js`, \
               or enable it in the account";
    Failure::Unsupported(why.to_owned())
}
