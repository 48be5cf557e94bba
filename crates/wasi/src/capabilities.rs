//! What a workload is linked to beyond WASI, in the data of its stores.

use reef_interfaces::{Capable, View};

use crate::guest::ComponentGuest;

impl Capable for ComponentGuest {
    fn capabilities(&mut self) -> View<'_> {
        View { table: &mut self.table, instance: &mut self.instance }
    }
}
