//! What a workload is linked to beyond WASI, in the data of its stores.

use reef_capability::Caller;
use reef_interfaces::{Capable, View};
use wasmtime::StoreContextMut;

use crate::{guest::ComponentGuest, trace};

impl Capable for ComponentGuest {
    fn capabilities(&mut self) -> View<'_> {
        View::new(&mut self.table, &mut self.instance)
    }

    fn caller(store: &mut StoreContextMut<'_, Self>) -> Caller {
        trace::caller(store)
    }
}
