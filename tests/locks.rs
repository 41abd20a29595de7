//! Locks between processes, which are killed, stopped, forked, and many.
#![cfg(target_os = "linux")]

mod common;

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use common::{Child, Forked, LONG, Place, assert_kind, assert_sound, fork, hear, open, options, say, until};
use shmsync::{ErrorKind, LockState, Sync, Token};

roles!(hold, hold_many, hold_with_memory, keep_for_a_while);

/// Takes the lock `k` as the arguments say, and holds it until told.
fn hold(arguments: &[String]) {
    let store = options().label("the holder").open(Path::new(&arguments[0])).expect("a store");
    let mut lock = store.lock("k").expect("a lock");
    for option in &arguments[1..] {
        lock = match option.as_str() {
            "shared" => lock.shared(),
            "ttl" => lock.ttl(Duration::from_millis(500)),
            "least" => lock.hold_at_least(Duration::from_millis(700)),
            other => panic!("{other}"),
        };
    }
    let guard = lock.acquire().expect("the lock");
    say("holding");
    hear();
    assert!(guard.is_held().expect("an answer"), "it was lost");
    assert!(guard.release().expect("a release"));
    say("released");
    hear();
}

fn holder(place: &Place, options: &[&str]) -> Child {
    let mut child = Child::on(place, "hold", options);
    child.expect("holding");
    child
}

fn is_held(store: &Sync) -> bool {
    matches!(store.lock("k").unwrap().state().unwrap(), LockState::Held(_))
}

/// How many wait for locks whose names begin so.
fn waiting(store: &Sync, prefix: &str) -> usize {
    store.locks(prefix).unwrap().iter().map(|lock| lock.waiters.len()).sum()
}

/// A1, A2, A16.
#[test]
fn scenario_1_a_lock_is_handed_over_after_the_release() {
    let place = Place::new();
    let store = place.open();
    let mut first = holder(&place, &[]);
    let mut second = Child::on(&place, "hold", &[]);
    until("the second waits", || waiting(&store, "") == 1);
    let info = &store.locks("").unwrap()[0];
    assert_eq!((info.owners[0].pid, info.waiters[0].pid), (first.pid(), second.pid()));
    assert_eq!(info.owners[0].label, "the holder");
    first.tell("release");
    first.expect("released");
    second.expect("holding");
    match store.lock("k").unwrap().state().unwrap() {
        LockState::Held(owner) => assert_eq!(owner.pid, second.pid()),
        state => panic!("{state}"),
    }
    second.tell("release");
    second.expect("released");
    assert_eq!(store.locks("").unwrap(), []);
    assert_sound(&store);
}

#[test]
fn scenario_4_anybody_can_force_a_lock() {
    let place = Place::new();
    let store = place.open();
    let _child = holder(&place, &[]);
    let lock = store.lock("k").unwrap();
    assert!(is_held(&store));
    assert!(lock.force_release().unwrap());
    assert!(!is_held(&store));
    assert!(!lock.force_release().unwrap());
}

#[test]
fn scenario_5_a_killed_owner_is_followed_by_who_waits() {
    let place = Place::new();
    let store = place.open();
    let child = holder(&place, &[]);
    let pid = child.pid();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| store.lock("k").unwrap().acquire_timeout(LONG).unwrap());
        until("somebody waits", || waiting(&store, "") == 1);
        child.kill();
        assert!(waiter.join().unwrap().previous_owner_died());
    });
    // Where nobody waits, the lock is orphaned until somebody takes it.
    let child = holder(&place, &[]);
    assert_ne!(child.pid(), pid);
    let pid = child.pid();
    child.kill();
    match store.lock("k").unwrap().state().unwrap() {
        LockState::Orphaned(owner) => assert_eq!((owner.pid, owner.label.as_str()), (pid, "the holder")),
        state => panic!("{state}"),
    }
    assert!(store.lock("k").unwrap().wait_timeout(Duration::ZERO).unwrap(), "nobody holds it");
    let guard = store.lock("k").unwrap().try_acquire().unwrap().expect("an orphaned lock is to be had");
    assert!(guard.previous_owner_died());
    drop(guard);
    assert!(!store.lock("k").unwrap().acquire().unwrap().previous_owner_died());
}

