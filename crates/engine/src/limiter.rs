//! Keeps a guest within its limits.

use std::sync::Arc;

use reef_grants::{ByteSize, Limits};
use reef_meter::Meter;
use wasmtime::ResourceLimiter;

/// Bytes of an element of a table: a pointer of this machine.
const TABLE_ELEMENT: u64 = 8;

/// Keeps a store within its memory, and tells the meter.
///
/// A refused growth is not an error: the guest sees `memory.grow` answer −1, as on a machine that is
/// full, and may carry on. What was refused is kept, so that a later trap can be explained.
#[derive(Debug)]
pub struct Limiter {
    memory: u64,
    table_elements: usize,
    used: u64,
    refused: Option<u64>,
    refused_table: Option<usize>,
    meter: Arc<Meter>,
}

// === impl Limiter ===

impl Limiter {
    /// A limiter for one store.
    pub fn new(limits: &Limits, meter: Arc<Meter>) -> Self {
        Self {
            memory: limits.memory.0,
            table_elements: limits.table_elements,
            used: 0,
            refused: None,
            refused_table: None,
            meter,
        }
    }

    fn take(&mut self, more: u64) -> bool {
        let wanted = self.used.saturating_add(more);
        if wanted > self.memory {
            self.refused = Some(wanted);
            return false;
        }
        self.used = wanted;
        self.meter.memory_grew(more, wanted);
        true
    }

    /// What it tells.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Bytes of linear memory and tables in use.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// The size in bytes that the guest last asked for in vain.
    pub fn refused(&self) -> Option<u64> {
        self.refused
    }

    /// The elements of a table that the guest last asked for in vain, and how many are allowed.
    pub fn refused_table(&self) -> Option<(usize, usize)> {
        self.refused_table.map(|refused| (refused, self.table_elements))
    }

    /// Bytes allowed.
    pub fn limit(&self) -> ByteSize {
        ByteSize(self.memory)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.take((desired as u64).saturating_sub(current as u64)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        if desired > self.table_elements {
            self.refused_table = Some(desired);
            return Ok(false);
        }
        // Tables are memory too; a module may have many.
        let more = (desired as u64).saturating_sub(current as u64);
        Ok(self.take(more.saturating_mul(TABLE_ELEMENT)))
    }

    // A store holds one component, however many modules that is made of; memory is what counts.
    fn instances(&self) -> usize {
        10_000
    }

    fn tables(&self) -> usize {
        10_000
    }

    fn memories(&self) -> usize {
        1_000
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.meter.memory_freed(self.used);
    }
}

#[cfg(test)]
mod tests;
