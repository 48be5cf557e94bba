//! Naming what a file is when it is not WebAssembly.

/// What the first bytes look like, with its article, and what to do.
pub(crate) fn looks_like(bytes: &[u8]) -> (&'static str, &'static str) {
    const GIVE_WASM: &str = "give it a .wasm file (module or component) or its text form (.wat)";
    const UNPACK: &str = "unpack it first, then give it the .wasm file inside";
    const NATIVE: &str = "build the program for a WebAssembly target, such as wasm32-wasip2";

    if bytes.is_empty() {
        return ("empty", "build or download it again: the file has no bytes");
    }
    let magics: &[(&[u8], &str, &str)] = &[
        (b"\x1f\x8b", "a gzip archive", UNPACK),
        (b"PK\x03\x04", "a zip archive", UNPACK),
        (b"\x28\xb5\x2f\xfd", "a Zstandard archive", UNPACK),
        (b"\xfd7zXZ\0", "an xz archive", UNPACK),
        (b"BZh", "a bzip2 archive", UNPACK),
        (
            b"BC\xc0\xde",
            "LLVM bitcode",
            "link it for a WebAssembly target first (wasm-ld, or `-o x.wasm` without -flto -c)",
        ),
        (b"\xde\xc0\x17\x0b", "LLVM bitcode", "link it for a WebAssembly target first (wasm-ld)"),
        (b"MZ", "a Windows executable", NATIVE),
        (b"\xcf\xfa\xed\xfe", "a macOS executable", NATIVE),
        (b"\xca\xfe\xba\xbe", "a macOS universal binary or a Java class file", NATIVE),
        (b"!<arch>\n", "a static library", "link it into a program first"),
        (
            b"#!",
            "a script",
            "give it the .wasm file of the interpreter, and the script as an argument",
        ),
        (b"%PDF", "a PDF document", GIVE_WASM),
        (b"\x89PNG", "a PNG image", GIVE_WASM),
        (b"\xff\xd8\xff", "a JPEG image", GIVE_WASM),
    ];
    if bytes.starts_with(b"\x7fELF") {
        return elf(bytes).unwrap_or(("an ELF executable", NATIVE));
    }
    if let Some((_, what, advice)) = magics.iter().find(|(magic, ..)| bytes.starts_with(magic)) {
        return (what, advice);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return ("a tar archive", UNPACK);
    }
    text(bytes).unwrap_or(("data of a format that is not known here", GIVE_WASM))
}

/// Wasmtime's precompiled code is an ELF object whose OS/ABI byte is 200 (wasmtime-environ,
/// `obj::ELFOSABI_WASMTIME`).
fn elf(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    (bytes.get(7) == Some(&200)).then_some((
        "code that Wasmtime compiled ahead of time (.cwasm)",
        "give it the .wasm file that it was compiled from; compiled code is cached for you",
    ))
}

fn text(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    // The head is enough, and its last character may be cut in two.
    let head = &bytes[..bytes.len().min(1024)];
    let head = match std::str::from_utf8(head) {
        Ok(head) => head,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    if head.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let start = head.trim_start_matches('\u{feff}').trim_start();
    let starts = |prefix: &str| {
        start.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    };
    Some(if starts("<!doctype html") || starts("<html") {
        ("an HTML page", "the download answered with a web page: check the address")
    } else if starts("<?xml") || starts("<") {
        ("XML or HTML", "check the address it was downloaded from")
    } else if starts("{") || starts("[") {
        ("JSON", "give it the .wasm file; a manifest or an error answer is not one")
    } else if starts("package ") && (start.contains("world ") || start.contains("interface ")) {
        ("WIT text", "WIT describes interfaces; give it the component that was built from it")
    } else if starts("version https://git-lfs") {
        ("a Git LFS pointer", "fetch the file itself with `git lfs pull`")
    } else if start.is_empty() {
        ("blank text", "build or download it again")
    } else {
        (
            "plain text",
            "give it a .wasm file, or a text form that starts with `(module` or `(component`",
        )
    })
}

#[cfg(test)]
mod tests;
