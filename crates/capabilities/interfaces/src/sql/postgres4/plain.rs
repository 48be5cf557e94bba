//! What is not asynchronous, for engines that have nothing of the kind: all that 4.1.0 had.

use reef_sql::Connection;
use wasmtime::{
    StoreContextMut,
    component::{LinkerInstance, Resource, ResourceType},
};

use super::{
    Builder,
    spin::postgres::postgres::{HostConnection, HostConnectionBuilder, ParameterValue},
};
use crate::{Capable, scope::Getter};

type Of = Resource<Connection>;
type OfBuilder = Resource<Builder>;
type Statement = (Of, String, Vec<ParameterValue>);

pub(in crate::sql) fn add_plain<T: Capable>(
    instance: &mut LinkerInstance<'_, T>,
    data: Getter<T>,
) -> wasmtime::Result<()> {
    instance.resource(
        "connection",
        ResourceType::host::<Connection>(),
        move |mut store, rep| data(store.data_mut()).close(Resource::new_own(rep)),
    )?;
    instance.resource(
        "connection-builder",
        ResourceType::host::<Builder>(),
        move |mut store, rep| {
            data(store.data_mut()).table.delete(OfBuilder::new_own(rep))?;
            Ok(())
        },
    )?;
    instance.func_wrap_async(
        "[static]connection.open",
        move |mut store: StoreContextMut<'_, T>, (address,): (String,)| {
            Box::new(async move {
                let mut view = data(store.data_mut());
                Ok((HostConnection::open(&mut view, address).await?,))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]connection.query",
        move |mut store: StoreContextMut<'_, T>, (of, text, values): Statement| {
            Box::new(async move {
                let mut view = data(store.data_mut());
                Ok((HostConnection::query(&mut view, of, text, values).await?,))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]connection.execute",
        move |mut store: StoreContextMut<'_, T>, (of, text, values): Statement| {
            Box::new(async move {
                let mut view = data(store.data_mut());
                Ok((HostConnection::execute(&mut view, of, text, values).await?,))
            })
        },
    )?;
    instance.func_wrap_async(
        "[constructor]connection-builder",
        move |mut store: StoreContextMut<'_, T>, (address,): (String,)| {
            Box::new(async move {
                let mut view = data(store.data_mut());
                Ok((HostConnectionBuilder::new(&mut view, address).await?,))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]connection-builder.set-ca-root",
        move |mut store: StoreContextMut<'_, T>, (of, certificate): (OfBuilder, String)| {
            Box::new(async move {
                let mut view = data(store.data_mut());
                Ok((HostConnectionBuilder::set_ca_root(&mut view, of, certificate).await?,))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]connection-builder.build",
        move |mut store: StoreContextMut<'_, T>, (of,): (OfBuilder,)| {
            Box::new(async move {
                let mut view = data(store.data_mut());
                Ok((HostConnectionBuilder::build(&mut view, of).await?,))
            })
        },
    )
}
