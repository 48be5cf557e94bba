//! Memory: bounded.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn it_does_what_every_backend_does() {
    let store = opened("memory", &[("max-bytes", "256MiB")], None).unwrap();
    suite::all(&*store, "t").await;
}

#[tokio::test]
async fn it_is_full_at_its_bound_and_what_is_deleted_makes_room() {
    let store = opened("memory", &[("max-bytes", "1MiB")], None).unwrap();
    store.create_container("c").await.unwrap();
    put(&*store, at("c", "a"), &[&[0; 700 << 10]]).await.unwrap();
    let full = put(&*store, at("c", "b"), &[&[0; 700 << 10]]).await;
    assert!(matches!(full, Err(Failure::Full(_))), "{full:?}");
    assert_eq!(names(&*store, "c").await.unwrap(), ["a"]);
    store.delete("c", &["a".to_owned()]).await.unwrap();
    put(&*store, at("c", "b"), &[&[0; 700 << 10]]).await.unwrap();
    let copied = store.copy(at("c", "b"), at("c", "d")).await;
    assert!(matches!(copied, Err(Failure::Full(_))), "a copy may outlive what it is of");
}

#[tokio::test]
async fn names_and_empty_objects_take_room_too() {
    let store = opened("memory", &[("max-bytes", "64KiB")], None).unwrap();
    store.create_container("c").await.unwrap();
    let mut fitted = 0;
    let full = loop {
        match put(&*store, at("c", &fitted.to_string()), &[]).await {
            Ok(()) => fitted += 1,
            Err(failure) => break failure,
        }
    };
    assert!(matches!(full, Failure::Full(_)), "{full:?}");
    assert!((100..1000).contains(&fitted), "{fitted}");
    for nth in 0..20 {
        let made = store.create_container(&format!("other-{nth}")).await;
        if nth > 2 {
            assert!(matches!(made, Err(Failure::Full(_))), "{made:?}");
        }
    }
}

#[tokio::test]
async fn small_parts_of_large_pieces_keep_no_more_than_they_are() {
    let store = opened("memory", &[], None).unwrap();
    store.create_container("c").await.unwrap();
    let mut upload = store.write(at("c", "a")).await.unwrap();
    let large = Bytes::from(vec![1; 1 << 20]);
    upload.write(large.slice(..10)).await.unwrap();
    assert!(large.try_into_mut().is_ok(), "nobody else has it");
    upload.finish().await.unwrap();
}
