//! The whole store for one thread.

use std::{
    thread,
    time::{Duration, Instant},
};

use shmsync::{ErrorKind, Sync};

use crate::{kind, store};

#[test]
fn others_wait_up_to_their_limit_and_are_told_who_it_is() {
    let holder = Sync::options().label("nightly").open("memory:limit").unwrap();
    let limit = Duration::from_millis(200);
    let other = Sync::options().access_limit(limit).open("memory:limit").unwrap();
    holder.set("k", &1).unwrap();
    let exclusive = holder.exclusive().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let began = Instant::now();
            let error = other.get::<i64>("k").unwrap_err();
            assert!(began.elapsed() >= limit);
            assert_eq!(error.kind(), ErrorKind::Locked);
            let pid = std::process::id();
            let expected = format!("Can't access \"memory:limit\", still locked after 0.2 s by pid {pid} (nightly)");
            assert_eq!(error.to_string(), expected);
            assert_eq!(kind(other.integer("k").increment(1)), ErrorKind::Locked);
            assert_eq!(kind(other.namespace("ns").set("k", &1)), ErrorKind::Locked);
            assert!(other.try_exclusive().unwrap().is_none());
            let error = other.exclusive_timeout(Duration::from_millis(20)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Timeout);
            assert!(error.to_string().contains("(nightly)"), "{error}");
            assert_eq!(kind(other.exclusive_deadline(Instant::now())), ErrorKind::Timeout);
        });
    });
    assert_eq!(exclusive.get::<i64>("k").unwrap(), Some(1));
    drop(exclusive);
    assert_eq!(other.get::<i64>("k").unwrap(), Some(1));
}

#[test]
fn read_modify_write_under_it_loses_nothing() {
    let store = store();
    store.set("n", &0).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let exclusive = store.exclusive().unwrap();
                    let n = exclusive.get::<i64>("n").unwrap().unwrap();
                    exclusive.set("n", &(n + 1)).unwrap();
                }
            });
        }
    });
    assert_eq!(store.get::<i64>("n").unwrap(), Some(800));
}

#[test]
fn a_read_goes_on_when_the_holder_is_forced_out() {
    let store = store();
    store.set("k", &1).unwrap();
    let exclusive = store.exclusive().unwrap();
    thread::scope(|scope| {
        let reader = scope.spawn(|| store.get::<i64>("k").unwrap());
        thread::sleep(Duration::from_millis(20));
        assert!(scope.spawn(|| store.force_open().unwrap()).join().unwrap());
        assert_eq!(reader.join().unwrap(), Some(1));
    });
    assert!(!store.force_open().unwrap());
    assert_eq!(kind(exclusive.set("k", &2)), ErrorKind::Lost);
    assert_eq!(kind(exclusive.integer("k").increment(1)), ErrorKind::Lost);
    assert_eq!(exclusive.get::<i64>("k").unwrap(), Some(1));
    let again = store.exclusive().unwrap();
    drop(exclusive);
    assert!(others_are_locked_out(&store), "a guard that was forced out opens nobody else's gate");
    drop(again);
}

fn others_are_locked_out(store: &Sync) -> bool {
    thread::scope(|scope| scope.spawn(|| store.try_exclusive().unwrap().is_none()).join().unwrap())
}

#[test]
fn the_same_thread_is_refused_instead_of_waiting_for_itself() {
    let store = Sync::open("memory:same-thread").unwrap();
    let other = Sync::open("memory:same-thread").unwrap();
    let exclusive = store.exclusive().unwrap();
    assert_eq!(kind(store.get::<i64>("k")), ErrorKind::Deadlock);
    assert_eq!(kind(other.set("k", &1)), ErrorKind::Deadlock);
    assert_eq!(kind(other.exclusive()), ErrorKind::Deadlock);
    assert_eq!(kind(other.try_exclusive()), ErrorKind::Deadlock);
    exclusive.namespace("ns").set("k", &1).unwrap();
    drop(exclusive);
    assert_eq!(other.get::<i64>("ns/k").unwrap(), Some(1));
}

#[test]
fn one_who_computes_and_one_who_is_exclusive_do_not_wait_for_each_other() {
    let store = store();
    let started = std::sync::Barrier::new(2);
    thread::scope(|scope| {
        let maker = scope.spawn(|| {
            store.get_or_insert_with("k", || {
                started.wait();
                thread::sleep(Duration::from_millis(50));
                1
            })
        });
        started.wait();
        let exclusive = store.exclusive().unwrap();
        assert_eq!(exclusive.get_or_insert_with("k", || 2).unwrap(), 2);
        drop(exclusive);
        assert_eq!(maker.join().unwrap().unwrap(), 2);
    });
}

#[test]
fn everything_works_inside() {
    let store = store();
    let exclusive = store.exclusive().unwrap();
    exclusive.update("n", |n: Option<i64>| Some(n.unwrap_or(0) + 1)).unwrap();
    exclusive.transaction(|tx| tx.increment("n", 1)).unwrap();
    exclusive.integer("n").increment(1).unwrap();
    let mut watch = exclusive.watch("n").unwrap();
    assert_eq!(watch.next_timeout(Duration::ZERO).unwrap().unwrap().value::<i64>().unwrap(), Some(3));
    exclusive.replace_all("", &exclusive.read_all::<i64>("").unwrap()).unwrap();
    exclusive.clear().unwrap();
    drop(exclusive);
    assert_eq!(store.len().unwrap(), 0);
}
