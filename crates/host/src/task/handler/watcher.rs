//! Changes of a key-value store, by `wasi:keyvalue/watcher`.

use futures::FutureExt as _;
use reef_artifact::visible;
use reef_key_value::{Bucket, Change};
use reef_wasi::ComponentGuest;
use wasmtime::{
    Store,
    component::{Instance, Resource},
};
use wasmtime_wasi::WasiView as _;

use super::{call_with, function, told};
use crate::{Failure, task::Run};

/// Exports, in the order of preference.
pub(super) const EXPORTS: [&str; 2] =
    ["wasi:keyvalue/watcher@0.2.0-draft2", "wasi:keyvalue/watcher@0.2.0-draft"];

/// Handles a change of a store, as [`handle`](super::handle) does a message.
pub(in crate::task) async fn handle_change(
    run: &Run,
    export: &'static str,
    (bucket, change): (Bucket, Change),
) -> Result<i32, Failure> {
    let begun = run.book.begun();
    let key = visible(&change.key, 200);
    let ended = by_watcher(run, export, bucket, change).await;
    begun.ended(&ended);
    told(run, &ended, &key, "The change was handled.");
    ended
}

async fn by_watcher(
    run: &Run,
    export: &'static str,
    bucket: Bucket,
    change: Change,
) -> Result<i32, Failure> {
    let name = if change.value.is_some() { "on-set" } else { "on-delete" };
    let function = function(run, Some(export), name)?;
    let calling = move |mut store: Store<ComponentGuest>, instance: Instance| {
        async move {
            let called = async {
                let bucket = store.data_mut().ctx().table.push(bucket)?;
                let Change { key, value } = change;
                match value {
                    Some(value) => {
                        let function = instance
                            .get_typed_func::<(Resource<Bucket>, String, Vec<u8>), ()>(
                                &mut store, &function,
                            )?;
                        function.call_async(&mut store, (bucket, key, value.into())).await
                    }
                    None => {
                        let function = instance.get_typed_func::<(Resource<Bucket>, String), ()>(
                            &mut store, &function,
                        )?;
                        function.call_async(&mut store, (bucket, key)).await
                    }
                }
            };
            let called = called.await;
            (store, called.map(Ok))
        }
        .boxed()
    };
    call_with(run, None, calling).await
}
