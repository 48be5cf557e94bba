//! Messages that are kept here until they are handled again.

use std::{cmp::Ordering, collections::BinaryHeap, time::Duration};

use tokio::{sync::mpsc, time::Instant};

use crate::Delivery;

/// Messages that are kept until their times, the soonest first.
#[derive(Debug)]
pub(crate) struct Again {
    waiting: BinaryHeap<Waiting>,
    sender: mpsc::UnboundedSender<Waiting>,
    receiver: mpsc::UnboundedReceiver<Waiting>,
    /// Tells those apart that are due at once.
    count: u64,
}

/// Where a message is put back. There are never more on their way than are handled.
#[derive(Clone, Debug)]
pub(crate) struct PutBack(mpsc::UnboundedSender<Waiting>);

#[derive(Debug)]
struct Waiting {
    at: Instant,
    number: u64,
    delivery: Delivery,
}

impl Again {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self { waiting: BinaryHeap::new(), sender, receiver, count: 0 }
    }

    pub(crate) fn put_back(&self) -> PutBack {
        PutBack(self.sender.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The next one, when its time has come. Dropped before it is ready, it has taken nothing.
    pub(crate) async fn next(&mut self) -> Delivery {
        loop {
            while let Ok(waiting) = self.receiver.try_recv() {
                self.keep(waiting);
            }
            let now = Instant::now();
            if self.waiting.peek().is_some_and(|first| first.at <= now)
                && let Some(first) = self.waiting.pop()
            {
                return first.delivery;
            }
            let due = async {
                match self.waiting.peek() {
                    Some(first) => tokio::time::sleep_until(first.at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                waiting = self.receiver.recv() => {
                    if let Some(waiting) = waiting {
                        self.keep(waiting);
                    }
                }
            }
        }
    }

    /// Those that wait are not handled any more.
    pub(crate) fn give_up(&mut self) -> usize {
        while let Ok(waiting) = self.receiver.try_recv() {
            self.keep(waiting);
        }
        let waiting = self.waiting.len();
        self.waiting.clear();
        waiting
    }

    fn keep(&mut self, mut waiting: Waiting) {
        self.count += 1;
        waiting.number = self.count;
        self.waiting.push(waiting);
    }
}

impl PutBack {
    /// Has a message handled again after a pause.
    pub(crate) fn after(&self, pause: Duration, delivery: Delivery) {
        // An error means that nobody is there any more who would handle it.
        let _ = self.0.send(Waiting { at: Instant::now() + pause, number: 0, delivery });
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        // The soonest is the greatest.
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Waiting {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    #[tokio::test(start_paused = true)]
    async fn the_soonest_comes_first_and_none_too_early() {
        let mut again = Again::new();
        let begun = Instant::now();
        for millis in [300, 100, 200, 100] {
            let message = Message::new(millis.to_string(), "");
            let delivery = Delivery { message, attempt: 1, receipt: None };
            again.put_back().after(Duration::from_millis(millis), delivery);
        }
        for millis in [100, 100, 200, 300] {
            let delivery = again.next().await;
            assert_eq!(delivery.message.subject, millis.to_string());
            assert!(begun.elapsed() >= Duration::from_millis(millis));
        }
        assert_eq!(again.len(), 0);
    }
}
