//! What compiled code depends on besides the artifact.

use crate::Flavour;

/// A name for what compiled code depends on besides the artifact. Wasmtime refuses code of another version
/// or other settings, whatever its name; the name keeps those from replacing each other for ever that
/// share a folder.
pub(crate) fn settings(flavour: Flavour) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(env!("CARGO_PKG_VERSION").as_bytes());
    hasher.update(crate::cache::MAGIC);
    hasher.update(std::env::consts::ARCH.as_bytes());
    hasher.update(&[flavour as u8]);
    hasher.update(&processor().to_le_bytes());
    hasher.finalize().to_hex()[..16].to_owned()
}

/// What the compiler uses of this processor, a bit each.
fn processor() -> u32 {
    #[cfg(target_arch = "x86_64")]
    macro_rules! has {
        ($feature:tt) => {
            std::is_x86_feature_detected!($feature)
        };
    }
    #[cfg(target_arch = "x86_64")]
    let features = [
        has!("sse3"),
        has!("ssse3"),
        has!("sse4.1"),
        has!("sse4.2"),
        has!("popcnt"),
        has!("lzcnt"),
        has!("bmi1"),
        has!("bmi2"),
        has!("fma"),
        has!("cmpxchg16b"),
        has!("avx"),
        has!("avx2"),
        has!("avxvnni"),
        has!("avx512f"),
        has!("avx512vl"),
        has!("avx512dq"),
        has!("avx512bitalg"),
        has!("avx512vbmi"),
        has!("avx512vnni"),
    ];
    #[cfg(target_arch = "aarch64")]
    macro_rules! has {
        ($feature:tt) => {
            std::arch::is_aarch64_feature_detected!($feature)
        };
    }
    #[cfg(target_arch = "aarch64")]
    let features = [has!("lse"), has!("paca"), has!("fp16"), has!("dotprod"), has!("i8mm")];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let features: [bool; 0] = [];
    features.iter().fold(0, |bits, &has| bits << 1 | u32::from(has))
}
