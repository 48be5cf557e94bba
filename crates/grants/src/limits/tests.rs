#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use std::time::Duration;

use super::{ByteSize, CpuShare, parse_duration};

#[test]
fn sizes_are_read_as_people_write_them() {
    for (text, bytes) in [
        ("0", 0),
        ("4096", 4096),
        ("64MiB", 64 << 20),
        ("64 mib", 64 << 20),
        ("512k", 512 << 10),
        ("1g", 1 << 30),
        ("1GiB", 1 << 30),
    ] {
        assert_eq!(text.parse::<ByteSize>().unwrap(), ByteSize(bytes), "{text}");
    }
    for text in ["", "MiB", "-1", "1.5GiB", "64MiBs", "99999999999999999999", "20000000000GiB"] {
        assert!(text.parse::<ByteSize>().is_err(), "{text}");
    }
}

#[test]
fn shares_are_cores_or_percent() {
    assert_eq!("50%".parse::<CpuShare>().unwrap().cores(), 0.5);
    assert_eq!("2".parse::<CpuShare>().unwrap().cores(), 2.0);
    for text in ["0", "-1", "nan", "inf", "half", "", "%"] {
        assert!(text.parse::<CpuShare>().is_err(), "{text}");
    }
}

#[test]
fn durations_have_a_unit_and_an_end() {
    assert_eq!(parse_duration("1m30s").unwrap(), Duration::from_secs(90));
    assert_eq!(parse_duration("500ms").unwrap(), Duration::from_millis(500));
    for text in ["", "5", "soon", "0s", "-1s", "11y", "99999999999999999999h"] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn sizes_survive_display(bytes in 0u64..1 << 50) {
        let whole = ByteSize(bytes << 10 >> 10 & !0x3ff);
        let text = whole.to_string();
        if !text.contains('.') {
            prop_assert_eq!(text.parse::<ByteSize>().unwrap(), whole);
        }
    }
}
