//! What is not asynchronous, for engines that have nothing of the kind: all that 4.1.0 had.

use reef_sql::Connection;
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource, ResourceType},
};

use super::{
    Builder,
    spin::postgres::postgres::{HostConnection, HostConnectionBuilder, ParameterValue},
};
use crate::Capable;

type Of = Resource<Connection>;
type OfBuilder = Resource<Builder>;
type Statement = (Of, String, Vec<ParameterValue>);

pub(in crate::sql) fn add_plain<T: Capable>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut instance = linker.instance("spin:postgres/postgres@4.2.0")?;
    instance.resource("connection", ResourceType::host::<Connection>(), |mut store, rep| {
        store.data_mut().capabilities().close(Resource::new_own(rep))
    })?;
    instance.resource(
        "connection-builder",
        ResourceType::host::<Builder>(),
        |mut store, rep| {
            store.data_mut().capabilities().table.delete(OfBuilder::new_own(rep))?;
            Ok(())
        },
    )?;
    instance.func_wrap_async(
        "[static]connection.open",
        |mut store: StoreContextMut<'_, T>, (address,): (String,)| {
            Box::new(async move {
                let mut view = store.data_mut().capabilities();
                Ok((HostConnection::open(&mut view, address).await?,))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]connection.query",
        |mut store: StoreContextMut<'_, T>, (of, text, values): Statement| {
            Box::new(async move {
                let mut view = store.data_mut().capabilities();
                Ok((HostConnection::query(&mut view, of, text, values).await?,))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]connection.execute",
        |mut store: StoreContextMut<'_, T>, (of, text, values): Statement| {
            Box::new(async move {
                let mut view = store.data_mut().capabilities();
                Ok((HostConnection::execute(&mut view, of, text, values).await?,))
            })
        },
    )?;
    instance.func_wrap_async(
        "[constructor]connection-builder",
        |mut store: StoreContextMut<'_, T>, (address,): (String,)| {
            Box::new(async move {
                let mut view = store.data_mut().capabilities();
                Ok((HostConnectionBuilder::new(&mut view, address).await?,))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]connection-builder.set-ca-root",
        |mut store: StoreContextMut<'_, T>, (of, certificate): (OfBuilder, String)| {
            Box::new(async move {
                let mut view = store.data_mut().capabilities();
                Ok((HostConnectionBuilder::set_ca_root(&mut view, of, certificate).await?,))
            })
        },
    )?;
    instance.func_wrap_async(
        "[method]connection-builder.build",
        |mut store: StoreContextMut<'_, T>, (of,): (OfBuilder,)| {
            Box::new(async move {
                let mut view = store.data_mut().capabilities();
                Ok((HostConnectionBuilder::build(&mut view, of).await?,))
            })
        },
    )
}
