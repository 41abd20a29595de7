//! Waiting: whatever changes, whoever waits for it wakes. Long sleeps have no end here, so a lost wake is a deadlock.

use super::{
    atomics::Order,
    death::When,
    world::{Handle, Model, ONE_SHARD, Process, World},
};
use crate::{
    broken::Defect,
    driver::{Access, Driver, Patience, PrefixEvent, Revision, Space},
    region::layout::live,
};
use std::sync::atomic::Ordering::Release;

/// The same world under both orders, and how often a thread is interrupted at most.
fn models(preemptions: usize) -> [Model; 2] {
    [Order::Before, Order::After]
        .map(|order| Model::new(ONE_SHARD, |process| process.put("a", 1)).preemptions(preemptions).ordered(order))
}

fn all_hold(preemptions: usize, wait: fn(&Handle) -> u64, change: fn(&Process)) {
    models(preemptions).iter().for_each(|model| model.holds(one_waits(wait, change)));
}

/// Waits until `a` is no longer 1; what it is then.
fn await_change(handle: &Handle) -> u64 {
    loop {
        let (number, revision) = handle.get(&Access::default(), "a").expect("a is always there");
        if number != 1 {
            return number;
        }
        handle.driver().wait(&[(Space::Values, "a", Some(revision))], Patience::FOREVER).unwrap();
    }
}

/// As whoever has no place in the table of watches: anything at all may have changed.
fn await_version(handle: &Handle) -> u64 {
    loop {
        let version = handle.driver().version().unwrap();
        let (number, _) = handle.get(&Access::default(), "a").expect("a is always there");
        if number != 1 {
            return number;
        }
        handle.driver().wait_version(version, Patience::FOREVER).unwrap();
    }
}

fn await_event(handle: &Handle) -> u64 {
    let mut watch =
        handle.driver().watch_prefix(&Access::default(), Space::Values, "").unwrap().expect("there is room");
    let event = loop {
        match watch.next(Patience::FOREVER).unwrap() {
            Some(PrefixEvent::Set { value, .. }) if value[0] == 1 => {}
            event => break event,
        }
    };
    // The watch, too, ends as that of a killed process.
    super::death::dying(When::Store(0), || drop(watch));
    match event {
        Some(PrefixEvent::Set { value, .. }) => u64::from(value[0]),
        other => panic!("{other:?}"),
    }
}

fn change(process: &Process) {
    process.put("a", 2);
}

fn one_waits(wait: fn(&Handle) -> u64, change: fn(&Process)) -> impl Fn(&World) + Send + core::marker::Sync + 'static {
    move |world| {
        let waiter = world.spawn(1, move |process| wait(&process.handle()));
        let changer = world.spawn(2, change);
        assert_eq!(waiter.join().unwrap(), 2);
        changer.join().unwrap();
    }
}

#[test]
fn loom_48_who_waits_for_a_key_is_woken() {
    all_hold(2, await_change, change);
}

#[test]
fn loom_48_a_writer_that_looks_for_waiters_too_early_is_found() {
    let [_, model] = models(2);
    model.finds(Some(Defect::WaitersMissed), "deadlock", one_waits(await_change, change));
}

#[test]
fn loom_48_who_watches_a_prefix_is_woken() {
    all_hold(2, await_event, change);
}

#[test]
fn loom_48_who_waits_for_anything_is_woken() {
    all_hold(3, await_version, change);
}

fn change_in_a_transaction(process: &Process) {
    process.transact(&[("a", Some(2)), ("b", Some(2))]);
}

#[test]
fn loom_48_who_waits_for_anything_is_woken_by_a_transaction() {
    all_hold(3, await_version, change_in_a_transaction);
}

#[test]
fn loom_48_who_waits_for_a_key_is_woken_by_a_transaction() {
    all_hold(2, await_change, change_in_a_transaction);
}

/// The writer dies at every store of its change; then somebody takes its lock. Where the change was done, the waiter
/// wakes by what the recovery repeats; where it was not, by a new change.
fn changer_dies(world: &World, when: When) {
    let waiter = world.spawn(1, |process| await_change(&process.handle()));
    let next = world.clone();
    let changer = world.spawn(2, move |process| {
        process.dying(when, change);
        let recoverer = next.process(3);
        recoverer.verify();
        if recoverer.get("a") == Some(1) {
            recoverer.put("a", 3);
        }
    });
    assert_ne!(waiter.join().unwrap(), 1);
    changer.join().unwrap();
}

#[test]
fn loom_48_a_killed_writer_owes_nobody_a_wake() {
    for model in models(1) {
        for when in (0..model.stores_of(change)).map(When::Store).chain([When::Wake]) {
            model.holds(move |world| changer_dies(world, when));
        }
    }
}

#[test]
fn loom_48_a_recovery_that_wakes_nobody_is_found() {
    let [model, _] = models(1);
    let mut points = (0..model.stores_of(change)).map(When::Store);
    let found = points
        .any(|when| model.fails(Some(Defect::WakeNotRepeated), "deadlock", move |world| changer_dies(world, when)));
    assert!(found);
}

/// One of two who wait dies at every store of its wait.
#[test]
fn loom_a_waiter_that_disappears_takes_no_wake_along() {
    for (model, stores) in models(1).into_iter().flat_map(|model| (0..3).map(move |stores| (model.clone(), stores))) {
        model.holds(move |world| {
            let dying = world.spawn(1, move |process| {
                let handle = process.handle();
                process.dying_at(stores, |_| _ = await_change(&handle));
            });
            let waiter = world.spawn(2, |process| await_change(&process.handle()));
            let changer = world.spawn(3, change);
            assert_eq!(waiter.join().unwrap(), 2);
            dying.join().unwrap();
            changer.join().unwrap();
        });
    }
}

/// Everybody is told that the store is gone.
#[test]
fn loom_who_waits_for_a_key_is_told_that_the_store_is_gone() {
    for model in models(1) {
        model.holds(|world| {
            let waiter = world.spawn(1, |process| {
                let handle = process.handle();
                let key = process.key("a");
                let seen = process.storage.peek(&key).unwrap().and_then(|seen| Revision::new(seen.revision));
                let answer = handle.driver().wait(&[(Space::Values, "a", seen)], Patience::FOREVER);
                assert_eq!(answer.unwrap_err().kind(), crate::ErrorKind::Gone);
            });
            let destroyer = world.spawn(2, |process| {
                process.storage.memory.store(live::GONE, 1, Release);
                process.storage.wake_everybody();
            });
            waiter.join().unwrap();
            destroyer.join().unwrap();
        });
    }
}