#[test]
fn scenario_6_a_stopped_owner_keeps_its_lock() {
    let place = Place::new();
    let store = place.open();
    let mut child = holder(&place, &[]);
    child.signal(libc::SIGSTOP);
    let begun = Instant::now();
    assert_kind(store.lock("k").unwrap().acquire_timeout(Duration::from_secs(2)), ErrorKind::Timeout, "the holder");
    thread::sleep(Duration::from_secs(3).saturating_sub(begun.elapsed()));
    child.signal(libc::SIGCONT);
    child.tell("release");
    child.expect("released");
}

#[test]
fn scenario_30_an_expired_lock_is_had_by_who_waits_though_its_owner_lives() {
    let place = Place::new();
    let store = place.open();
    let begun = Instant::now();
    let _child = holder(&place, &["ttl"]);
    let seen = Instant::now();
    let guard = store.lock("k").unwrap().acquire_timeout(LONG).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(500) && !guard.previous_owner_died());
    println!("{:?} after it was seen to be held", seen.elapsed());
}

/// Decision 19: death does not shorten a least time.
#[test]
fn a_least_time_outlives_its_owner() {
    let place = Place::new();
    let store = place.open();
    let begun = Instant::now();
    holder(&place, &["least"]).kill();
    assert!(store.lock("k").unwrap().try_acquire().unwrap().is_none() || begun.elapsed().as_millis() >= 700);
    drop(store.lock("k").unwrap().acquire_timeout(LONG).unwrap());
    assert!(begun.elapsed() >= Duration::from_millis(700));
}

/// Attack 10, decision 13.
#[test]
fn a_forked_child_has_no_part_in_its_parents_lock() {
    let place = Place::new();
    let store = place.open();
    // What a child takes out of it stays inside of it here.
    let mut held = Some(store.lock("k").unwrap().acquire().unwrap());
    let child = fork(|| {
        let guard = held.take().unwrap();
        assert_kind(guard.is_held(), ErrorKind::NotOwner, "forked");
        assert_kind(guard.extend(LONG), ErrorKind::NotOwner, "forked");
        // Another thread of another process: it waits, it does not wait for itself.
        assert_kind(store.lock("k").unwrap().acquire_timeout(Duration::from_millis(50)), ErrorKind::Timeout, "pid");
        assert_kind(guard.release(), ErrorKind::NotOwner, "forked");
    });
    child.finish();
    assert!(held.as_ref().unwrap().is_held().unwrap());
    let other = store.lock("other").unwrap();
    fork(|| {
        let mine = other.acquire().unwrap();
        assert!(mine.is_held().unwrap());
        drop(held.take());
        std::mem::forget(mine);
    })
    .finish();
    assert!(matches!(other.state().unwrap(), LockState::Orphaned(_)), "what the child held ended with it");
    assert!(other.acquire().unwrap().previous_owner_died());
    assert!(is_held(&store), "a drop in the child releases the parent's lock");
}

/// C8 for programs.
#[test]
fn of_three_hundred_who_try_at_once_one_has_it() {
    let place = Place::new();
    let store = options().liveness_thread(false).open(place.path()).unwrap();
    let gate = store.lock("gate").unwrap().acquire().unwrap();
    let children: Vec<Forked> = (0..300)
        .map(|_| {
            fork(|| {
                store.integer("ready").increment(1).unwrap();
                store.lock("gate").unwrap().wait().unwrap();
                let got = store.lock("k").unwrap().try_acquire().unwrap();
                store.integer(if got.is_some() { "won" } else { "lost" }).increment(1).unwrap();
                store.watch("end").unwrap().next().unwrap().unwrap();
            })
        })
        .collect();
    until("all are there", || store.get_or("ready", 0).unwrap() == 300);
    drop(gate);
    until("all have tried", || store.get_or("won", 0).unwrap() + store.get_or("lost", 0).unwrap() == 300);
    assert_eq!(store.get_or("won", 0).unwrap(), 1);
    store.set("end", &true).unwrap();
    children.into_iter().for_each(Forked::finish);
    assert_eq!(store.locks("").unwrap(), []);
    assert_sound(&store);
}

/// Takes many locks.
fn hold_many(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    let guards: Vec<_> =
        (0..3_000).map(|number| store.lock(&format!("k{number}")).unwrap().acquire().unwrap()).collect();
    say("holding");
    hear();
    drop(guards);
}

