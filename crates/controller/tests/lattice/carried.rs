//! Links that no other host can answer.

use reef_controller::api::{CallError, Code, GetApps};
use reef_lattice::Digest;
use sha2::Digest as _;

use crate::support::{Place, accept};

/// Kept for the lattice, whatever it holds.
async fn kept(place: &Place, content: &str) -> Digest {
    let hash = sha2::Sha256::digest(content);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let digest: Digest = format!("sha256:{hex}").parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("artifact");
    std::fs::write(&file, content).unwrap();
    place.lattice.objects.put(&digest, &file).await.unwrap();
    digest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_with_resources_to_where_it_may_be_elsewhere_is_refused_whoever_sends_it() {
    let place = Place::new();
    let _controller = place.controller();
    let _host = place.host("one", "a");
    let client = place.client();
    place.heard(&client).await;
    let user = kept(
        &place,
        r#"(component (import "acme:files/store@1.0.0" (instance
            (export "handle" (type $handle (sub resource)))
            (export "open" (func (param "name" string) (result (own $handle)))))))"#,
    )
    .await;
    let files = kept(&place, "(component)").await;
    let manifest = |scale: &str| {
        accept(format!(
            "name = 'shop'\n\
             [[workload]]\nname = 'user'\nsource = 'user.wasm'\ndigest = '{user}'\n\
             trigger.http.route = '/...'\nlink = [{{ import = 'acme:files', workload = 'files' }}]\n\
             [[workload]]\nname = 'files'\nsource = 'files.wasm'\ndigest = '{files}'\n{scale}\n"
        ))
    };
    let asked = manifest("scale.instances = 1");
    let error = match client.call(&asked).await.unwrap_err() {
        CallError::Refused(error) => error,
        other => panic!("{other}"),
    };
    assert_eq!(error.code, Code::Invalid);
    let said = error.to_string();
    let parts = ["`user` is linked to `files`", "`acme:files/store@1.0.0`", "`open` cannot"];
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    let all = client.call(&GetApps { namespace: None }).await.unwrap();
    assert!(all.is_empty(), "{all:?}");

    // Composed into its user, it carries anything.
    client.call(&manifest("")).await.unwrap();
}
