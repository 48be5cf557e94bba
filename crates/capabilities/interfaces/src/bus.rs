//! `wasmcloud:bus/lattice`: the guest says over which of its links an interface is to go from now on.

use wasmtime::component::{Linker, Resource};

use crate::{Capable, OfInstance, View};

mod v1 {
    wasmtime::component::bindgen!({
        path: "wit/wasmcloud-bus-1.0.0.wit",
        imports: { default: trappable },
        with: { "wasmcloud:bus/lattice.call-target-interface": crate::bus::Target },
    });
}

mod v2 {
    wasmtime::component::bindgen!({
        path: "wit/wasmcloud-bus-2.0.1.wit",
        imports: { default: trappable },
        with: { "wasmcloud:bus/lattice.call-target-interface": crate::bus::Target },
    });
}

use v1::wasmcloud::bus::lattice as lattice1;
use v2::wasmcloud::bus::lattice as lattice2;

/// What is offered.
pub(crate) const PROVIDED: &[&str] =
    &["wasmcloud:bus/lattice@1.0.0", "wasmcloud:bus/lattice@2.0.1"];

/// Bytes of a name, and interfaces that a choice was made for.
const LONGEST: usize = 256;
const MOST: usize = 64;
/// The link that is used where nothing was chosen.
const DEFAULT: &str = "default";

/// Offers the interface if it is `wanted`.
pub(crate) fn add_to_linker<T: Capable>(
    linker: &mut Linker<T>,
    wanted: &impl Fn(&str) -> bool,
) -> wasmtime::Result<()> {
    if wanted("wasmcloud:bus/") {
        v1::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
        v2::Imports::add_to_linker::<_, OfInstance<T>>(linker, T::capabilities)?;
    }
    Ok(())
}

/// An interface, without its version: `wasi:keyvalue/store`.
#[derive(Clone, Debug)]
#[allow(unreachable_pub, reason = "generated code names it")]
pub struct Target(String);

impl Target {
    fn new(namespace: &str, package: &str, interface: &str) -> wasmtime::Result<Self> {
        let length = namespace.len() + package.len() + interface.len();
        wasmtime::ensure!(length <= LONGEST, "no interface has a name of {length} bytes");
        Ok(Self(format!("{namespace}:{package}/{interface}")))
    }
}

impl View<'_> {
    /// Chooses a link, or says why that cannot be.
    fn select(
        &mut self,
        name: &str,
        interfaces: Vec<Resource<Target>>,
    ) -> wasmtime::Result<Result<(), String>> {
        let mut targets = Vec::with_capacity(interfaces.len().min(MOST));
        for interface in interfaces {
            targets.push(self.table.delete(interface)?.0);
        }
        let granted = self.instance.granted();
        let selected = &mut self.instance.selected;
        if name.is_empty() || name == DEFAULT {
            for target in targets {
                selected.remove(&target);
            }
            return Ok(Ok(()));
        }
        if name.len() > LONGEST || !granted.has_link(name) {
            let name: String = name.chars().take(LONGEST).collect();
            return Ok(Err(format!("no link is called `{name}`")));
        }
        for target in targets {
            if selected.len() >= MOST && !selected.contains_key(&target) {
                return Ok(Err(format!("links of {MOST} interfaces are chosen already")));
            }
            selected.insert(target, name.to_owned());
        }
        Ok(Ok(()))
    }
}

impl lattice1::Host for View<'_> {
    fn set_link_name(
        &mut self,
        name: String,
        interfaces: Vec<Resource<Target>>,
    ) -> wasmtime::Result<()> {
        let targets: Vec<_> =
            interfaces.iter().filter_map(|target| self.table.get(target).ok().cloned()).collect();
        if self.select(&name, interfaces)?.is_err() {
            // Nobody is told: what is used over it is refused, and that says so.
            for Target(target) in targets.into_iter().take(MOST) {
                let name = name.chars().take(LONGEST).collect();
                self.instance.selected.insert(target, name);
            }
        }
        Ok(())
    }
}

impl lattice1::HostCallTargetInterface for View<'_> {
    fn new(
        &mut self,
        namespace: String,
        package: String,
        interface: String,
    ) -> wasmtime::Result<Resource<Target>> {
        Ok(self.table.push(Target::new(&namespace, &package, &interface)?)?)
    }

    fn drop(&mut self, target: Resource<Target>) -> wasmtime::Result<()> {
        self.table.delete(target)?;
        Ok(())
    }
}

impl lattice2::Host for View<'_> {
    fn set_link_name(
        &mut self,
        name: String,
        interfaces: Vec<Resource<Target>>,
    ) -> wasmtime::Result<Result<(), String>> {
        self.select(&name, interfaces)
    }
}

impl lattice2::HostCallTargetInterface for View<'_> {
    fn new(
        &mut self,
        namespace: String,
        package: String,
        interface: String,
    ) -> wasmtime::Result<Resource<Target>> {
        lattice1::HostCallTargetInterface::new(self, namespace, package, interface)
    }

    fn drop(&mut self, target: Resource<Target>) -> wasmtime::Result<()> {
        lattice1::HostCallTargetInterface::drop(self, target)
    }
}
