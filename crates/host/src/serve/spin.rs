//! Instances that answer as Spin's components did before WASI: `fermyon:spin/inbound-http`, a whole
//! request for a whole response.

use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use reef_wasi::{ComponentGuest, SpinHttpFault, SpinRequest, SpinResponse};
use wasmtime::{
    Store,
    component::{ComponentExportIndex, Instance as Guest, InstancePre},
};
use wasmtime_wasi_http::WasiBody;

use super::{component::Instance, instances::Job};

const INTERFACE: &str = "fermyon:spin/inbound-http";
const FUNCTION: &str = "handle-request";

/// A component that has the export.
pub(super) struct Pre {
    pub(super) pre: InstancePre<ComponentGuest>,
    function: ComponentExportIndex,
}

type Handle = (SpinRequest,);
type Handled = (SpinResponse,);

impl Pre {
    pub(super) fn new(pre: InstancePre<ComponentGuest>) -> wasmtime::Result<Self> {
        let component = pre.component();
        let inside = component.get_export_index(None, INTERFACE);
        let function =
            inside.and_then(|inside| component.get_export_index(Some(&inside), FUNCTION));
        let function = function
            .ok_or_else(|| wasmtime::format_err!("`{INTERFACE}` has no function `{FUNCTION}`"))?;
        Ok(Self { pre, function })
    }
}

impl Instance {
    /// One request after the other, each on its own.
    pub(super) async fn serve_spin(
        &self,
        store: &mut Store<ComponentGuest>,
        guest: Guest,
        pre: &Pre,
    ) -> wasmtime::Result<()> {
        let function = guest.get_typed_func::<Handle, Handled>(&mut *store, &pre.function)?;
        let memory = usize::try_from(self.pool.workload.world.limits().memory.0);
        let memory = memory.unwrap_or(usize::MAX);
        // What is copied out counts against the guest's own limit, not a smaller one.
        store.set_hostcall_fuel(store.hostcall_fuel().max(memory));
        let mut served = 0;
        while let Some(job) = self.slot.next().await {
            self.slot.set_idle(false);
            served += 1;
            reef_engine::refresh(&mut *store);
            let Job { request, reply, trace, .. } = *job;
            store.data_mut().set_trace(trace);
            let answer = match SpinRequest::of(request, memory).await {
                Ok(request) => match function.call_async(&mut *store, (request,)).await {
                    Ok((response,)) => Response::<WasiBody>::try_from(response).map_err(Into::into),
                    Err(error) => {
                        let _ = reply.send(Err(self.trapped(&error, store)));
                        return Err(error);
                    }
                },
                Err(SpinHttpFault::Method(_)) => Ok(empty(StatusCode::METHOD_NOT_ALLOWED)),
                Err(fault) => Err(fault.into()),
            };
            let _ = reply.send(answer);
            if !self.goes_on(served) {
                break;
            }
        }
        Ok(())
    }
}

fn empty(status: StatusCode) -> Response<WasiBody> {
    let body = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}
