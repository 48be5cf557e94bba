//! Imports that another host answers.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use reef_rpc::{CallError, Client, Options, Outgoing, Received};
use reef_wrpc::{Function, Signature};
use wasmtime::component::{Linker, Val, types::ComponentFunc};

use super::{carries, later::Sending, values};

/// What answers the calls of an import: one host, or several that are chosen from.
pub trait Callee: Send + Sync {
    /// Calls a function by its name on the wire.
    fn call<'a>(
        &'a self,
        instance: &'a str,
        name: &'a str,
        signature: &'a Signature,
        params: Outgoing,
        options: Options,
    ) -> BoxFuture<'a, Result<Received, CallError>>;
}

/// How long a call of a store may take, and which trace it belongs to.
pub type OptionsOf<T> = Arc<dyn Fn(&mut T) -> Options + Send + Sync>;

/// Whoever serves below a prefix of subjects.
#[derive(Clone, Debug)]
pub struct Target {
    /// By way of this.
    pub client: Client,
    /// The prefix.
    pub prefix: String,
}

impl Callee for Target {
    fn call<'a>(
        &'a self,
        instance: &'a str,
        name: &'a str,
        signature: &'a Signature,
        params: Outgoing,
        options: Options,
    ) -> BoxFuture<'a, Result<Received, CallError>> {
        let (prefix, instance) = (self.prefix.clone(), instance.to_owned());
        let function = Function { prefix, instance, name: name.to_owned() };
        Box::pin(async move { self.client.invoke(&function, signature, params, &options).await })
    }
}

/// One function, as a linker's closure has it.
struct Imported<T> {
    callee: Arc<dyn Callee>,
    options: OptionsOf<T>,
    interface: Arc<str>,
    name: String,
    signature: Signature,
}

impl<T> Imported<T> {
    async fn call(&self, params: Outgoing, options: Options) -> wasmtime::Result<Received> {
        let Self { callee, interface, name, signature, .. } = self;
        let called = callee.call(interface, Function::wire_name(name), signature, params, options);
        // The interface has no place for it: the guest ends.
        Ok(called.await?)
    }
}

/// Has the functions of an import answered over the bus: what it is called in the component, and the interface that it
/// is. A call that fails there traps here.
///
/// # Errors
/// When one of them cannot be carried ([`Reason`](super::Reason)), or the linker has it already.
pub fn import_over_bus<T: Send + 'static>(
    linker: &mut Linker<T>,
    (name, interface): (&str, &str),
    functions: &[(String, ComponentFunc)],
    callee: &Arc<dyn Callee>,
    options: &OptionsOf<T>,
) -> wasmtime::Result<()> {
    let shared: Arc<str> = interface.into();
    let mut instance = linker.instance(name)?;
    for (name, ty) in functions {
        let imported = Arc::new(Imported {
            callee: callee.clone(),
            options: options.clone(),
            interface: shared.clone(),
            name: name.clone(),
            signature: carries(name, ty)?,
        });
        if ty.async_() {
            instance.func_new_concurrent(name, move |accessor, ty, params, results| {
                let imported = imported.clone();
                Box::pin(async move {
                    let (params, options) = accessor.with(|mut access| {
                        let types = ty.params().map(|(_, ty)| ty);
                        let params =
                            values::outgoing(&mut access, params, types, &Sending::default())?;
                        wasmtime::error::Ok((params, (imported.options)(access.get())))
                    })?;
                    let received = imported.call(params, options).await?;
                    let values = accessor
                        .with(|mut access| values::received(&mut access, received, ty.results()))?;
                    put(results, values);
                    Ok(())
                })
            })?;
        } else {
            instance.func_new_async(name, move |mut store, ty, params, results| {
                let imported = imported.clone();
                Box::new(async move {
                    let types = ty.params().map(|(_, ty)| ty);
                    let params = values::outgoing(&mut store, params, types, &Sending::default())?;
                    let options = (imported.options)(store.data_mut());
                    let received = imported.call(params, options).await?;
                    put(results, values::received(&mut store, received, ty.results())?);
                    Ok(())
                })
            })?;
        }
    }
    Ok(())
}

/// There are as many as the type has, on both sides.
fn put(results: &mut [Val], values: Vec<Val>) {
    for (result, value) in results.iter_mut().zip(values) {
        *result = value;
    }
}

impl<T> fmt::Debug for Imported<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imported").field("name", &self.name).finish_non_exhaustive()
    }
}
