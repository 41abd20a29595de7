//! Several keys at once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use shmsync::{Error, ErrorKind};

use crate::{kind, store};

#[test]
fn all_of_it_happens_or_nothing() {
    let store = store();
    store.set("a", &1).unwrap();
    store
        .transaction(|tx| {
            tx.set("b", &2)?;
            tx.remove("a")
        })
        .unwrap();
    assert_eq!(store.read_all::<i64>("").unwrap(), [("b".to_owned(), 2)].into());
    let failed = store.transaction(|tx| {
        tx.set("b", &3)?;
        tx.set("c", &4)?;
        Err::<(), _>(Error::new(ErrorKind::Absent, "changed my mind"))
    });
    assert_eq!(kind(failed), ErrorKind::Absent);
    assert_eq!(store.read_all::<i64>("").unwrap(), [("b".to_owned(), 2)].into());
}

#[test]
fn a_transaction_sees_its_own_writes() {
    let store = store();
    store.set("gone", &1).unwrap();
    store
        .transaction(|tx| {
            assert_eq!(tx.get::<i64>("n")?, None);
            tx.set("n", &1)?;
            assert_eq!(tx.increment("n", 2)?, 3);
            assert_eq!(tx.get::<i64>("n")?, Some(3));
            assert!(tx.remove("gone")?);
            assert!(!tx.contains("gone")?);
            assert!(!tx.remove("gone")?);
            assert_eq!(tx.increment("gone", 5)?, 5);
            tx.set("null", &())?;
            assert!(!tx.contains("null")?);
            Ok(())
        })
        .unwrap();
    assert_eq!(store.get::<i64>("n").unwrap(), Some(3));
    assert_eq!(store.get::<i64>("gone").unwrap(), Some(5));
}

#[test]
fn money_is_neither_made_nor_lost() {
    let store = store();
    let keys: Vec<_> = (0..5).map(|n| format!("account{n}")).collect();
    for key in &keys {
        store.set(key, &100).unwrap();
    }
    thread::scope(|scope| {
        for thread in 0..4 {
            let (store, keys) = (&store, &keys);
            scope.spawn(move || {
                for round in 0..100 {
                    let (from, to) = (&keys[(thread + round) % 5], &keys[(thread * 2 + round * 3 + 1) % 5]);
                    store
                        .transaction(|tx| {
                            tx.increment(from, -7)?;
                            tx.increment(to, 7)
                        })
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(store.read_all::<i64>("").unwrap().values().sum::<i64>(), 500);
}

#[test]
fn a_closure_never_sees_an_impossible_state() {
    let store = store();
    let (a, b) = (store.integer("a"), store.integer("b"));
    a.set(0).unwrap();
    b.set(0).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                store
                    .transaction(|tx| {
                        tx.increment("a", 1)?;
                        tx.increment("b", -1)
                    })
                    .unwrap();
            }
        });
        for _ in 0..500 {
            let sum = store.transaction(|tx| {
                let a = tx.get::<i64>("a")?.unwrap();
                thread::yield_now();
                let b = tx.get::<i64>("b")?.unwrap();
                assert_eq!(a + b, 0, "seen inside of the closure");
                Ok(a + b)
            });
            assert_eq!(sum.unwrap(), 0);
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn an_attempt_that_was_overtaken_runs_again_whatever_the_closure_says() {
    let store = store();
    store.set("a", &1).unwrap();
    let mut runs = 0;
    let seen = store.transaction(|tx| {
        runs += 1;
        let a = tx.get::<i64>("a")?.unwrap();
        if runs <= 20 {
            store.set("a", &(a + 1)).unwrap();
        }
        // Swallows the error of the overtaken read.
        let b = tx.get::<i64>("b").unwrap_or(Some(-1));
        tx.set("sum", &(a + b.unwrap_or(0)))?;
        Ok(a)
    });
    assert_eq!((seen.unwrap(), runs), (21, 21));
    assert_eq!(store.get::<i64>("sum").unwrap(), Some(21));
}

#[test]
fn a_transaction_has_a_most_of_operations() {
    let store = store();
    let write = |most: usize| {
        store.transaction(|tx| (0..most).try_for_each(|n| tx.set(&format!("k{n}"), &n)).map(|()| tx.set("k0", &7)))
    };
    write(1_024).unwrap().unwrap();
    assert_eq!(store.len().unwrap(), 1_024);
    store.clear().unwrap();
    assert_eq!(kind(write(1_025)), ErrorKind::TooLarge);
    assert_eq!(store.len().unwrap(), 0);
}

#[test]
fn transactions_stay_in_their_namespace() {
    let store = store();
    store.namespace("ns").transaction(|tx| tx.set("k", &1)).unwrap();
    assert_eq!(store.get::<i64>("ns/k").unwrap(), Some(1));
    assert_eq!(kind(store.transaction(|tx| tx.set("", &1))), ErrorKind::Invalid);
    assert_eq!(kind(store.transaction(|tx| tx.get::<i64>(""))), ErrorKind::Invalid);
}
