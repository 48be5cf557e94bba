use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Something that is done to a journal.
#[derive(Clone, Debug)]
enum Step {
    Push(u8, usize),
    Done,
    Aside,
    Again,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u8, 0..200_usize).prop_map(|(key, size)| Step::Push(key, size)),
        2 => Just(Step::Done),
        1 => Just(Step::Aside),
        1 => Just(Step::Again),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// It is a queue, also when it is closed and opened, and never more than it may be.
    #[test]
    fn it_is_a_bounded_queue(steps in prop::collection::vec(step(), 0..40)) {
        const MOST: u64 = 1000;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/journal");
        let journals = Journals::default();
        runtime().block_on(async {
            let mut journal = journals.open(&path, MOST).unwrap();
            let mut model = VecDeque::<(u64, u8, usize)>::new();
            let (mut last, mut aside) = (None, 0);
            for step in steps {
                match step {
                    Step::Push(key, size) => {
                        let waiting: usize = model.iter().map(|(_, _, size)| size + 1 + 64).sum();
                        let fits = (waiting + aside + size + 1 + 64) as u64 <= MOST;
                        let pushed = journal.push(vec![key].into(), vec![7; size].into()).await;
                        prop_assert_eq!(pushed.is_ok(), fits, "{:?}", pushed);
                        if let Ok(number) = pushed {
                            prop_assert!(last.is_none_or(|last| number > last));
                            last = Some(number);
                            model.push_back((number, key, size));
                        }
                    }
                    Step::Done => if let Some((number, ..)) = model.pop_front() {
                        journal.done(number).await.unwrap();
                    },
                    Step::Aside => if let Some((number, _, size)) = model.pop_front() {
                        journal.put_aside(number, "never".to_owned()).await.unwrap();
                        aside += size;
                    },
                    Step::Again => {
                        drop(journal);
                        journal = journals.open(&path, MOST).unwrap();
                    }
                }
                prop_assert_eq!(journal.len(), model.len());
                let first = journal.first().map(|entry| entry.number);
                prop_assert_eq!(first, model.front().map(|(number, ..)| *number));
                for key in 0..3 {
                    let about = journal.about(&[key]).into_iter().map(|entry| entry.number);
                    let of_model = model.iter().filter(|(_, own, _)| *own == key);
                    prop_assert_eq!(about.collect::<Vec<_>>(), of_model.map(|one| one.0).collect::<Vec<_>>());
                }
            }
            Ok(())
        })?;
    }
}

/// Whatever has become of its file, who opens a journal is told, or has what is left of it.
#[test]
fn a_damaged_file_is_no_more_than_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let write = |path: &Path| {
        let journals = Journals::default();
        runtime().block_on(async {
            let journal = journals.open(path, 1 << 20)?;
            for number in 0..20_u8 {
                journal.push(vec![number].into(), vec![7; 500].into()).await?;
            }
            Ok::<_, Failure>(())
        })
    };
    write(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    for turn in 0..60 {
        let mut damaged = whole.clone();
        // From the beginning on, where its own structure is, ever farther apart.
        let at = turn * turn * turn * 97 % damaged.len();
        let end = (at + 64).min(damaged.len());
        damaged[at..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
        if turn % 7 == 0 {
            damaged.truncate(damaged.len() / (turn + 1));
        }
        let path = dir.path().join(format!("damaged-{turn}"));
        fs::write(&path, damaged).unwrap();
        if let Err(Failure::Backend(why)) = write(&path) {
            assert!(why.contains(&*path.to_string_lossy()), "{why}");
            refused += 1;
        }
    }
    assert!(refused > 0, "none of them was noticed");
}
