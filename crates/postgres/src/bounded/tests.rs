use super::*;

fn watched(most: u64) -> Watched {
    Watched { most: most.into(), state: AtomicU8::new(b'I') }
}

fn message(letter: u8, contents: &[u8]) -> Vec<u8> {
    let length = u32::try_from(contents.len() + 4).unwrap();
    [&[letter][..], &length.to_be_bytes(), contents].concat()
}

#[test]
fn the_state_is_seen_however_the_bytes_come() {
    let bytes = [message(b'D', b"ZI"), message(b'1', b""), message(b'Z', b"T"), message(b'C', b"E")];
    let bytes = bytes.concat();
    for size in 1..=bytes.len() {
        let (mut frame, watched) = (Frame::default(), watched(100));
        for piece in bytes.chunks(size) {
            frame.read(piece, &watched).unwrap();
        }
        assert_eq!(watched.state.load(Ordering::Acquire), b'T', "pieces of {size}");
    }
}

#[test]
fn too_large_a_message_is_refused_before_it_is_there() {
    let (mut frame, watched) = (Frame::default(), watched(100));
    frame.read(&message(b'D', &[0; 96]), &watched).unwrap();
    let error = frame.read(&[b'D', 0, 0, 0, 101], &watched).unwrap_err().to_string();
    assert!(error.contains("101 bytes, and 100"), "{error}");
}

#[test]
fn another_protocol_is_no_message() {
    let (mut frame, watched) = (Frame::default(), watched(100));
    frame.read(b"HTTP/1.1 400", &watched).unwrap_err();
    frame.read(&[0; 5], &watched).unwrap_err();
}
