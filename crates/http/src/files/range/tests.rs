use proptest::prelude::*;

use super::*;

fn parts(list: &[(u64, u64)]) -> ByteRanges {
    ByteRanges::Parts(
        list.iter().map(|(first, last)| ByteRange { first: *first, last: *last }).collect(),
    )
}

#[test]
fn ranges_are_of_what_is_there() {
    for (field, expected) in [
        ("bytes=0-0", parts(&[(0, 0)])),
        ("bytes=0-99", parts(&[(0, 99)])),
        ("bytes=0-100", parts(&[(0, 99)])),
        ("bytes=99-", parts(&[(99, 99)])),
        ("bytes=-1", parts(&[(99, 99)])),
        ("bytes=-1000", parts(&[(0, 99)])),
        ("Bytes = 1-2 , ,3-4", parts(&[(1, 2), (3, 4)])),
        ("bytes=5-6,0-1", parts(&[(5, 6), (0, 1)])),
        ("bytes=0-1,200-300", parts(&[(0, 1)])),
        ("bytes=0-99999999999999999999999", parts(&[(0, 99)])),
        ("bytes=100-", ByteRanges::Unsatisfiable),
        ("bytes=-0", ByteRanges::Unsatisfiable),
        ("bytes=99999999999999999999999-", ByteRanges::Unsatisfiable),
        // Not well-formed, or another unit.
        ("bytes=2-1", ByteRanges::Whole),
        ("bytes=", ByteRanges::Whole),
        ("bytes=,", ByteRanges::Whole),
        ("bytes=a-b", ByteRanges::Whole),
        ("bytes=0-1;2-3", ByteRanges::Whole),
        ("bytes=+1-2", ByteRanges::Whole),
        ("bytes=-", ByteRanges::Whole),
        ("bytes=--1", ByteRanges::Whole),
        ("bytes=0-1,x", ByteRanges::Whole),
        ("lines=0-1", ByteRanges::Whole),
        ("0-1", ByteRanges::Whole),
        // Too much.
        ("bytes=0-9,9-12", ByteRanges::Whole),
        ("bytes=0-,0-,0-", ByteRanges::Whole),
    ] {
        assert_eq!(ByteRanges::select(field.as_bytes(), 100), expected, "{field}");
    }
    let many = |count: u64| {
        let list: Vec<String> = (0..count).map(|at| format!("{}-{}", at * 2, at * 2)).collect();
        ByteRanges::select(format!("bytes={}", list.join(",")).as_bytes(), 100)
    };
    assert!(matches!(many(16), ByteRanges::Parts(parts) if parts.len() == 16));
    assert_eq!(many(17), ByteRanges::Whole);
}

#[test]
fn of_nothing_there_are_no_ranges() {
    assert_eq!(ByteRanges::select(b"bytes=0-", 0), ByteRanges::Unsatisfiable);
    assert_eq!(ByteRanges::select(b"bytes=0-0", 0), ByteRanges::Unsatisfiable);
    assert_eq!(ByteRanges::select(b"bytes=-1", 0), ByteRanges::Whole);
}

/// As RFC 9110 says it, byte by byte: a list of flags for each range.
fn model(asked: &[(Option<u64>, Option<u64>)], length: u64) -> Option<Vec<Vec<bool>>> {
    let flags = |(first, last): &(Option<u64>, Option<u64>)| -> Vec<bool> {
        (0..length)
            .map(|at| match (first, last) {
                (Some(first), Some(last)) => *first <= at && at <= *last,
                (Some(first), None) => *first <= at,
                (None, Some(count)) => at + count >= length,
                (None, None) => false,
            })
            .collect()
    };
    let all: Vec<Vec<bool>> =
        asked.iter().map(flags).filter(|flags| flags.contains(&true)).collect();
    let twice = (0..length as usize).any(|at| all.iter().filter(|flags| flags[at]).count() > 1);
    (!twice && all.len() <= MAX_RANGES).then_some(all)
}

proptest! {
    #[test]
    fn it_agrees_with_a_model(
        length in 1u64..40,
        asked in proptest::collection::vec((0u64..50, 0u64..50, 0u8..3), 1..20),
    ) {
        let asked: Vec<_> = asked.into_iter().map(|(one, other, form)| match form {
            0 => (Some(one.min(other)), Some(one.max(other))),
            1 => (Some(one), None),
            _ => (None, Some(other)),
        }).collect();
        let number = |number: &Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let text: Vec<String> = asked.iter().map(|(a, b)| format!("{}-{}", number(a), number(b))).collect();
        let selected = ByteRanges::select(format!("bytes={}", text.join(", ")).as_bytes(), length);
        let expected = model(&asked, length);
        match selected {
            ByteRanges::Whole => prop_assert_eq!(expected, None),
            ByteRanges::Unsatisfiable => prop_assert_eq!(expected, Some(vec![])),
            ByteRanges::Parts(parts) => {
                let flags: Vec<Vec<bool>> = parts.iter()
                    .map(|part| (0..length).map(|at| part.first <= at && at <= part.last).collect())
                    .collect();
                prop_assert_eq!(Some(flags), expected);
            }
        }
    }

    #[test]
    fn any_field_selects_what_is_there(field: Vec<u8>, length: u64) {
        if let ByteRanges::Parts(parts) = ByteRanges::select(&field, length) {
            prop_assert!(parts.iter().all(|part| part.first <= part.last && part.last < length));
        }
    }
}
