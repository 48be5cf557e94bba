use super::*;

#[test]
fn first_words_tell() {
    for (text, effect_of) in [
        ("BEGIN", Effect::Begins),
        ("  -- why\n/* and */ start transaction", Effect::Begins),
        ("set autocommit = 0", Effect::Begins),
        ("savepoint a", Effect::Begins),
        ("commit;", Effect::Commits),
        ("End", Effect::Commits),
        ("rollback", Effect::RollsBack),
        ("ROLLBACK WORK", Effect::RollsBack),
        ("rollback to a", Effect::None),
        ("rollback transaction to savepoint a", Effect::None),
        ("select 'begin'", Effect::None),
        ("beginning", Effect::None),
        ("", Effect::None),
        ("/* begin", Effect::None),
        ("é begin", Effect::None),
    ] {
        assert_eq!(effect(text), effect_of, "{text}");
    }
}
