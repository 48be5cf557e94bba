//! The interpreter recurses as scripts do: its stack is larger than a module's usual mebibyte.

fn main() {
    println!("cargo:rustc-link-arg-bins=-zstack-size=4194304");
    println!("cargo:rerun-if-changed=build.rs");
}
