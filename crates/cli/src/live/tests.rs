#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn ago(time: Duration) -> Instant {
    Instant::now().checked_sub(time).unwrap()
}

fn age(screen: &mut Screen, time: Duration) {
    for doing in screen.rows.iter_mut().filter_map(|row| row.doing.as_mut()) {
        doing.since = ago(time);
    }
}

#[test]
fn each_workload_has_a_line_and_its_times_at_the_end() {
    let mut screen = Screen::new(true);
    screen.since = Some(ago(Duration::from_secs(4)));
    screen.begin("shop/a", true, "Compiling 1 of 2: shop/a (4MiB)".into(), "compiled");
    age(&mut screen, Duration::from_millis(2100));
    assert_eq!(screen.lines(80), ["Compiling 1 of 2: shop/a (4MiB) … 2.1 s"]);
    assert_eq!(screen.lines(20), ["Compiling 1 of 2: s…"]);
    screen.step();
    screen.begin("shop/b", true, "Compiling 2 of 2: shop/b (1MiB)".into(), "compiled");
    let lines = screen.lines(80);
    assert_eq!(lines[0], "shop/a: compiled in 2.1 s");
    assert_eq!(lines[1], "Compiling 2 of 2: shop/b (1MiB) … 0.0 s");
    screen.step();
    screen.begin("shop/a", true, "Starting shop/a".into(), "tried");
    let said = screen.over("shop", true);
    assert_eq!(said, "  shop/a: compiled in 2.1 s\nshop: 2 workloads ready in 4.0 s\n");
    assert!(screen.rows.is_empty());
}

#[test]
fn without_a_terminal_only_what_takes_long_is_said_and_once() {
    let mut screen = Screen::new(false);
    screen.begin("shop/a", true, "Compiling 1 of 2: shop/a (4MiB)".into(), "compiled");
    assert_eq!(screen.overdue(), "");
    age(&mut screen, PATIENCE);
    assert_eq!(screen.overdue(), "Compiling 1 of 2: shop/a (4MiB) …\n");
    assert_eq!(screen.overdue(), "");
    assert_eq!(screen.over("shop", true), "");
}

#[test]
fn the_block_is_bounded() {
    let mut screen = Screen::new(true);
    for index in 0..100 {
        screen.begin(&format!("shop/{index}"), true, format!("Compiling {index}"), "compiled");
    }
    let lines = screen.lines(80);
    assert_eq!(lines.len(), MOST + 1);
    assert_eq!(lines[0], "88 more above");
}
