//! Constant requests to hosts, none of which may fail.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::task::JoinHandle;

use crate::{
    client::{Connection, RUNTIME, Reply, Version, wait},
    support::eventually,
};

/// Clients that ask without a pause.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    /// How often something was answered.
    answers: Arc<Mutex<BTreeMap<String, usize>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Some at each address.
    pub(crate) fn on(addrs: &[SocketAddr], path: &'static str, each: usize) -> Self {
        Self::judged(addrs, path, each, |reply| reply.status == 200)
    }

    /// The same, where other answers may be fine.
    pub(crate) fn judged(
        addrs: &[SocketAddr],
        path: &'static str,
        each: usize,
        is_fine: fn(&Reply) -> bool,
    ) -> Self {
        let answers = Arc::new(Mutex::new(BTreeMap::new()));
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let clients = addrs.iter().flat_map(|addr| std::iter::repeat_n(*addr, each));
        let clients = clients.map(|addr| {
            let (stop, answered) = (stop.clone(), answered.clone());
            // From here: where the caller's network is.
            let mut connection = wait(Connection::open(addr, Version::H1));
            let answers = answers.clone();
            RUNTIME.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let reply = connection.get(path).await.expect("an answer");
                    assert!(is_fine(&reply), "at {addr}: {} {}", reply.status, reply.text());
                    *answers.lock().unwrap().entry(reply.text()).or_default() += 1;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let clients = clients.collect();
        Self { stop, answered, answers, clients }
    }

    /// How often something was answered until now.
    pub(crate) fn answered(&self, text: &str) -> usize {
        self.answers.lock().unwrap().get(text).copied().unwrap_or_default()
    }

    /// All answers until now.
    pub(crate) fn total(&self) -> usize {
        self.answers.lock().unwrap().values().sum()
    }

    /// Waits for so many more answers.
    pub(crate) fn goes_on(&self, many: usize) {
        let before = self.answered.load(Ordering::Relaxed);
        eventually("more answers", || {
            let failed = self.clients.iter().any(JoinHandle::is_finished);
            (failed || self.answered.load(Ordering::Relaxed) >= before + many).then_some(())
        });
    }

    /// Fails if a request did.
    #[track_caller]
    pub(crate) fn ends_well(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            wait(client).expect("a client that saw nothing wrong");
        }
    }
}
