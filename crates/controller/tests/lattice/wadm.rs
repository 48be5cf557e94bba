//! What a client of wadm does, and sees.

use serde_json::Value;

use crate::support::{Place, until, until_async};

const MANIFEST: &str = r#"
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: hello
  annotations:
    version: v0.0.1
    description: "says hello"
spec:
  components:
    - name: http-component
      type: component
      properties:
        image: ghcr.io/example/hello:0.1.0
      traits:
        - type: spreadscaler
          properties:
            instances: 2
    - name: httpserver
      type: capability
      properties:
        image: ghcr.io/wasmcloud/http-server:0.23.2
      traits:
        - type: link
          properties:
            target: http-component
            namespace: wasi
            package: http
            interfaces: [incoming-handler]
            source_config:
              - name: default-http
                properties:
                  address: 127.0.0.1:8080
"#;

fn text<'a>(answer: &'a Value, of: &str) -> &'a str {
    answer.pointer(of).and_then(Value::as_str).unwrap_or("")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_is_put_deployed_looked_at_and_deleted() {
    let place = Place::new();
    let _controller = place.pinning();
    let host = place.host("one", "a");
    place.heard(&place.client()).await;

    let put = place.wadm("put", MANIFEST).await;
    assert_eq!(text(&put, "/result"), "created", "{put}");
    assert_eq!(text(&put, "/current_version"), "v0.0.1");
    let again = place.wadm("put", MANIFEST).await;
    assert_eq!(text(&again, "/result"), "error", "{again}");
    let second = MANIFEST.replace("v0.0.1", "v0.0.2").replace("instances: 2", "instances: 3");
    let put = place.wadm("put", &second).await;
    assert_eq!((text(&put, "/result"), &put["total_versions"]), ("newversion", &2.into()));
    assert_eq!(host.instances(), 0);
    let status = place.wadm("status.hello", "").await;
    assert_eq!(text(&status, "/status/status/type"), "undeployed", "{status}");

    let deployed = place.wadm("deploy.hello", r#"{"version":"v0.0.1"}"#).await;
    assert_eq!(text(&deployed, "/result"), "acknowledged", "{deployed}");
    let is = || async {
        let status = place.wadm("status.hello", "").await;
        text(&status, "/status/status/type") == "deployed"
    };
    until_async("it is deployed", is).await;
    assert_eq!(host.instances(), 2);
    // A later version, and the last one is meant where none is said.
    let deployed = place.wadm("deploy.hello", "").await;
    assert_eq!(text(&deployed, "/version"), "v0.0.2");
    until("the second one runs", || host.instances() == 3).await;

    let got = place.wadm("get.hello", r#"{"version":"v0.0.1"}"#).await;
    assert_eq!(text(&got, "/manifest/metadata/annotations/version"), "v0.0.1");
    let list = place.wadm("list", "").await;
    assert_eq!(text(&list, "/0/name"), "hello", "{list}");
    assert_eq!(text(&list, "/0/deployed_version"), "v0.0.2", "{list}");
    let models = place.wadm("get", "").await;
    assert_eq!(text(&models, "/models/0/name"), "hello");
    let versions = place.wadm("versions.hello", "").await;
    assert_eq!(versions.pointer("/versions/1/deployed"), Some(&true.into()), "{versions}");

    let undeployed = place.wadm("undeploy.hello", "").await;
    assert_eq!(text(&undeployed, "/result"), "acknowledged");
    until("nothing runs", || host.instances() == 0).await;
    let deleted = place.wadm("del.hello", "").await;
    assert_eq!(text(&deleted, "/result"), "deleted", "{deleted}");
    let gone = || async { text(&place.wadm("get.hello", "").await, "/result") == "notfound" };
    until_async("it is gone", gone).await;
    let deleted = place.wadm("del.hello", "").await;
    assert_eq!(text(&deleted, "/result"), "noop");
    let poisoned = place.wadm("put", "apiVersion: core.oam.dev/v1beta1\nkind: [").await;
    assert_eq!(text(&poisoned, "/result"), "error");
}
