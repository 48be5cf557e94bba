use reef_app::Manifest;
use reef_document::Source;

use super::*;

fn manifest(text: &str) -> Application {
    let mut found = Diagnostics::default();
    let manifest = Manifest::parse(&Source::new("reef.toml", text)).unwrap();
    let application = manifest.application(None, &mut found);
    assert!(!found.has_errors(), "{found:?}\n{text}");
    application.unwrap()
}

/// A workload with a link to another, and that one; both with what is said of them.
fn linked(import: &str, user: &str, files: &str) -> Application {
    manifest(&format!(
        "name = 'shop'\n\
         [[workload]]\nname = 'user'\nsource = 'user.wasm'\ntrigger.http.route = '/...'\n\
         link = [{{ import = '{import}', workload = 'files' }}]\n{user}\n\
         [[workload]]\nname = 'files'\nsource = 'files.wasm'\n{files}\n"
    ))
}

fn store() -> Vec<Uncarried> {
    let component = r#"(component
        (import "acme:files/store@1.0.0" (instance
            (export "handle" (type $handle (sub resource)))
            (export "open" (func (param "name" string) (result (own $handle))))))
        (import "acme:files/names" (instance (export "all" (func (result (list string)))))))"#;
    uncarried("user", component.into()).unwrap()
}

fn refused(application: &Application) -> Vec<String> {
    let store = store();
    let found = check_carried(application, |one| match one.name.as_str() {
        "user" => Some(&*store),
        _ => None,
    });
    found.iter().map(|one| format!("{}; {}", one.message(), one.help_text().unwrap())).collect()
}

#[test]
fn a_link_to_a_workload_that_is_placed_by_itself_carries_no_resources() {
    let application = linked("acme:files", "", "scale.instances = 1");
    let found = check_carried(&application, |_| None);
    assert!(found.is_empty(), "what is not known is not refused");
    assert_eq!(
        refused(&application),
        [
            "`user` is linked to `files`, which may run on another host, by `acme:files/store@1.0.0`: `open` cannot be \
          called on another host: its result has a resource, which exists on one host only; place both components on \
          one host, or compose them; without a trigger and a `scale` of its own, `files` is composed into `user`"
        ]
    );
    // Told at its place.
    let store = store();
    let found = check_carried(&application, |_| Some(&store));
    assert!(found.iter().all(|one| one.span().is_some()));
}

#[test]
fn only_what_the_link_is_for_is_looked_at() {
    for import in ["acme:files", "acme:files/store", "acme:files/store@1.0.0"] {
        assert_eq!(refused(&linked(import, "", "scale.instances = 1")).len(), 1, "{import}");
    }
    assert_eq!(refused(&linked("acme:files/names", "", "scale.instances = 1")), [""; 0]);
}

#[test]
fn what_is_always_in_one_process_is_not_refused() {
    assert_eq!(refused(&linked("acme:files", "", "")), [""; 0]);
    let both = "scale.daemon = 1\nscale.spread = [{ labels = { zone = 'a' } }]";
    assert_eq!(refused(&linked("acme:files", both, both)), [""; 0]);
    // On other hosts than where it is used.
    assert_eq!(refused(&linked("acme:files", both, "scale.daemon = 1")).len(), 1);
    assert_eq!(refused(&linked("acme:files", "scale.instances = 1", both)).len(), 1);
    let user = "[[workload.link]]\nimport = 'acme:files/store'\ncomponent = 'store.wasm'";
    let text = "name = 'shop'\n\
         [[workload]]\nname = 'user'\nsource = 'user.wasm'\ntrigger.http.route = '/...'\n\
         [[workload.link]]\nimport = 'acme:files'\nworkload = 'files'\n";
    let files = "[[workload]]\nname = 'files'\nsource = 'files.wasm'\nscale.instances = 1\n";
    assert_eq!(refused(&manifest(&format!("{text}{user}\n{files}"))), [""; 0]);
    assert_eq!(refused(&manifest(&format!("{text}{files}"))).len(), 1);
}

#[test]
fn a_part_and_another_application_are_looked_at_as_well() {
    let text = "name = 'shop'\n\
         [[workload]]\nname = 'front'\nsource = 'front.wasm'\ntrigger.http.route = '/...'\n\
         link = [{ import = 'acme:user', workload = 'user' }]\n\
         [[workload]]\nname = 'user'\nsource = 'user.wasm'\n\
         link = [{ import = 'acme:files', application = 'other', workload = 'files' }]\n";
    let found = refused(&manifest(text));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("`user` is linked to `files` of `other`,"), "{found:?}");
}
