//! Who leads: a record that is renewed, and taken over when it is not.
//!
//! Whoever wants to lead watches the record. It takes it over when it has not changed for the time that it says, by its
//! own clock from when it heard of it. Who leads counts the time from before its last renewal was sent, and stops a
//! quarter of it early: so it has stopped before anybody takes over, if no clock is a quarter faster than another one.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reef_lattice::record::{Leader, encode};
use reef_planner::Time;

use super::{
    outbox::Outcome,
    records::{Kept, Records},
};

/// One who leads or wants to.
#[derive(Debug)]
pub(super) struct Candidate {
    holder: Arc<str>,
    lease: Duration,
    /// The record's revision (none: there is no record) and when it was first heard of.
    seen: Option<(Option<u64>, Time)>,
    lead: Option<Lead>,
    /// What was sent and not yet answered, and when.
    sent: Option<Time>,
    /// A write that failed is not repeated at once.
    not_before: Time,
    resigned: bool,
}

#[derive(Clone, Copy, Debug)]
struct Lead {
    term: u64,
    revision: u64,
    renewals: u64,
    /// When the renewal was sent that holds.
    since: Time,
}

impl Candidate {
    pub(super) fn new(holder: Arc<str>, lease: Duration) -> Self {
        Self {
            holder,
            lease,
            seen: None,
            lead: None,
            sent: None,
            not_before: Time(0),
            resigned: false,
        }
    }

    /// The term in which it leads now.
    pub(super) fn term(&self, now: Time) -> Option<u64> {
        self.leads(now).map(|(term, _)| term)
    }

    /// The term in which it leads now, and until when, if it is not renewed.
    pub(super) fn leads(&self, now: Time) -> Option<(u64, Time)> {
        self.lead.map(|lead| (lead.term, self.until(&lead))).filter(|(_, until)| now < *until)
    }

    fn until(&self, lead: &Lead) -> Time {
        lead.since.after(self.lease * 3 / 4)
    }

    /// What is to be written into the record now, if something is.
    pub(super) fn turn(&mut self, records: &Records, now: Time) -> Option<Bytes> {
        if self.lead.is_some_and(|lead| now >= self.until(&lead)) {
            self.lead = None;
        }
        self.look(records, now);
        if self.resigned || self.sent.is_some() || now < self.not_before {
            return None;
        }
        let record = match self.lead {
            Some(lead) => {
                if now < lead.since.after(self.lease / 4) {
                    return None;
                }
                let (term, renewals) = (lead.term, lead.renewals + 1);
                self.record(term, renewals)
            }
            None => {
                if now < self.due(records)? {
                    return None;
                }
                self.record(0, 0)
            }
        };
        let bytes = encode(&record).ok()?;
        self.sent = Some(now);
        Some(bytes)
    }

    fn record(&self, term: u64, renewals: u64) -> Leader {
        let lease = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX);
        Leader { holder: self.holder.to_string(), term, lease, renewals }
    }

    /// Notes since when the record is as it is.
    fn look(&mut self, records: &Records, now: Time) {
        let revision = records.leader.as_ref().map(|leader| leader.revision);
        if self.seen.is_none_or(|(seen, _)| seen != revision) {
            self.seen = Some((revision, now));
        }
        let Some(lead) = self.lead.as_mut().filter(|lead| revision != Some(lead.revision)) else {
            return;
        };
        if self.sent.is_some() {
            return;
        }
        let record = records.leader.as_ref().and_then(Kept::get);
        match record.filter(|record| *record.holder == *self.holder) {
            // A renewal that nobody said was done.
            Some(_) => lead.revision = revision.unwrap_or_default(),
            None => self.lead = None,
        }
    }

    /// When it may take over.
    fn due(&self, records: &Records) -> Option<Time> {
        let (_, since) = self.seen?;
        Some(match records.leader.as_ref().map(Kept::get) {
            None => since,
            Some(leader) => {
                let lease = leader.map_or(self.lease, |leader| Duration::from_millis(leader.lease));
                since.after(lease.clamp(Duration::from_millis(10), Duration::from_secs(60)))
            }
        })
    }

    /// What became of the write. Whether it leads by it now, and did not before.
    pub(super) fn wrote(&mut self, now: Time, outcome: &Outcome) -> Option<u64> {
        let sent = self.sent.take()?;
        match outcome {
            Outcome::Done(Some(revision)) => {
                self.seen = Some((Some(*revision), now));
                match &mut self.lead {
                    Some(lead) => {
                        *lead = Lead {
                            revision: *revision,
                            renewals: lead.renewals + 1,
                            since: sent,
                            ..*lead
                        };
                        None
                    }
                    None => {
                        let term = *revision;
                        self.lead = Some(Lead { term, revision: term, renewals: 0, since: sent });
                        Some(term)
                    }
                }
            }
            Outcome::Done(None) => None,
            Outcome::Conflict => {
                self.lead = None;
                self.not_before = now.after(self.lease / 20);
                None
            }
            Outcome::Failed(_) => {
                self.not_before = now.after(self.lease / 20);
                None
            }
        }
    }

    /// Never leads again. Whether there is a record to be deleted.
    pub(super) fn resign(&mut self) -> bool {
        self.resigned = true;
        self.lead.take().is_some()
    }

    /// When it has to look again.
    pub(super) fn wake(&self, records: &Records, now: Time) -> Option<Time> {
        if self.resigned {
            return None;
        }
        let next = match &self.lead {
            Some(lead) if self.sent.is_some() => self.until(lead),
            Some(lead) => lead.since.after(self.lease / 4).min(self.until(lead)),
            None if self.sent.is_some() => return None,
            None => self.due(records)?,
        };
        Some(next.max(self.not_before).max(Time(now.0 + 1)))
    }
}
