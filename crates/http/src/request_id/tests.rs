#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use super::*;

#[test]
fn names_are_uuids_that_differ_and_sort_by_time() {
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let names: Vec<String> = (0..1000).map(|_| new().to_str().unwrap().to_owned()).collect();
    let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 1000);
    for name in names {
        let parts: Vec<&str> = name.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(parts[2].starts_with('7') && parts[3].starts_with(['8', '9', 'a', 'b']), "{name}");
        let time = u128::from_str_radix(&format!("{}{}", parts[0], parts[1]), 16).unwrap();
        assert!((before..=after).contains(&time));
    }
}

#[test]
fn a_clients_name_is_taken_if_it_is_one() {
    let name = |how: RequestIds, values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(X_REQUEST_ID, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let id = how.name(&mut headers);
        if how != RequestIds::Off {
            assert_eq!(
                headers.get_all(X_REQUEST_ID).iter().collect::<Vec<_>>(),
                [id.as_ref().unwrap()]
            );
        }
        id.map(|id| id.to_str().unwrap().to_owned())
    };
    let long = "x".repeat(128);
    for good in ["a", "7f:9/+=~", &long] {
        assert_eq!(name(RequestIds::FromClient, &[good]).as_deref(), Some(good));
        assert_ne!(name(RequestIds::New, &[good]).as_deref(), Some(good));
        assert_eq!(name(RequestIds::Off, &[good]), None);
    }
    for bad in
        [&["a b"][..], &[""], &["\u{e4}"], &["a", "a"], &[], &["x\ty"], &[&format!("{long}x")]]
    {
        assert_eq!(name(RequestIds::FromClient, bad).unwrap().len(), 36, "{bad:?}");
    }
}
