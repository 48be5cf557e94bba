#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[tokio::test(start_paused = true)]
async fn who_comes_second_waits_for_a_while_and_is_told_for_what() {
    let turns = Turns::default();
    let first = turns.begin("apply", "shop", false).await.unwrap();
    first.doing.step("shop/cart", Stage::Starting);
    let second = turns.begin("restart", "other", false).await.err().unwrap().to_string();
    assert_eq!(
        second,
        "another change is in progress (apply of shop, for 0 s; shop/cart: its command of the start \
         runs); try again when it is over, or end it with `reef stop shop`"
    );
    drop(first);
    assert_eq!(turns.present(), None);
    assert!(turns.begin("restart", "other", false).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_called_off_ends_at_once() {
    let turns = Turns::default();
    let turn = turns.begin("apply", "shop", false).await.unwrap();
    assert!(!turns.call_off("other"));
    let never = turn.unless_called_off(std::future::pending::<Result<(), _>>());
    let off = async {
        tokio::task::yield_now().await;
        assert!(turns.call_off("shop"));
        // Once is enough.
        assert!(!turns.call_off("shop"));
    };
    let (ended, ()) = tokio::join!(never, off);
    assert_eq!(ended.unwrap_err().to_string(), "apply of shop was called off: it is to be stopped");
    assert!(turn.doing.check().is_err());
    drop(turn);
    turns.close();
    assert!(matches!(turns.begin("apply", "shop", false).await, Err(DeployError::Stopped)));
}
