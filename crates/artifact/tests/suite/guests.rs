//! Guests made in the test: modules from text, components from WIT.

use reef_artifact::Artifact;
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve};

/// Cut-down interfaces under the names of the real ones: what matters here is how they look, not
/// what they do.
const WASI: &str = r#"
package wasi:io@0.2.3 {
    interface streams {
        resource input-stream {
            read: func(len: u64) -> result<list<u8>, stream-error>;
        }
        variant stream-error { failed(string), closed }
    }
}
package wasi:cli@0.2.3 {
    interface environment {
        get-environment: func() -> list<tuple<string, string>>;
        initial-cwd: func() -> option<string>;
    }
    interface stdin {
        use wasi:io/streams@0.2.3.{input-stream};
        get-stdin: func() -> input-stream;
    }
    interface run { run: func() -> result; }
}
package wasi:cli@0.3.0-rc-2026-03-15 {
    interface stdout { write-via-stream: async func(data: stream<u8>) -> result<_, string>; }
    interface run { run: async func() -> result; }
}
package wasi:http@0.2.3 {
    interface types {
        resource fields {
            constructor();
            from-list: static func(entries: list<tuple<string, list<u8>>>) -> result<fields>;
            get: func(name: string) -> list<list<u8>>;
        }
        resource incoming-request { headers: func() -> fields; }
        resource response-outparam;
    }
    interface incoming-handler {
        use types.{incoming-request, response-outparam};
        handle: func(request: incoming-request, response-out: response-outparam);
    }
}
package wasi:http@0.3.0 {
    interface types { resource request; resource response; }
    interface handler {
        use types.{request, response};
        handle: async func(request: request) -> result<response, string>;
    }
}
package wasi:keyvalue@0.2.0-draft2 {
    interface store { resource bucket { delete: func(key: string); } }
    interface watcher {
        use store.{bucket};
        on-delete: func(bucket: bucket, key: string);
    }
}
package wasmcloud:messaging@0.2.0 {
    interface types { record broker-message { subject: string, body: list<u8> } }
    interface handler {
        use types.{broker-message};
        handle-message: func(msg: broker-message) -> result<_, string>;
    }
}
"#;

/// Bytes of a module or component written in the text form.
pub(crate) fn assemble(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

pub(crate) fn from_text(text: &str) -> Artifact {
    Artifact::read("guest.wasm", assemble(text)).unwrap()
}

/// A component whose world has this body, as `wit-component` encodes it.
pub(crate) fn component(world: &str) -> Vec<u8> {
    let wit = format!("package test:guest;\nworld guest {{ {world} }}\n{WASI}");
    let mut resolve = Resolve::default();
    let package = resolve.push_str("guest.wit", &wit).unwrap();
    let world = resolve.select_world(&[package], Some("guest")).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Standard32);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

pub(crate) fn from_world(world: &str) -> Artifact {
    Artifact::read("guest.wasm", component(world)).unwrap()
}

/// A command of WASI 0.2 that uses three interfaces.
pub(crate) const COMMAND_0_2: &str = "
    import wasi:cli/environment@0.2.3;
    import wasi:cli/stdin@0.2.3;
    export wasi:cli/run@0.2.3;
";

/// An HTTP handler such as Rust's standard library makes: it also imports `wasi:cli`.
pub(crate) const HTTP_0_2: &str = "
    import wasi:cli/environment@0.2.3;
    import wasi:http/types@0.2.3;
    export wasi:http/incoming-handler@0.2.3;
";

/// A command of WASI 0.1 as compilers emit it.
pub(crate) const COMMAND_0_1: &str = r#"
(module $hello.wasm
  (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 2 16)
  (global (mut i32) (i32.const 65536))
  (func $main (export "_start")
    i32.const 0
    call $proc_exit)
  (data (i32.const 8) "hello\n")
  (@producers
    (language "Rust" "")
    (processed-by "rustc" "1.95.0 (59807616e 2026-04-14)")))
"#;
