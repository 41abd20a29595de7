//! Entries that end by themselves.

use std::{
    thread,
    time::{Duration, Instant},
};

use shmsync::{ErrorKind, Lifetime, Sync};

use crate::{kind, store};

const TTL: Duration = Duration::from_millis(100);

#[test]
fn an_entry_is_there_until_its_time_is_up() {
    let store = store();
    let began = Instant::now();
    store.set_with("k", &1, Lifetime::Ttl(TTL)).unwrap();
    let listed = store.keys("").unwrap().len() == 1;
    let got = store.get::<i64>("k").unwrap().is_some();
    assert!(listed && got || began.elapsed() >= TTL);
    thread::sleep(TTL);
    assert_eq!(store.get::<i64>("k").unwrap(), None);
    assert_eq!(store.keys("").unwrap().len(), 0);
    assert_eq!(store.len().unwrap(), 0);
    assert!(store.read_all::<i64>("").unwrap().is_empty());
    assert!(!store.remove("k").unwrap());
    assert!(store.compare_and_set("k", None, &2).unwrap().is_ok(), "it is absent");
}

#[test]
fn a_plain_set_makes_it_stay_and_changes_do_not() {
    let store = store();
    let lives = |key: &str| store.contains(key).unwrap();
    for key in ["set", "update", "increment", "cas", "transaction", "keep"] {
        store.set_with(key, &1, Lifetime::Ttl(TTL)).unwrap();
    }
    store.set("set", &2).unwrap();
    store.update("update", |n: Option<i64>| n.map(|n| n + 1)).unwrap();
    store.integer("increment").increment(1).unwrap();
    let revision = store.get_versioned::<i64>("cas").unwrap().map(|(_, revision)| revision);
    store.compare_and_set("cas", revision, &2).unwrap().unwrap();
    store.transaction(|tx| tx.increment("transaction", 1)).unwrap();
    store.set_with("keep", &2, Lifetime::Keep).unwrap();
    thread::sleep(TTL * 2);
    assert!(lives("set"));
    for key in ["update", "increment", "cas", "transaction", "keep"] {
        assert!(!lives(key), "{key}");
    }
}

#[test]
fn an_entry_of_a_process_ends_with_its_last_handle() {
    let stays = Sync::open("memory:process").unwrap();
    let leaves = Sync::open("memory:process").unwrap();
    leaves.set_with("k", &1, Lifetime::Process).unwrap();
    let clone = leaves.clone();
    drop(leaves);
    assert_eq!(stays.get::<i64>("k").unwrap(), Some(1));
    drop(clone);
    assert_eq!(stays.get::<i64>("k").unwrap(), None);
    assert_eq!(stays.len().unwrap(), 0);
}

#[test]
fn the_longest_ttl_is_for_ever_and_the_shortest_is_refused() {
    let store = store();
    store.set_with("k", &1, Lifetime::Ttl(Duration::MAX)).unwrap();
    assert!(store.contains("k").unwrap());
    assert_eq!(kind(store.set_with("k", &1, Lifetime::Ttl(Duration::ZERO))), ErrorKind::Invalid);
}