/// Attack 12.
#[test]
fn thousands_of_holdings_end_with_one_process() {
    let place = Place::new();
    let store = place.open();
    let mut child = Child::on(&place, "hold_many", &[]);
    child.expect("holding");
    assert_eq!(store.locks("k").unwrap().len(), 3_000);
    assert!((0..3_000).all(|number| store.lock(&format!("k{number}")).unwrap().try_acquire().unwrap().is_none()));
    child.kill();
    for number in 0..3_000 {
        let guard = store.lock(&format!("k{number}")).unwrap().try_acquire().unwrap();
        assert!(guard.expect("an orphaned lock").previous_owner_died());
    }
    assert_eq!(store.locks("").unwrap(), []);
    assert_sound(&store);
}

/// Holds with so much memory that its end takes long.
fn hold_with_memory(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    let memory = vec![1_u8; 1 << 30];
    let guard = store.lock("k").unwrap().acquire().unwrap();
    say("holding");
    hear();
    drop((memory, guard));
}

/// Attack 9.
#[test]
fn a_killed_owner_with_a_gigabyte_is_followed_all_the_same() {
    let place = Place::new();
    let store = place.open();
    let mut child = Child::on(&place, "hold_with_memory", &[]);
    child.expect("holding");
    let begun = thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            assert!(store.lock("k").unwrap().acquire_timeout(LONG).unwrap().previous_owner_died());
            Instant::now()
        });
        until("somebody waits", || waiting(&store, "") == 1);
        let begun = Instant::now();
        child.signal(libc::SIGKILL);
        (begun, waiter.join().unwrap())
    });
    println!("the next had it after {:?}", begun.1 - begun.0);
}

/// Keeps the lock with a time limit, again and again.
fn keep_for_a_while(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    say("ready");
    loop {
        let token = store.lock("k").unwrap().ttl(Duration::from_millis(100)).acquire().unwrap().keep();
        store.lock("k").unwrap().release_with(token).unwrap();
    }
}

/// Attack 45: a lock with a time limit is never without one.
#[test]
fn a_taker_killed_anywhere_leaves_no_lock_without_its_limit() {
    let place = Place::new();
    let store = place.open();
    let mut dice = common::Dice::roll("killed takers");
    for _ in 0..30 {
        let mut child = Child::on(&place, "keep_for_a_while", &[]);
        child.expect("ready");
        thread::sleep(Duration::from_micros(dice.below(3_000)));
        child.kill();
        drop(store.lock("k").unwrap().acquire_timeout(LONG).unwrap());
    }
    assert_eq!(store.locks("").unwrap(), []);
    assert_sound(&store);
}

#[test]
fn locks_work_without_the_thread_that_tells_of_death() {
    let place = Place::new();
    let store = options().liveness_thread(false).open(place.path()).unwrap();
    let child = fork(|| {
        let guard = store.lock("k").unwrap().acquire().unwrap();
        store.set("held", &true).unwrap();
        thread::sleep(LONG);
        drop(guard);
    });
    until("it is held", || store.contains("held").unwrap());
    assert!(store.lock("k").unwrap().try_acquire().unwrap().is_none());
    thread::scope(|scope| {
        let waiter = scope.spawn(|| store.lock("k").unwrap().acquire_timeout(LONG).unwrap().previous_owner_died());
        until("somebody waits", || waiting(&store, "") == 1);
        child.kill();
        assert!(waiter.join().unwrap());
    });
}

/// Attack 43, decision 28.
#[test]
fn tokens_grow_over_the_end_of_a_store() {
    let place = Place::new();
    let mut last: Option<Token> = None;
    for _ in 0..3 {
        let store = place.open();
        let token = store.lock("k").unwrap().acquire().unwrap().token();
        assert!(Some(token) > last, "{token} after {last:?}");
        last = Some(token);
        store.destroy().unwrap();
        assert_kind(store.lock("k").unwrap().acquire(), ErrorKind::Gone, "removed");
        assert_kind(store.lock("k").unwrap().state(), ErrorKind::Gone, "removed");
    }
}

#[test]
fn a_read_only_handle_sees_locks_and_takes_none() {
    let place = Place::new();
    let store = place.open();
    let _guard = store.lock("k").unwrap().acquire().unwrap();
    let reader = options().read_only(true).open(place.path()).unwrap();
    assert!(is_held(&reader));
    assert_kind(reader.lock("k").unwrap().acquire(), ErrorKind::Permission, "read-only");
    assert_kind(reader.lock("k").unwrap().force_release(), ErrorKind::Permission, "read-only");
    assert!(!reader.lock("k").unwrap().wait_timeout(Duration::from_millis(30)).unwrap());
}
