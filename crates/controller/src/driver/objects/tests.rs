//! What is removed of a lattice's objects, and what stays.

use std::time::Duration;

use reef_lattice::{Expected, Key, key::kind, record::File};

use super::{Removed, Retention, Unused};
use crate::{
    Options,
    api::Delete,
    driver::place::{Place, until},
};

/// Nothing stays that may go.
const AT_ONCE: Retention =
    Retention { needed: Duration::ZERO, unused: Duration::ZERO, every: Duration::from_secs(3600) };

impl Place {
    /// One look at what nobody needs.
    async fn look(&self, unused: &mut Unused, retention: Retention) -> Removed {
        self.controller.shared.tidy_once(unused, retention).await.unwrap()
    }

    async fn removed(&self) -> u64 {
        self.look(&mut Unused::new(), AT_ONCE).await.objects
    }

    async fn has(&self, file: &File) -> bool {
        self.lattice.objects.has(&file.digest).await.unwrap()
    }
}

async fn place(leads: bool) -> Place {
    let options = Options { leads, retention: AT_ONCE, ..Options::default() };
    Place::new(options, |lattice| lattice).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_revisions_are_made_of_stays_and_what_none_is_goes() {
    let place = place(true).await;
    let stray = place.kept("stray").await;
    assert_eq!(place.removed().await, 0, "a store without applications may be one that was lost");

    let first = place.kept("0").await;
    place.apply(&first).await;
    assert_eq!(
        place.look(&mut Unused::new(), AT_ONCE).await,
        Removed { objects: 1, bytes: 5, uploads: 0 }
    );
    assert!(!place.has(&stray).await && place.has(&first).await);
    assert_eq!(place.removed().await, 0);

    // Thirty-two revisions are kept, and the one before the wanted one, which nothing has rolled out.
    let mut last = first.clone();
    for number in 1..40 {
        last = place.kept(&number.to_string()).await;
        place.apply(&last).await;
    }
    until(async || {
        place.removed().await;
        place.lattice.objects.unheld(Duration::ZERO).await.unwrap().len() <= 33
    })
    .await;
    assert!(place.has(&last).await);

    let (namespace, app) = ("default".to_owned(), "shop".to_owned());
    place.client.call(&Delete { namespace, app }).await.unwrap();
    until(async || {
        place.removed().await;
        place.lattice.objects.unheld(Duration::ZERO).await.unwrap().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_that_may_be_needed() {
    let place = place(true).await;
    let used = place.kept("used").await;
    place.apply(&used).await;
    let stray = place.kept("stray").await;

    // It was needed a moment ago.
    let retention = Retention { needed: Duration::from_secs(3600), ..AT_ONCE };
    assert_eq!(place.look(&mut Unused::new(), retention).await, Removed::default());
    // It was not seen to be unused for long.
    let retention = Retention { unused: Duration::from_secs(3600), ..AT_ONCE };
    let mut unused = Unused::new();
    for _ in 0..2 {
        assert_eq!(place.look(&mut unused, retention).await, Removed::default());
    }
    assert_eq!(unused.keys().collect::<Vec<_>>(), [&stray.digest]);
    // And is said to be needed, which begins anew.
    let since = unused[&stray.digest].1;
    place.lattice.objects.hold(&stray.digest, Duration::ZERO).await.unwrap();
    place.look(&mut unused, retention).await;
    assert!(unused[&stray.digest].1 > since);

    // A host runs something of which the store knows nothing: it is not the store that there was.
    place.says(1, &["lost"]).await;
    let unknown = || place.controller.shared.core().runs_what_is_unknown();
    until(async || unknown()).await;
    assert_eq!(place.removed().await, 0);
    place.says(2, &[]).await;
    until(async || !unknown()).await;

    // Nobody knows what a revision is made of that cannot be read.
    let broken = Key::new(&[kind::REVISION, "default", "other", "1"]).unwrap();
    let store = &place.lattice.store;
    store.put(&broken, "{ no record".into(), Expected::Absent).await.unwrap();
    let told = async || {
        let core = place.controller.shared.core();
        core.records().revisions.len() == 2
    };
    until(told).await;
    assert_eq!(place.removed().await, 0);
    store.delete(&broken, Expected::Any).await.unwrap();
    until(async || place.removed().await == 1).await;
    assert!(!place.has(&stray).await && place.has(&used).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_lead_removes_nothing() {
    let place = place(false).await;
    let used = place.kept("used").await;
    place.apply(&used).await;
    let stray = place.kept("stray").await;
    assert_eq!(place.removed().await, 0);
    assert!(place.has(&stray).await);
}
