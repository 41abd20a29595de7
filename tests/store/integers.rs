//! Shared integers.

use std::thread;

use shmsync::{ErrorKind, Sync};

use crate::{kind, store};

#[test]
fn a_missing_integer_is_zero_until_it_is_counted() {
    let store = store();
    let integer = store.integer("n");
    assert_eq!(integer.known(), 0);
    assert!(!integer.exists().unwrap());
    assert_eq!(integer.get().unwrap(), None);
    assert_eq!(kind(integer.refresh()), ErrorKind::Absent);
    assert!(!integer.remove().unwrap());
    assert_eq!(integer.decrement(3).unwrap(), -3);
    assert!(integer.exists().unwrap());
}

#[test]
fn what_is_known_changes_only_by_asking() {
    let (a, b) = (Sync::open("memory:known").unwrap(), Sync::open("memory:known").unwrap());
    let x = a.integer("n").detached();
    b.integer("n").set(10).unwrap();
    assert_eq!(x.known(), 0);
    assert_eq!(x.increment(1).unwrap(), 11);
    assert_eq!(x.known(), 11);
    b.set("n", &20).unwrap();
    assert_eq!(x.known(), 11);
    assert_eq!(x.refresh().unwrap(), 20);
    assert_eq!(x.increment(0).unwrap(), 20);
}

#[test]
fn handles_of_one_store_share_what_is_known() {
    let (a, b) = (Sync::open("memory:share").unwrap(), Sync::open("memory:share").unwrap());
    let (x, y) = (a.integer("n"), b.integer("n"));
    let other = store().integer("n");
    let inside = a.namespace("ns").integer("n");
    let detached = x.detached();
    x.increment(5).unwrap();
    assert_eq!((y.known(), other.known(), inside.known(), detached.known()), (5, 0, 0, 0));
    y.remove().unwrap();
    assert_eq!(x.known(), 0);
}

#[test]
fn many_threads_get_many_results() {
    for _ in 0..80 {
        let store = store();
        let counted = (0..16).map(|_| store.integer("n")).map(|n| thread::spawn(move || n.increment(1).unwrap()));
        let counted: Vec<_> = counted.collect();
        let mut results: Vec<_> = counted.into_iter().map(|thread| thread.join().unwrap()).collect();
        results.sort_unstable();
        assert_eq!(results, (1..=16).collect::<Vec<_>>());
        assert_eq!(store.integer("n").refresh().unwrap(), 16);
    }
}

#[test]
fn overflow_keeps_the_value() {
    let store = store();
    let integer = store.integer("n");
    integer.set(i64::MAX).unwrap();
    assert_eq!(kind(integer.increment(1)), ErrorKind::Overflow);
    assert_eq!(integer.refresh().unwrap(), i64::MAX);
    integer.set(i64::MIN).unwrap();
    assert_eq!(kind(integer.decrement(1)), ErrorKind::Overflow);
    assert_eq!(kind(integer.decrement(i64::MIN)), ErrorKind::Overflow);
    store.set("n", &u64::MAX).unwrap();
    assert_eq!(kind(integer.increment(-1)), ErrorKind::Overflow);
    assert_eq!(kind(integer.get()), ErrorKind::Overflow);
    assert_eq!(store.get::<u64>("n").unwrap(), Some(u64::MAX));
}

#[test]
fn an_integer_is_a_value_whoever_wrote_it() {
    let store = store();
    store.set("n", &41_u8).unwrap();
    assert_eq!(store.integer("n").increment(1).unwrap(), 42);
    assert_eq!(store.get::<f64>("n").unwrap(), Some(42.0));
    store.set("n", "text").unwrap();
    assert_eq!(kind(store.integer("n").increment(1)), ErrorKind::TypeMismatch);
    assert_eq!(store.get::<String>("n").unwrap().as_deref(), Some("text"));
    store.integer("n").set(1).unwrap();
    assert_eq!(store.get::<i64>("n").unwrap(), Some(1));
}

#[test]
fn a_bad_name_is_told_by_the_first_call_that_can_fail() {
    let integer = store().integer("");
    assert_eq!(integer.known(), 0);
    assert_eq!(kind(integer.increment(1)), ErrorKind::Invalid);
}

/// Decision 11: what is known belongs to the integer in the process, not to the handle that learned it.
#[test]
fn what_is_known_outlives_the_handle_that_learned_it() {
    let store = super::store();
    store.integer("n").set(5).unwrap();
    assert_eq!(store.integer("n").known(), 5);
    assert_eq!(store.integer("other").known(), 0);
}
