//! Being told of changes.

use std::{
    thread,
    time::{Duration, Instant},
};

use shmsync::{Change, ChangeKind, ErrorKind, Lifetime, Removed, Sync, Value, Watch};

use crate::{kind, store};

/// A watchdog, not a measure.
const LONG: Duration = Duration::from_secs(20);

fn next(watch: &mut Watch) -> Change {
    watch.next_timeout(LONG).unwrap().expect("a change in time")
}

fn nothing(watch: &mut Watch) {
    assert_eq!(watch.next_timeout(Duration::ZERO).unwrap(), None);
}

fn set(n: i64) -> ChangeKind {
    ChangeKind::Set(Value::from(n))
}

fn removed(reason: Removed) -> ChangeKind {
    ChangeKind::Removed(reason)
}

#[test]
fn a_watch_tells_the_state_first_and_then_each_newer_one() {
    let store = store();
    let revision = store.set("k", &1).unwrap();
    let mut watch = store.watch("k").unwrap();
    let first = next(&mut watch);
    assert_eq!(first, Change { key: "k".into(), revision, kind: set(1), initial: true });
    nothing(&mut watch);
    store.set("k", &2).unwrap();
    store.set("k", &3).unwrap();
    let second = next(&mut watch);
    assert_eq!((second.kind.clone(), second.initial), (set(3), false));
    assert_eq!(second.value::<i64>().unwrap(), Some(3));
    assert_eq!(second.value::<String>().unwrap_err().kind(), ErrorKind::TypeMismatch);
    store.remove("k").unwrap();
    let third = next(&mut watch);
    assert_eq!((third.kind, third.revision), (removed(Removed::Deleted), second.revision));
    nothing(&mut watch);
}

#[test]
fn what_is_absent_at_first_is_told_when_it_comes() {
    let store = store();
    let mut watch = store.watch("k").unwrap();
    nothing(&mut watch);
    thread::scope(|scope| {
        let waiter = scope.spawn(move || watch.next().unwrap().unwrap());
        thread::sleep(Duration::from_millis(20));
        store.set("other", &0).unwrap();
        store.set("k", &1).unwrap();
        let change = waiter.join().unwrap();
        assert_eq!((change.kind, change.initial), (set(1), false));
    });
}

#[test]
fn what_changed_before_the_first_look_is_no_longer_initial() {
    let store = store();
    store.set("changed", &1).unwrap();
    store.set("removed", &1).unwrap();
    for mut watch in [store.watch_keys(&["changed", "removed"]).unwrap(), store.watch_prefix("").unwrap()] {
        store.set("changed", &2).unwrap();
        assert!(!next(&mut watch).initial);
    }
    let mut watch = store.watch("removed").unwrap();
    store.remove("removed").unwrap();
    assert_eq!(next(&mut watch).kind, removed(Removed::Deleted));
    nothing(&mut watch);
}

#[test]
fn several_keys_are_told_in_turn() {
    let store = store();
    let mut watch = store.watch_keys(&["a", "b"]).unwrap();
    store.set("a", &1).unwrap();
    store.set("b", &2).unwrap();
    let first = next(&mut watch);
    store.set("a", &3).unwrap();
    let second = next(&mut watch);
    assert_eq!((first.key.as_str(), second.key.as_str()), ("a", "b"), "a busy key does not hide the other");
    assert_eq!(next(&mut watch).kind, set(3));
}

#[test]
fn a_prefix_tells_what_comes_changes_and_goes_below_it() {
    let store = store();
    store.set("p/old", &1).unwrap();
    store.set("q", &1).unwrap();
    let mut watch = store.watch_prefix("p/").unwrap();
    let first = next(&mut watch);
    assert_eq!((first.key.as_str(), first.initial), ("p/old", true));
    nothing(&mut watch);
    store.set("q", &2).unwrap();
    store.set("p/new", &2).unwrap();
    let second = next(&mut watch);
    assert_eq!((second.key.as_str(), second.kind, second.initial), ("p/new", set(2), false));
    store.remove("p/old").unwrap();
    assert_eq!(next(&mut watch).kind, removed(Removed::Deleted));
    nothing(&mut watch);
}

#[test]
fn expiry_is_a_change() {
    let store = store();
    for mut watch in [store.watch("k").unwrap(), store.watch_prefix("k").unwrap()] {
        store.set_with("k", &1, Lifetime::Ttl(Duration::from_millis(50))).unwrap();
        assert_eq!(next(&mut watch).kind, set(1));
        assert_eq!(next(&mut watch).kind, removed(Removed::Expired));
        nothing(&mut watch);
    }
}

#[test]
fn the_death_of_an_owner_is_a_change() {
    let store = Sync::open("memory:owner-death").unwrap();
    for mut watch in [store.watch("k").unwrap(), store.watch_prefix("k").unwrap()] {
        let owner = Sync::open("memory:owner-death").unwrap();
        owner.set_with("k", &1, Lifetime::Process).unwrap();
        assert_eq!(next(&mut watch).kind, set(1));
        drop(owner);
        assert_eq!(next(&mut watch).kind, removed(Removed::OwnerDied));
        nothing(&mut watch);
    }
}

#[test]
fn a_watch_can_be_stopped_from_elsewhere() {
    let store = store();
    for mut watch in [store.watch("k").unwrap(), store.watch_prefix("k").unwrap()] {
        let stop = watch.stop_handle();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| watch.next());
            thread::sleep(Duration::from_millis(20));
            stop.stop();
            assert!(waiter.join().unwrap().is_none());
        });
        store.set("k", &1).unwrap();
        assert_eq!(kind(watch.next_timeout(LONG)), ErrorKind::Stopped);
        assert!(stop.is_stopped());
        store.remove("k").unwrap();
    }
}

#[test]
fn a_watch_inside_a_namespace_tells_the_keys_of_the_namespace() {
    let store = store();
    let inner = store.namespace("ns");
    inner.set("k", &1).unwrap();
    for mut watch in [inner.watch("k").unwrap(), inner.watch_prefix("").unwrap()] {
        let change = next(&mut watch);
        assert_eq!((change.key.as_str(), change.initial), ("k", true));
    }
}

#[test]
fn no_change_ends_with_the_time_given() {
    let store = store();
    store.set_with("later", &1, Lifetime::Ttl(LONG)).unwrap();
    for mut watch in [store.watch("k").unwrap(), store.watch_prefix("k").unwrap()] {
        let began = Instant::now();
        assert_eq!(watch.next_timeout(Duration::from_millis(30)).unwrap(), None);
        assert!(began.elapsed() >= Duration::from_millis(30));
    }
}

#[test]
fn a_closed_gate_does_not_outlast_the_time_given() {
    let store = store();
    let mut watch = store.watch("k").unwrap();
    let exclusive = store.exclusive().unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| watch.next_timeout(Duration::from_millis(30)));
        assert_eq!(waiter.join().unwrap().unwrap(), None);
    });
    exclusive.set("k", &1).unwrap();
    drop(exclusive);
    assert_eq!(next(&mut watch).kind, set(1));
}
