//! Several pieces of bytes as one.

/// The longest name of a file.
const LONGEST: usize = 120;

/// Pieces, each with its length before it.
pub fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        // What is kept is far smaller: the journal's bound is checked before.
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// The pieces again; none if it is not what [`joined`] makes.
pub fn split(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (part, rest) = rest.split_at_checked(length)?;
        parts.push(part);
        bytes = rest;
    }
    Some(parts)
}

/// A name of a file for any name there may be: another one for another one.
pub fn file_name(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => text.push(char::from(byte)),
            other => text.push_str(&format!("_{other:02x}")),
        }
    }
    if text.len() > LONGEST {
        // FNV-1a: what is cut off still tells them apart.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        text.truncate(LONGEST - 17);
        text.push_str(&format!("_{hash:016x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_joined_is_split_again(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..8)) {
            let slices: Vec<_> = parts.iter().map(Vec::as_slice).collect();
            let bytes = joined(&slices);
            prop_assert_eq!(split(&bytes).unwrap(), slices);
        }

        #[test]
        fn two_names_are_two_files(one in ".{0,80}", other in ".{0,80}") {
            prop_assert_eq!(one == other, file_name(&one) == file_name(&other));
            prop_assert!(file_name(&one).len() <= LONGEST);
        }

        #[test]
        fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = split(&bytes);
        }
    }
}
