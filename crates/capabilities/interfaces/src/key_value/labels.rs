//! Stores that are imported under labels: several of one interface, each over a link of its own.

use std::sync::Arc;

use reef_capability::Failure;
use reef_key_value::Bucket;
use wasmtime::{
    StoreContextMut,
    component::{Accessor, Linker, LinkerInstance, Resource},
};

use super::{draft, draft2, wasmcloud};
use crate::{Capable, OfInstance};

type Opened<E> = wasmtime::Result<(Result<Resource<Bucket>, E>,)>;

/// Offers a store under a label, if the interface is one.
pub(crate) fn add_labelled<T: Capable>(
    linker: &mut Linker<T>,
    label: &str,
    interface: &str,
) -> wasmtime::Result<()> {
    // What opens a store is defined as for every import, and then again for this one.
    linker.allow_shadowing(true);
    match interface {
        draft::STORE => {
            use draft::wasi::keyvalue::store;
            let instance = &mut linker.instance(label)?;
            store::add_to_linker_instance::<_, OfInstance<T>>(instance, T::capabilities)?;
            open::<T, store::Error>(instance, label, interface)?;
        }
        draft2::STORE => {
            use draft2::wasi::keyvalue::store;
            let instance = &mut linker.instance(label)?;
            store::add_to_linker_instance::<_, OfInstance<T>>(instance, T::capabilities)?;
            open::<T, store::Error>(instance, label, interface)?;
        }
        wasmcloud::STORE => {
            let label: Arc<str> = label.into();
            linker.instance(&label)?.func_wrap_concurrent(
                "open",
                move |accessor: &Accessor<T>, (identifier,): (String,)| {
                    let label = label.clone();
                    Box::pin(async move {
                        let accessor = accessor.with_getter::<OfInstance<T>>(T::capabilities);
                        Ok((wasmcloud::open(&accessor, Some(&label), &identifier),))
                    })
                },
            )?;
        }
        _ => {}
    }
    linker.allow_shadowing(false);
    Ok(())
}

fn open<T: Capable, E>(
    instance: &mut LinkerInstance<'_, T>,
    label: &str,
    interface: &str,
) -> wasmtime::Result<()>
where
    E: From<Failure> + Send + Sync + wasmtime::component::Lower + 'static,
    (Result<Resource<Bucket>, E>,): wasmtime::component::ComponentNamedList,
{
    let (label, interface) = (label.to_owned(), interface.to_owned());
    instance.func_wrap(
        "open",
        move |mut store: StoreContextMut<'_, T>, (identifier,): (String,)| -> Opened<E> {
            let mut view = store.data_mut().capabilities();
            let opened = view.open_bucket(&interface, Some(&label), &identifier);
            Ok((opened.and_then(|bucket| view.keep(bucket)).map_err(E::from),))
        },
    )
}
