use super::turns;

#[test]
fn each_has_one_turn_a_round_and_another_goes_first() {
    let order = |round| turns(&["a", "b", "c"], round).copied().collect::<String>();
    assert_eq!([0, 1, 2, 3].map(order), ["abc", "bca", "cab", "abc"]);
    assert_eq!(turns::<u8>(&[], 1).count(), 0);
}
