//! What goes wrong with machines, processes and networks, and what has to hold all the same: what was acknowledged is
//! kept, one leads, nothing runs where it may not, requests are answered, and it comes to rest.

mod artifacts;
mod clocks;
mod disk;
mod emptied;
mod killed;
mod leaving;
mod messages;
mod network;
mod partitions;
mod poison;
mod quorum;
mod servers;
mod slow;
mod witness;

use std::{fs, path::Path};

use tempfile::TempDir;

pub(super) use self::witness::Witness;
use super::Lattice;
use crate::{host::folder, support::eventually};

/// A stateless component in some version, as often as said.
fn kit(version: u32, scale: &str) -> String {
    format!(
        "name = 'shop'\n[[workload]]\nname = 'kit'\nsource = 'kit.wasm'\n\
         env = {{ VERSION = '{version}' }}\ntrigger.http.route = '/...'\n{scale}\n"
    )
}

/// A folder with that.
fn kit_folder(scale: &str) -> TempDir {
    folder(&[("kit.wasm", "p2-http-kit")], &kit(1, scale))
}

fn set_kit(folder: &Path, version: u32, scale: &str) {
    fs::write(folder.join("reef.toml"), kit(version, scale)).unwrap();
}

/// Where a host has a label, `zone=NAME`, as an application asks for it.
fn only_in(zone: &str, instances: u32) -> String {
    format!("scale.instances = {instances}\nscale.spread = [{{ labels = {{ zone = '{zone}' }} }}]")
}

impl<B> Lattice<B> {
    /// Waits until a host answers a request well.
    pub(super) fn answers(&self, at: usize, path: &str) -> String {
        eventually("an answer", || {
            let reply = self.get(at, path);
            (reply.status == 200).then(|| reply.text())
        })
    }

    /// The host on which the leading controller is.
    fn leading(&self, witness: &Witness, names: &[&str]) -> usize {
        eventually("a leader that is one of the hosts", || {
            let holder = witness.leader()?;
            names.iter().position(|name| holder.starts_with(&format!("{name}-")))
        })
    }

    /// Has a host lead: who does instead stands still for a while.
    fn has_lead(&self, witness: &Witness, names: &[&str], at: usize) {
        eventually("that host to lead", || {
            let (leading, term) = (self.leading(witness, names), witness.term());
            if leading == at {
                return Some(());
            }
            self.host(leading).signal("STOP");
            witness.led_after(term);
            self.host(leading).signal("CONT");
            None
        });
    }

    /// Waits until an application is as it is wanted, for as long as a machine may take that is busy with other things.
    #[track_caller]
    fn is_deployed(&self, app: &str) {
        self.told(&["wait", app, "--timeout", "120s"]);
    }

    /// Numbers of the revisions of an application that are kept, and which of them is wanted.
    fn history(&self, app: &str) -> (Vec<u64>, Option<u64>) {
        let history = self.json(&["history", app]);
        let all = history["revisions"].as_array().unwrap();
        let numbers = all.iter().map(|one| one["number"].as_u64().unwrap());
        (numbers.collect(), history["wanted"].as_u64())
    }

    /// Ready instances on each host, by the hosts' names, of those that are heard of.
    fn ready_on(&self) -> Vec<(String, u64)> {
        let all = self.placements().into_iter().filter(|(_, _, instances, _)| *instances > 0);
        all.map(|(_, host, _, ready)| (host, ready)).collect()
    }
}
