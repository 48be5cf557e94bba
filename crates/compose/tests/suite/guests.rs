//! Components made in the test, and what can be seen of one from outside.

use reef_compose::{ComposeError, Part, Plug};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve};

/// Cut-down interfaces under the names of the real ones, of one version.
pub(crate) fn wasi(version: &str) -> String {
    format!(
        "
package wasi:io@{version} {{
    interface streams {{
        resource input-stream {{
            read: func(len: u64) -> result<list<u8>>;
            read-all: func() -> result<list<u8>>;
        }}
    }}
}}
package wasi:cli@{version} {{
    interface environment {{
        get-environment: func() -> list<tuple<string, string>>;
        initial-cwd: func() -> option<string>;
    }}
    interface stdin {{
        use wasi:io/streams@{version}.{{input-stream}};
        get-stdin: func() -> input-stream;
    }}
    interface exit {{ exit: func(status: result); }}
    interface run {{ run: func() -> result; }}
}}
package wasi:filesystem@{version} {{
    interface types {{
        use wasi:io/streams@{version}.{{input-stream}};
        enum error-code {{ access, exist, is-directory }}
        resource descriptor {{
            read-via-stream: func(offset: u64) -> result<input-stream, error-code>;
            size: func() -> result<u64, error-code>;
        }}
    }}
    interface preopens {{
        use types.{{descriptor}};
        get-directories: func() -> list<tuple<descriptor, string>>;
    }}
}}
package wasi:sockets@{version} {{
    interface network {{ resource network; }}
    interface instance-network {{
        use network.{{network}};
        instance-network: func() -> network;
    }}
}}
package wasi:http@{version} {{
    interface types {{
        use wasi:io/streams@{version}.{{input-stream}};
        resource incoming-request {{ body: func() -> result<input-stream>; path: func() -> string; }}
        resource response-outparam {{ set: static func(to: response-outparam, status: u16); }}
        variant error-code {{ DNS-timeout, internal-error(option<string>) }}
    }}
    interface incoming-handler {{
        use types.{{incoming-request, response-outparam}};
        handle: func(request: incoming-request, response-out: response-outparam);
    }}
    interface outgoing-handler {{
        use types.{{error-code}};
        handle: func(url: string) -> result<u16, error-code>;
    }}
}}
"
    )
}

pub(crate) const MATH: &str = "
package acme:math@1.2.0 {
    interface numbers { record number { value: s64 } }
    interface add { use numbers.{number}; add: func(a: number, b: number) -> number; }
    interface sub { sub: func(a: s64, b: s64) -> s64; }
}
package acme:log@0.1.0 {
    interface log { log: func(text: string); }
}
";

/// A component whose world has this body; it traps when it is called.
pub(crate) fn component(world: &str, packages: &str) -> Vec<u8> {
    let module = module(world, packages);
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

/// The same before it was made a component.
pub(crate) fn module(world: &str, packages: &str) -> Vec<u8> {
    let wit = format!("package test:guest;\nworld guest {{ {world} }}\n{packages}");
    let mut resolve = Resolve::default();
    let package = resolve.push_source("guest.wit", &wit).unwrap();
    let world = resolve.select_world(&[package], Some("guest")).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    module
}

pub(crate) fn part<'a>(name: &'a str, bytes: &'a [u8]) -> Part<'a> {
    Part { name, bytes }
}

pub(crate) fn link<'a>(import: &'a str, name: &'a str, bytes: &'a [u8]) -> Plug<'a> {
    Plug { component: part(name, bytes), import, export: None, inherit: true, own: None }
}

/// The whole of it is valid, the code of functions too. Returns what it imports and exports.
pub(crate) fn seen(bytes: &[u8]) -> (Vec<String>, Vec<String>) {
    Validator::new_with_features(WasmFeatures::all()).validate_all(bytes).unwrap();
    let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                imports.extend(section.into_iter().map(|item| item.unwrap().name.name.to_owned()));
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                exports.extend(section.into_iter().map(|item| item.unwrap().name.name.to_owned()));
            }
            _ => {}
        }
    }
    imports.sort();
    exports.sort();
    (imports, exports)
}

pub(crate) fn text(error: ComposeError) -> String {
    error.to_string()
}
