//! Names as Spin has them: words with one separator between them.

/// Words with `-` between them, each all lower or all upper case: `shopping-cart`, `my-API`.
pub(crate) fn is_kebab(text: &str) -> bool {
    text.split('-').all(is_word)
}

/// Words with `_` between them, each all lower or all upper case.
pub(crate) fn is_snake(text: &str) -> bool {
    text.split('_').all(is_word)
}

/// Words with `_` between them, all lower case: `api_token`.
pub(crate) fn is_lower_snake(text: &str) -> bool {
    is_snake(text) && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_word(word: &str) -> bool {
    let without = |case: fn(&u8) -> bool| !word.as_bytes().iter().any(case);
    word.starts_with(|first: char| first.is_ascii_alphabetic())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && (without(u8::is_ascii_uppercase) || without(u8::is_ascii_lowercase))
}

/// The id that a component of a version 1 manifest has, where any text was one.
pub(crate) fn modernised(id: &str) -> String {
    if is_kebab(id) { id.to_owned() } else { id.replace('_', "-").to_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_separators() {
        for good in ["a", "shopping-cart", "my-API", "a1-b2"] {
            assert!(is_kebab(good), "{good}");
        }
        for bad in ["", "-", "a-", "a--b", "a_b", "aB", "1a", "a b", "ä"] {
            assert!(!is_kebab(bad), "{bad}");
        }
        assert!(is_lower_snake("api_token") && !is_lower_snake("API") && is_snake("API_token"));
        assert_eq!(modernised("My_Component"), "my-component");
        assert_eq!(modernised("my-API"), "my-API");
    }
}
