//! The shard lock: nobody is in at the same time as somebody else, and nobody stays out for ever, whoever dies.

use std::{cell::Cell, sync::atomic::Ordering::Relaxed};

use super::{
    death::When,
    world::{Model, ONE_SHARD, Process, World},
};
use crate::{
    broken::Defect,
    primitive::{allowance::Allowance, shard_lock::Taken},
    region::layout::{WAIT_WORDS, live},
};

/// A word that only who holds the lock changes.
const COUNT: u64 = live::BOOT_ID;
/// A word that the dying one changes.
const OTHER: u64 = live::BOOT_ID + 8;
/// The lock word.
const LOCK: u64 = WAIT_WORDS;

fn lock(process: &Process) -> crate::primitive::shard_lock::ShardLock<'_> {
    crate::primitive::shard_lock::ShardLock {
        word: LOCK,
        memory: &process.storage.memory,
        participants: process.storage.participants(),
    }
}

/// Counts under the lock, and how the lock was come by.
fn count(process: &Process) -> Taken {
    let lock = lock(process);
    let taken = lock.lock(process.me, &Allowance::full()).expect("a lock is given within its bound");
    let memory = &process.storage.memory;
    memory.store(COUNT, memory.load(COUNT, Relaxed) + 1, Relaxed);
    lock.unlock();
    taken
}

fn counted(world: &World) -> u64 {
    world.spawn(4, |process| process.storage.memory.load(COUNT, Relaxed)).join().unwrap()
}

fn two_count(world: &World) {
    let threads = [1, 2].map(|slot| world.spawn(slot, |process| _ = count(process)));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(counted(world), 2, "two were in at once");
}

fn three_count(world: &World) {
    let threads = [1, 2, 3].map(|slot| world.spawn(slot, |process| _ = count(process)));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn model() -> Model {
    Model::new(ONE_SHARD, |_| ())
}

#[test]
fn loom_two_exclude_each_other() {
    model().preemptions(3).holds(two_count);
}

#[test]
fn loom_a_stolen_lock_is_found() {
    model().finds(Some(Defect::LockStolen), "two were in at once", two_count);
}

#[test]
fn loom_three_get_their_turn_also_if_no_sleep_ended_by_itself() {
    model().endless_naps().holds(three_count);
}

/// Somebody who dies, with the lock or without.
fn one_dies(world: &World, when: When, others: &[u32]) {
    let dying = world.spawn(1, move |process| {
        let held = Cell::new(false);
        process.dying(when, |process| {
            lock(process).lock(process.me, &Allowance::full()).expect("a lock is given within its bound");
            held.set(true);
            process.storage.memory.store(OTHER, 1, Relaxed);
            lock(process).unlock();
            held.set(false);
        });
        // Whoever dies before the wake has unlocked.
        held.get() && matches!(when, When::Store(_))
    });
    let others: Vec<_> = others.iter().map(|slot| world.spawn(*slot, count)).collect();
    let held = dying.join().unwrap();
    let taken: Vec<Taken> = others.into_iter().map(|other| other.join().unwrap()).collect();
    let last = world.spawn(4, count).join().unwrap();
    let from_dead = taken.iter().chain([&last]).filter(|taken| matches!(taken, Taken::FromDead(_))).count();
    // Died with the lock: exactly one is told to recover. Died without: nobody.
    assert_eq!(from_dead, usize::from(held), "{taken:?}, then {last:?}");
}

#[test]
fn loom_2_a_dead_owner_is_followed_by_one_who_is_told_so() {
    for stores in 0..=6 {
        model().holds(move |world| one_dies(world, When::Store(stores), &[2]));
        model().preemptions(1).holds(move |world| one_dies(world, When::Store(stores), &[2, 3]));
    }
}

/// Attack 2: the owner has unlocked and dies before it wakes anybody.
#[test]
fn loom_2_a_dead_waker_leaves_nobody_asleep_for_ever() {
    model().holds(|world| one_dies(world, When::Wake, &[2]));
    model().preemptions(1).holds(|world| one_dies(world, When::Wake, &[2, 3]));
}

#[test]
fn loom_2_without_an_end_to_sleeps_a_dead_waker_is_found() {
    model().endless_naps().finds(None, "deadlock", |world| one_dies(world, When::Wake, &[2, 3]));
}
