#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::*;

/// Keeps the messages of all events.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Visit for Heard {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0.lock().unwrap().push(format!("{value:?}"));
        }
    }
}

impl Subscriber for Heard {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn logged(pieces: &[&[u8]]) -> Vec<String> {
    let heard = Heard::default();
    tracing::subscriber::with_default(heard.clone(), || {
        let mut lines = Lines::new(Arc::new(Voice::new("w".into())), "stdout");
        // A guest may have several handles of one stream.
        let mut other = lines.clone();
        for (n, piece) in pieces.iter().enumerate() {
            let to = if n % 2 == 0 { &mut lines } else { &mut other };
            OutputStream::write(to, Bytes::copy_from_slice(piece)).unwrap();
        }
    });
    heard.0.lock().unwrap().clone()
}

#[test]
fn lines_are_logged_whole_however_they_are_written() {
    assert_eq!(logged(&[b"a li", b"ne\nand", b" another\r\n\n"]), ["a line", "and another", ""]);
}

#[test]
fn what_has_no_line_feed_is_logged_at_the_end() {
    assert_eq!(logged(&[b"first\nlast"]), ["first", "last"]);
    assert_eq!(logged(&[b"first\n"]), ["first"]);
}

#[test]
fn a_line_without_end_is_logged_in_pieces_of_whole_characters() {
    let long = "é".repeat(LONGEST);
    // An odd byte first, so that the cut would fall into a character.
    let all = logged(&[b"a", long.as_bytes(), b"\nnext\n"]);
    assert_eq!(all.concat(), format!("a{long}next"));
    assert!(all.iter().all(|line| line.len() <= LONGEST), "{:?}", all.iter().map(String::len));
    assert_eq!(all.len(), 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is written, and in whatever pieces, nothing of it is lost, and nothing is held back.
    #[test]
    fn nothing_is_lost(pieces in prop::collection::vec("[a-zé€😀\n]{0,5000}", 0..6)) {
        let bytes: Vec<_> = pieces.iter().map(|piece| piece.as_bytes()).collect();
        let all = logged(&bytes).concat();
        prop_assert_eq!(all, pieces.concat().replace('\n', ""));
    }
}
