//! Exports that are called from another host.

use std::future::poll_fn;

use reef_rpc::{Outgoing, Received, Refusal};
use tokio::sync::oneshot;
use wasmtime::{
    Store,
    component::{Func, Val, types::ComponentFunc},
};

use super::{later::Sending, values};

/// Says that what a guest streams is not whole, unless it came to its end.
struct Watch {
    sending: Sending,
    whole: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.whole {
            self.sending.break_off();
        }
    }
}

/// Calls an exported function with what another host sent, and answers as soon as it has returned.
/// Where the store is `concurrent`, it goes on until what the guest streams is handed on or nobody wants
/// it any more, and the guest has nothing to do: the caller of this bounds that by the deadline of the
/// call.
///
/// # Errors
/// When the guest traps, before or after it returned. Whoever called is told by then.
pub async fn serve_export<T: Send + 'static>(
    store: &mut Store<T>,
    function: Func,
    ty: &ComponentFunc,
    concurrent: bool,
    params: Received,
    reply: oneshot::Sender<Result<Outgoing, Refusal>>,
) -> wasmtime::Result<()> {
    let mut watch = Watch { sending: Sending::default(), whole: false };
    let sending = watch.sending.clone();
    let params = match values::received(&mut *store, params, ty.params().map(|(_, ty)| ty)) {
        Ok(params) => params,
        Err(error) => {
            let _ = reply.send(Err(Refusal::refused(&error)));
            return Ok(());
        }
    };
    let mut results = vec![Val::Bool(false); ty.results().len()];
    let mut reply = Some(reply);
    let mut answer = |answered: wasmtime::Result<Outgoing>| {
        let (said, error) = match answered {
            Ok(outgoing) => (Ok(outgoing), None),
            Err(error) => (Err(Refusal::failed(error.root_cause())), Some(error)),
        };
        // Nobody may wait any more.
        if let Some(reply) = reply.take() {
            let _ = reply.send(said);
        }
        error.map_or(Ok(()), Err)
    };
    if concurrent {
        let ran = store
            .run_concurrent(async |accessor| {
                function.call_concurrent(accessor, &params, &mut results).await?;
                let outgoing = accessor.with(|mut access| {
                    values::outgoing(&mut access, &results, ty.results(), &sending)
                });
                answer(outgoing)?;
                // A stream that the guest only handed on has nobody in it who works for it.
                sending.done().await;
                poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
                wasmtime::error::Ok(())
            })
            .await
            .flatten();
        if let Err(error) = ran {
            return answer(Err(error));
        }
    } else {
        let called = function.call_async(&mut *store, &params, &mut results).await;
        let outgoing = match called {
            Ok(()) => values::outgoing(&mut *store, &results, ty.results(), &sending),
            Err(error) => Err(error),
        };
        answer(outgoing)?;
    }
    watch.whole = true;
    Ok(())
}
