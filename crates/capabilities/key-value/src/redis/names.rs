//! What a bucket's key is called in Redis.

/// What names begin with.
#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// A key's name.
    pub(super) fn key(&self, bucket: &str, key: &str) -> String {
        let mut name = self.bucket(bucket);
        name.push_str(key);
        name
    }

    /// The key of a name, if it is of the bucket.
    pub(super) fn read<'a>(&self, bucket: &str, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.bucket(bucket)).filter(|key| !key.is_empty())
    }

    /// A pattern for the names of the bucket's keys that begin with `prefix`.
    pub(super) fn pattern(&self, bucket: &str, prefix: &str) -> String {
        let mut pattern = String::new();
        for character in self.key(bucket, prefix).chars() {
            if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
                pattern.push('\\');
            }
            pattern.push(character);
        }
        pattern.push('*');
        pattern
    }

    fn bucket(&self, bucket: &str) -> String {
        let mut name = String::with_capacity(self.prefix.len() + bucket.len() + 32);
        name.push_str(&self.prefix);
        for character in bucket.chars() {
            match character {
                '%' => name.push_str("%25"),
                ':' => name.push_str("%3A"),
                other => name.push(other),
            }
        }
        name.push(':');
        name
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_what_others_would_call_them() {
        let names = Names::new("shop:".to_owned());
        assert_eq!(names.key("orders", "7"), "shop:orders:7");
        assert_eq!(names.key("a:b%", "c:d"), "shop:a%3Ab%25:c:d");
        assert_eq!(names.pattern("o*", "k?"), "shop:o\\*:k\\?*");
    }

    proptest! {
        #[test]
        fn no_two_keys_have_one_name(a in ".{0,8}", b in ".{1,8}", c in ".{0,8}", d in ".{1,8}") {
            let names = Names::new(String::new());
            let name = names.key(&a, &b);
            prop_assert_eq!(names.read(&a, &name), Some(&*b));
            if (&a, &b) != (&c, &d) {
                prop_assert_ne!(names.key(&a, &b), names.key(&c, &d));
            }
            if a != c {
                prop_assert_eq!(names.read(&c, &name), None);
            }
        }
    }
}
