//! What a guest prints never panics the response parser, how it is cut in pieces does not matter,
//! and a head that comes out has no header that could break the connection.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reef_wagi::{Error, Progress, ResponseHead, ResponseParser};

/// Head and the offset of the body in the whole output.
fn parse<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<(ResponseHead, usize), Error> {
    let mut parser = ResponseParser::new();
    let mut fed = 0;
    for piece in pieces {
        if let Progress::Head { head, body_start } = parser.feed(piece)? {
            parser.finish()?;
            return Ok((head, fed + body_start));
        }
        fed += piece.len();
    }
    Err(parser.finish().expect_err("no head came"))
}

fuzz_target!(|input: &[u8]| {
    let Some((size, output)) = input.split_first() else { return };
    let whole = parse(std::iter::once(output));
    let cut = parse(output.chunks(usize::from(*size).max(1)));
    assert_eq!(whole, cut);

    match whole {
        Ok((head, body)) => {
            assert!(body <= output.len() && output[..body].ends_with(b"\n"));
            assert!((200..600).contains(&head.status.as_u16()));
            for (name, value) in &head.headers {
                assert!(!["connection", "transfer-encoding", "upgrade"].contains(&name.as_str()));
                assert!(!value.as_bytes().iter().any(|byte| b"\r\n\0".contains(byte)));
            }
        }
        Err(error) => assert!(error.to_string().is_ascii()),
    }
});
