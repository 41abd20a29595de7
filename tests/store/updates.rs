//! Read, compute, write back.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Barrier,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use shmsync::{Error, ErrorKind, Value};

use crate::{kind, store};

#[test]
fn an_update_sees_what_is_there_and_none_removes() {
    let store = store();
    assert_eq!(store.update("n", |n: Option<i64>| Some(n.unwrap_or(40) + 1)).unwrap(), Some(41));
    assert_eq!(store.update("n", |n: Option<i64>| n.map(|n| n + 1)).unwrap(), Some(42));
    assert_eq!(store.update("n", |_: Option<i64>| None).unwrap(), None);
    assert_eq!(store.len().unwrap(), 0);
    assert_eq!(store.update("n", |_: Option<i64>| None).unwrap(), None);
}

#[test]
fn an_equal_value_is_still_a_commit() {
    let store = store();
    let before = store.set("n", &1).unwrap();
    store.update("n", |n: Option<i64>| n).unwrap();
    assert!(store.get_versioned::<i64>("n").unwrap().unwrap().1 > before);
}

#[test]
fn no_update_is_lost() {
    let store = store();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    store.update("n", |n: Option<i64>| Some(n.unwrap_or(0) + 1)).unwrap();
                }
            });
        }
    });
    assert_eq!(store.get::<i64>("n").unwrap(), Some(800));
}

#[test]
fn an_error_or_a_panic_of_the_closure_changes_nothing() {
    let store = store();
    let before = store.set("n", &1).unwrap();
    let failed = store.try_update("n", |_: Option<i64>| Err::<Option<i64>, _>(Error::new(ErrorKind::Absent, "no")));
    assert_eq!(kind(failed), ErrorKind::Absent);
    let panicked = catch_unwind(AssertUnwindSafe(|| store.update("n", |_: Option<i64>| panic!("on purpose"))));
    assert!(panicked.is_err());
    assert_eq!(store.get_versioned::<i64>("n").unwrap(), Some((1, before)));
}

#[test]
fn a_closure_may_have_an_error_type_of_its_own() {
    #[derive(Debug)]
    enum Mine {
        SoldOut,
        Store,
    }
    impl From<Error> for Mine {
        fn from(_: Error) -> Self {
            Self::Store
        }
    }
    let store = store();
    let sold_out = store.try_update("stock", |stock: Option<u32>| match stock {
        Some(n @ 1..) => Ok(Some(n - 1)),
        _ => Err(Mine::SoldOut),
    });
    assert!(matches!(sold_out, Err(Mine::SoldOut)));
    let bad_key = store.try_update("", |n: Option<u32>| Ok::<_, Mine>(n));
    assert!(matches!(bad_key, Err(Mine::Store)));
}

#[test]
fn a_conflicting_write_runs_the_closure_again() {
    let store = store();
    store.set("n", &1).unwrap();
    let mut runs = 0;
    let sum = store.update("n", |n: Option<i64>| {
        runs += 1;
        if runs <= 20 {
            store.integer("n").increment(10).unwrap();
        }
        n.map(|n| n + 1)
    });
    assert_eq!((sum.unwrap(), runs), (Some(202), 21));
}

#[test]
fn each_entry_is_updated_and_equal_ones_stay_as_they_are() {
    let store = store();
    store.set("a", &5).unwrap();
    let odd = store.set_encoded("b", &[0x81, 0xd9, 1, b'x', 0xcd, 0, 1]).unwrap();
    store.set("c", "s").unwrap();
    let mut seen = Vec::new();
    let changed = store.update_each("", |key, value: Value| {
        seen.push(key.to_owned());
        Some(value)
    });
    assert_eq!((changed.unwrap(), seen), (0, vec!["a".into(), "b".into(), "c".into()]));
    let mut bytes = Vec::new();
    assert_eq!(store.read_encoded("b", &mut bytes).unwrap(), Some(odd));
    assert_eq!(bytes, [0x81, 0xd9, 1, b'x', 0xcd, 0, 1]);
    let changed = store.update_each("", |key, value: Value| match key {
        "a" => Some(Value::from(6)),
        "b" => Some(value),
        _ => None,
    });
    assert_eq!(changed.unwrap(), 2);
    assert_eq!(store.get::<i64>("a").unwrap(), Some(6));
    assert_eq!(store.keys("").unwrap().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn one_computes_and_the_others_wait() {
    let store = store();
    let (computed, start) = (AtomicU32::new(0), Barrier::new(8));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                let value = store.get_or_insert_with("k", || {
                    thread::sleep(std::time::Duration::from_millis(30));
                    computed.fetch_add(1, Ordering::SeqCst) + 1
                });
                assert_eq!(value.unwrap(), 1);
            });
        }
    });
    assert_eq!(computed.into_inner(), 1);
}

#[test]
fn who_panics_while_computing_is_replaced() {
    let store = store();
    let started = Barrier::new(2);
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            store.get_or_insert_with("k", || -> i64 {
                started.wait();
                thread::sleep(std::time::Duration::from_millis(30));
                panic!("on purpose")
            })
        });
        started.wait();
        assert_eq!(store.get_or_insert_with("k", || 2).unwrap(), 2);
        assert!(first.join().is_err());
    });
}

#[test]
fn who_asks_for_what_it_computes_is_told() {
    let store = store();
    let mut inner = None;
    let outer = store.get_or_insert_with("k", || {
        inner = Some(kind(store.get_or_insert_with("k", || 1)));
        store.get_or_insert_with("other", || 2).unwrap()
    });
    assert_eq!((outer.unwrap(), inner), (2, Some(ErrorKind::Deadlock)));
}

#[test]
fn a_value_set_meanwhile_wins_over_the_computed_one() {
    let store = store();
    let value = store.get_or_insert_with("k", || {
        store.set("k", &1).unwrap();
        2
    });
    assert_eq!(value.unwrap(), 1);
    store.set("null", &()).unwrap();
    assert_eq!(store.get_or_insert_with("null", || 3).unwrap(), 3);
}

#[test]
fn keys_of_any_length_can_be_computed_and_contended() {
    let store = store();
    let long = "k".repeat(65_536);
    assert_eq!(store.get_or_insert_with(&long, || 1).unwrap(), 1);
    let mut runs = 0;
    store
        .update(&long, |n: Option<i64>| {
            runs += 1;
            if runs < 20 {
                store.set(&long, &runs).unwrap();
            }
            n
        })
        .unwrap();
}
