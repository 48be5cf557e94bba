#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn best(line: &str) -> Option<&'static str> {
    AcceptEncoding::parse([line.as_bytes()]).best(Coding::ALL).map(Coding::name)
}

#[test]
fn the_clients_weights_come_before_the_servers_preference() {
    for (line, expected) in [
        ("", None),
        ("gzip", Some("gzip")),
        ("gzip, deflate, br, zstd", Some("br")),
        ("GZIP;Q=1.0, br;q=0.999", Some("gzip")),
        ("gzip ; q=0.5 , zstd\t;\tq=0.5", Some("zstd")),
        ("x-gzip", Some("gzip")),
        ("*", Some("br")),
        ("*, br;q=0", Some("zstd")),
        ("*;q=0", None),
        ("gzip;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=0.5", Some("gzip")),
        ("*;q=0.5, gzip", Some("gzip")),
        ("deflate, compress", None),
        // Not well-formed: passed over.
        ("br;q=1.001, gzip;q=2, zstd;q=", None),
        ("br;level=4, gzip", Some("gzip")),
        ("br;q=0.1234, gzip;q=0.", None),
        (",, ;,gzip,", Some("gzip")),
    ] {
        assert_eq!(best(line), expected, "{line:?}");
    }
    assert_eq!(AcceptEncoding::of(&HeaderMap::new()).best(Coding::ALL), None);
    let two_lines = AcceptEncoding::parse([&b"br;q=0.1"[..], b"gzip;q=0.2"]);
    assert_eq!(two_lines.best(Coding::ALL), Some(Coding::Gzip));
    assert_eq!(two_lines.best([Coding::Brotli]), Some(Coding::Brotli));
}

proptest! {
    #[test]
    fn any_bytes_are_read(line: Vec<u8>) {
        let _ = AcceptEncoding::parse([&line[..]]).best(Coding::ALL);
    }

    /// Written from weights, read as the greatest of them.
    #[test]
    fn weights_are_read_as_written(weights in proptest::array::uniform3(0u16..=1000), spaces in "[ \t]{0,3}") {
        let line: Vec<String> = Coding::ALL.iter().zip(weights).map(|(coding, weight)| {
            let (whole, fraction) = (weight / 1000, weight % 1000);
            format!("{spaces}{}{spaces};{spaces}q={whole}.{fraction:03}{spaces}", coding.name())
        }).collect();
        let accept = AcceptEncoding::parse([line.join(",").as_bytes()]);
        let greatest = weights.iter().copied().max().unwrap();
        let expected = Coding::ALL.into_iter().zip(weights)
            .find(|(_, weight)| *weight == greatest && *weight > 0)
            .map(|(coding, _)| coding);
        prop_assert_eq!(accept.best(Coding::ALL), expected);
        for (coding, weight) in Coding::ALL.into_iter().zip(weights) {
            prop_assert_eq!(accept.accepts(coding), weight > 0);
        }
    }
}
