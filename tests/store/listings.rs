//! Many values at once.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use shmsync::ErrorKind;

use crate::{kind, store};

#[test]
fn keys_and_entries_come_in_order_of_their_keys() {
    let store = store();
    for (n, key) in ["b/2", "a", "b/10", "c", "b"].into_iter().enumerate() {
        store.set(key, &n).unwrap();
    }
    assert_eq!(store.keys("").unwrap().collect::<Vec<_>>(), ["a", "b", "b/10", "b/2", "c"]);
    assert_eq!(store.keys("b/").unwrap().rev().collect::<Vec<_>>(), ["b/2", "b/10"]);
    assert_eq!(store.keys("x").unwrap().len(), 0);
    let entries: Vec<(String, usize)> = store.iter("b/").unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(entries, [("b/10".into(), 2), ("b/2".into(), 0)]);
    assert_eq!(store.len().unwrap(), 5);
}

#[test]
fn an_iterator_leaves_out_what_was_removed_meanwhile() {
    let store = store();
    for key in ["a", "b", "c"] {
        store.set(key, &1).unwrap();
    }
    let mut entries = store.iter::<i64>("").unwrap();
    store.remove("b").unwrap();
    assert_eq!(entries.next().unwrap().unwrap().0, "a");
    assert_eq!(entries.next().unwrap().unwrap().0, "c");
    assert!(entries.next().is_none());
}

#[test]
fn replacing_all_leaves_nothing_else_below_the_prefix() {
    let store = store();
    store.set("p/old", &1).unwrap();
    store.set("q", &2).unwrap();
    let map = BTreeMap::from([("p/x".to_owned(), 3), ("p/y".to_owned(), 4)]);
    store.replace_all("p/", &map).unwrap();
    assert_eq!(store.read_all::<i64>("p/").unwrap(), map);
    assert_eq!(store.get::<i64>("q").unwrap(), Some(2));
    assert_eq!(kind(store.replace_all("r/", &map)), ErrorKind::Invalid);
    let many: BTreeMap<String, i64> = (0..5_000).map(|n| (format!("{n}"), n)).collect();
    store.replace_all("", &many).unwrap();
    assert_eq!(store.read_all::<i64>("").unwrap(), many);
    store.clear().unwrap();
    assert_eq!(store.len().unwrap(), 0);
}

#[test]
fn inside_a_namespace_maps_have_the_keys_of_the_namespace() {
    let store = store();
    let inner = store.namespace("ns");
    let map = BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]);
    inner.replace_all("", &map).unwrap();
    assert_eq!(inner.read_all::<i64>("").unwrap(), map);
    assert_eq!(store.keys("").unwrap().collect::<Vec<_>>(), ["ns/a", "ns/b"]);
}

#[test]
fn reading_all_sees_one_moment() {
    let store = store();
    let stop = AtomicBool::new(false);
    let replace = |n: i64| {
        let map = (0..20).map(|i| (format!("k{i}"), n)).collect();
        store.replace_all("", &map).unwrap();
    };
    replace(0);
    thread::scope(|scope| {
        scope.spawn(|| (1..).take_while(|_| !stop.load(Ordering::Relaxed)).for_each(replace));
        for _ in 0..500 {
            let all = store.read_all::<i64>("").unwrap();
            assert_eq!(all.len(), 20);
            assert!(all.values().all(|value| value == &all["k0"]), "{all:?}");
        }
        stop.store(true, Ordering::Relaxed);
    });
}
