//! Several recoverers at once of one process that died with two shards locked (attack 24), some of which die too (25).
//!
//! The death itself is no part of what is explored: nobody else does anything until it has happened. So each point of
//! death is a world of its own, in which two begin to recover at the same time.

use super::{
    transactions::{change_pair, overwrite_pair, pair, put_pair},
    world::{Model, Process, TWO_SHARDS, World},
};
use crate::{broken::Defect, primitive::allowance::Allowance};

/// Worlds in which process 1 has died in a transaction over both shards, before each of its stores.
fn models() -> impl Iterator<Item = Model> {
    [Model::new(TWO_SHARDS, put_pair), Model::new(TWO_SHARDS, overwrite_pair)].into_iter().flat_map(|model| {
        (0..model.stores_of(change)).map(move |stores| {
            model.after_death((1, stores), change, |world| {
                for (slot, shard) in [(2, 0), (3, 1)] {
                    recover(&world.process(slot), shard);
                    world.process(slot).put(&pair(&world.process(slot))[shard as usize], 5);
                }
                pair(&world.process(4)).iter().for_each(|name| _ = world.process(4).get(name));
            })
        })
    })
}

fn change(process: &Process) {
    change_pair(process, 2);
}

/// Takes a shard's lock once, which recovers what was left there.
fn recover(process: &Process, shard: u32) {
    drop(process.storage.shard(shard).lock(process.me, &Allowance::full()).expect("a lock is given within its bound"));
}

/// All of the transaction or nothing; also when nothing is left to recover.
fn check_pair(process: &Process) {
    let look = || pair(process).map(|name| process.get(&name));
    let seen = look();
    assert!(seen == [Some(1); 2] || seen == [Some(2); 2], "half a transaction: {seen:?}");
    (0..2).for_each(|shard| recover(process, shard));
    assert_eq!(look(), seen, "a second recovery has changed it");
}

/// One for each shard, at the same time.
fn two_recover(world: &World) {
    let threads = [(2, 0), (3, 1)].map(|(slot, shard)| world.spawn(slot, move |process| recover(process, shard)));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    world.spawn(4, check_pair).join().unwrap();
}

/// Each acknowledges a newer value in the shard that it has recovered: no late recoverer takes that away.
fn two_write(world: &World) {
    let threads = [(2, 0, 5), (3, 1, 6)].map(|(slot, shard, number)| {
        world.spawn(slot, move |process| {
            let name = &pair(process)[shard];
            process.put(name, number);
            assert_eq!(process.get(name), Some(number), "a newer value was overwritten");
        })
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let last = world.spawn(4, |process| {
        let seen = pair(process).map(|name| process.get(&name));
        assert_eq!(seen, [Some(5), Some(6)], "a newer value was overwritten");
    });
    last.join().unwrap();
}

/// One of the two dies before that store of its own.
fn one_dies(world: &World, dying: u32, stores: u64) {
    let threads = [(2, 0), (3, 1)].map(|(slot, shard)| {
        world.spawn(slot, move |process| match slot == dying {
            true => _ = process.dying_at(stores, |process| recover(process, shard)),
            false => recover(process, shard),
        })
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    world.spawn(4, check_pair).join().unwrap();
}

#[test]
fn loom_24_two_recover_what_one_left_in_two_shards() {
    models().for_each(|model| model.preemptions(1).holds(two_recover));
}

#[test]
fn loom_24_a_late_recoverer_overwrites_no_newer_value() {
    models().for_each(|model| model.preemptions(1).holds(two_write));
}

#[test]
fn loom_24_a_home_that_forgets_the_others_is_found_by_two_recoverers() {
    let found = models()
        .any(|model| model.preemptions(1).fails(Some(Defect::OthersForgotten), "half a transaction", two_recover));
    assert!(found, "no point of death shows it");
}

/// Attack 25, with another recoverer at work at the same time. Points of the first death are taken in steps that have no
/// divisor in common with those of the second.
#[test]
fn loom_25_one_of_two_recoverers_dies_too() {
    for (number, model) in models().enumerate().step_by(5) {
        for stores in (number as u64 % 7..40).step_by(7) {
            for dying in [2, 3] {
                model.clone().preemptions(1).holds(move |world| one_dies(world, dying, stores));
            }
        }
    }
}
