use super::*;

#[test]
fn a_workload_that_floods_the_log_is_held_to_its_rate() {
    let start = Instant::now();
    let mut budget = Budget::new(start);
    let said =
        |budget: &mut Budget, lines: u32, now| (0..lines).filter(|_| budget.take(now)).count();
    assert_eq!(said(&mut budget, 50_000, start), 10_000, "what it may write at once");
    assert_eq!(said(&mut budget, 50_000, start + Duration::from_millis(100)), 100);
    assert_eq!(said(&mut budget, 50_000, start + Duration::from_secs(3600)), 10_000);
}

#[test]
fn what_was_left_out_is_said_once_a_second() {
    let start = Instant::now();
    let mut budget = Budget::new(start);
    for _ in 0..10_003 {
        budget.take(start);
    }
    assert_eq!(budget.due_to_be_said(start), Some(3));
    assert!(!budget.take(start));
    assert_eq!(budget.due_to_be_said(start + Duration::from_millis(999)), None);
    assert_eq!(budget.due_to_be_said(start + QUIET), Some(1));
    assert_eq!(budget.due_to_be_said(start + 2 * QUIET), None, "all is said");
}

#[test]
fn long_texts_are_cut_between_characters() {
    assert_eq!(shortened("short", 5), "short");
    assert_eq!(shortened("shorter", 5), "short…");
    assert_eq!(shortened("aéé", 4), "aé…", "the second é is the bytes 3 and 4");
}
