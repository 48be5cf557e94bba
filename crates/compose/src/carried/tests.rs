use super::*;

fn of(imports: &str) -> Vec<(String, String)> {
    let bytes = wat::parse_str(format!("(component {imports})")).unwrap();
    let all = uncarried(Part { name: "user", bytes: &bytes }).unwrap();
    all.into_iter().map(|one| (one.import, one.reason.to_string())).collect()
}

#[test]
fn what_only_has_values_can_be_carried() {
    let found = of(r#"
        (import "acme:math/add@1.2.0" (instance
            (type $number' (record (field "value" s64)))
            (export "number" (type $number (eq $number')))
            (export "add" (func (param "a" $number) (param "b" (list (tuple u8 char)))
                (result (result s64 (error string)))))
            (export "watch" (func async (param "of" (stream u8)) (result (future string))))))
        (import "acme:math/kinds" (instance
            (type $kind' (enum "one" "two"))
            (export "kind" (type $kind (eq $kind')))))
        (import "bare" (func (result u32)))"#);
    assert_eq!(found, []);
}

#[test]
fn each_interface_that_cannot_is_told_with_its_first_reason() {
    let found = of(r#"
        (import "acme:files/store@1.0.0" (instance
            (export "handle" (type $handle (sub resource)))
            (export "size" (func (result u64)))
            (export "open" (func (param "name" string) (result (own $handle))))))
        (import "acme:files/only" (instance (export "token" (type (sub resource)))))
        (import "acme:streams/waits" (instance
            (export "send" (func (param "bytes" (stream u8))))))
        (import "acme:streams/lists" (instance
            (export "get" (func (result (stream (list u8)))))))
        (import "acme:good/one" (instance (export "run" (func))))"#);
    let all: Vec<_> = found.iter().map(|(import, why)| (&**import, &**why)).collect();
    let resource = "has a resource, which exists on one host only; place both components on one \
                    host, or compose them";
    let cannot = "cannot be called on another host:";
    assert_eq!(
        all,
        [
            ("acme:files/store@1.0.0", &*format!("`open` {cannot} its result {resource}")),
            ("acme:files/only", &*format!("`token` {cannot} the interface {resource}")),
            (
                "acme:streams/waits",
                &*format!(
                    "`send` {cannot} its parameter `bytes` has a stream or future, and the function \
                     is not async: nothing would move while it waits"
                )
            ),
            (
                "acme:streams/lists",
                &*format!(
                    "`get` {cannot} its result has a stream or future of something else than \
                     numbers, bool, char or string"
                )
            ),
        ]
    );
}

#[test]
fn a_module_imports_no_interfaces_and_what_is_none_is_an_error() {
    let module = wat::parse_str("(module (import \"env\" \"f\" (func)) (export \"f\" (func 0)))");
    let all = uncarried(Part { name: "module", bytes: &module.unwrap() }).unwrap();
    assert_eq!(all, []);
    assert!(uncarried(Part { name: "text", bytes: b"no wasm" }).is_err());
}
