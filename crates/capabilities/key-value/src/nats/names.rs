//! What buckets and keys are called in NATS, which takes few characters.

/// Names of buckets that NATS does not take are written as bytes after this.
const WRITTEN: &str = "reef-x-";
/// Characters of a stream's name, of which `KV_` are three.
const LONGEST: usize = 252;

/// A bucket's name, if it is not too long.
pub(super) fn bucket(prefix: &str, bucket: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let name = if !bucket.is_empty() && bucket.chars().all(plain) && !bucket.starts_with(WRITTEN) {
        format!("{prefix}{bucket}")
    } else {
        let mut name = format!("{prefix}{WRITTEN}");
        for byte in bucket.bytes() {
            name.push_str(&format!("{byte:02x}"));
        }
        name
    };
    (name.len() <= LONGEST).then_some(name)
}

/// A key's name: what NATS does not take is `=` and two digits. Its dots separate; none of them may be at an end, or
/// beside another.
pub(super) fn key(key: &str) -> String {
    let mut name = String::with_capacity(key.len() + 8);
    let mut bytes = key.bytes().peekable();
    let mut separates = false;
    while let Some(byte) = bytes.next() {
        let dot = byte == b'.' && separates && bytes.peek().is_some();
        if dot || matches!(byte, b'-' | b'/' | b'_') || byte.is_ascii_alphanumeric() {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("={byte:02X}"));
        }
        separates = !dot;
    }
    name
}

/// The key of a name; none if it is not one that [`key`] would give.
pub(super) fn read(name: &str) -> Option<String> {
    let mut bytes = name.bytes();
    let mut found = Vec::with_capacity(name.len());
    while let Some(byte) = bytes.next() {
        if byte != b'=' {
            found.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        found.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(found).ok().filter(|found| key(found) == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_what_others_would_call_them_where_that_can_be() {
        for plain in ["orders", "orders.7", "a/b-c_d"] {
            assert_eq!((key(plain), read(plain)), (plain.to_owned(), Some(plain.to_owned())));
        }
        assert_eq!(key("..a..b."), "=2E.a.=2Eb=2E");
        assert_eq!(key("a b*>="), "a=20b=2A=3E=3D");
        assert_eq!(bucket("", "orders"), Some("orders".to_owned()));
        assert_eq!(bucket("shop-", "a.b"), Some("shop-reef-x-612e62".to_owned()));
        assert_eq!(bucket("", ""), Some("reef-x-".to_owned()));
        assert_eq!(bucket("", &"x".repeat(253)), None);
        // Somebody else's.
        for other in ["=2e", "=41", "a=", "a=3", "=FF"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_key_is_read_as_it_was_written(text in "[a-c./= ä]{1,12}|.{1,12}") {
            let name = key(&text);
            prop_assert!(!name.starts_with('.') && !name.ends_with('.') && !name.contains(".."));
            let taken = |c: char| c.is_ascii_alphanumeric() || "-/_=.".contains(c);
            prop_assert!(name.chars().all(taken));
            prop_assert_eq!(read(&name), Some(text));
        }

        #[test]
        fn no_two_buckets_have_one_name(a in "(reef-x-)?[a-c0-9.]{0,6}", b in "(reef-x-)?[a-c0-9.]{0,6}") {
            if a != b {
                prop_assert_ne!(bucket("p", &a), bucket("p", &b));
            }
        }
    }
}
