#![allow(clippy::unwrap_used, reason = "tests")]

use futures::task::noop_waker_ref;
use http_body_util::{BodyExt as _, Empty};

use super::*;

fn job(uri: &'static str) -> (Box<Job>, Arc<Claim>) {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let request = http::Request::builder().uri(uri).body(body).unwrap();
    let (reply, _) = oneshot::channel();
    let claim = Arc::new(Claim::default());
    let trace = Traced::default();
    let job = Job { request, tls: false, trace, reply, claim: claim.clone(), handed_on: false };
    let job = Box::new(job);
    (job, claim)
}

fn next(slot: &Slot) -> Option<String> {
    match slot.poll_job(&mut Context::from_waker(noop_waker_ref())) {
        Poll::Ready(job) => Some(job.request.uri().to_string()),
        Poll::Pending => None,
    }
}

fn waiting(jobs: VecDeque<Box<Job>>) -> Vec<String> {
    jobs.iter().map(|job| job.request.uri().to_string()).collect()
}

#[test]
fn a_request_given_up_in_the_mailbox_is_not_begun() {
    let slot = Slot::new(job("/first").0, 8);
    let (second, claim) = job("/second");
    assert!(slot.push(second).is_ok());
    assert!(slot.push(job("/third").0).is_ok());
    // It waits behind the first: whatever the instance is busy with, it is not this.
    claim.give_up(true);
    assert!(!slot.is_closed());
    assert_eq!(next(&slot).as_deref(), Some("/first"));
    assert_eq!(next(&slot).as_deref(), Some("/third"));
    assert_eq!(next(&slot), None);
}

#[test]
fn a_request_given_up_ends_an_instance_that_computes_for_it() {
    let (first, claim) = job("/first");
    let slot = Slot::new(first, 8);
    assert!(slot.push(job("/second").0).is_ok());
    assert_eq!(next(&slot).as_deref(), Some("/first"));
    claim.give_up(true);
    assert!(slot.is_closed());
    // Not begun, so it may be begun elsewhere; and nothing more comes in.
    assert_eq!(waiting(slot.end()), ["/second"]);
    assert!(slot.push(job("/late").0).is_err());

    let (only, claim) = job("/only");
    let slot = Slot::new(only, 8);
    claim.give_up(true);
    assert!(slot.is_closed(), "an instance is made for nobody");
}

#[test]
fn why_an_instance_trapped_is_certain_when_it_has_ended() {
    let (only, claim) = job("/only");
    let slot = Slot::new(only, 8);
    assert_eq!(next(&slot).as_deref(), Some("/only"));
    // Its answer will not come any more, and nothing is known of the end yet.
    let mut cx = Context::from_waker(noop_waker_ref());
    let mut ended = std::pin::pin!(claim.ended());
    assert!(ended.as_mut().poll(&mut cx).is_pending());
    slot.trapped("unreachable".to_owned());
    assert!(ended.as_mut().poll(&mut cx).is_ready());
    assert_eq!(claim.trap().as_deref(), Some("unreachable"));
}

#[test]
fn an_instance_has_room_again_when_a_request_has_left_it() {
    let (first, claim) = job("/first");
    let slot = Slot::new(first, 2);
    assert!(slot.has_room());
    assert!(slot.push(job("/second").0).is_ok());
    assert!(!slot.has_room());
    assert_eq!(next(&slot).as_deref(), Some("/first"));
    assert!(!slot.has_room(), "its answer is still to come");
    drop(claim);
    assert!(slot.has_room());
    // What goes to another instance is with that one only.
    let other = Slot::new(slot.take_waiting(0).pop_front().unwrap(), 1);
    assert!(!other.has_room());
    assert_eq!(slot.serving.load(Ordering::SeqCst), 0);
}

#[test]
fn requests_wait_for_an_instance_that_is_made_up_to_what_it_can_serve() {
    let instances = Instances::new(1);
    assert!(instances.join(0, job("/alone").0).is_err());
    let slot = Slot::new(job("/first").0, 2);
    instances.starting(0, &slot);
    assert!(instances.join(0, job("/second").0).is_ok());
    assert!(instances.join(0, job("/third").0).is_err());
    assert_eq!(waiting(slot.take_waiting(1)), ["/second"]);
    instances.settle(0, &slot);
    assert!(instances.join(0, job("/late").0).is_err());
}
