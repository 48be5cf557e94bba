#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

#[test]
fn an_id_is_a_name_and_a_whole_version() {
    let id: Id = "example.com/hello_world/1.2.3-rc.1+build".parse().unwrap();
    assert_eq!(id.name(), "example.com/hello_world");
    assert_eq!(id.version().to_string(), "1.2.3-rc.1+build");
    assert_eq!("käse/1.0.0".parse::<Id>().unwrap().encoded(), "k%C3%A4se/1.0.0");
    for text in
        ["", "shop", "/1.0.0", "a//1.0.0", "../1.0.0", "a/../1.0.0", "a b/1.0.0", "a?/1.0.0"]
    {
        assert_eq!(text.parse::<Id>(), Err(IdError::Form(text.to_owned())), "{text}");
    }
    for text in ["shop/1", "shop/1.0", "shop/latest", "shop/"] {
        assert!(matches!(text.parse::<Id>(), Err(IdError::Version { .. })), "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_read_can_be_written(text in "[a-zäß0-9/._@?#%-]{0,12}/[0-9]\\.[0-9]\\.[0-9]") {
        let Ok(id) = text.parse::<Id>() else { return Ok(()) };
        prop_assert_eq!(id.to_string(), text);
        let path = crate::invoice_path(&id);
        prop_assert!(path.split('/').skip(1).all(|part| !matches!(part, "" | "." | "..")), "{}", path);
        prop_assert!(!path.contains(['?', '#', '@']));
    }
}
