//! How the executable is linked on Linux: at a fixed address, and with the unwinder inside. See
//! docs/decisions/0006.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |key: &str| std::env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
    if target("OS") == "linux" {
        println!("cargo:rustc-link-arg-bins=-no-pie");
        if target("ENV") == "gnu" {
            println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
        }
    }
}
