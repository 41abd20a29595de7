//! Every operation killed before each of its stores, its recoverer too, and the recoverer's recoverer.
//!
//! One thing happens after another here, so no checker is needed, and every combination can be tried.

use super::{
    death,
    transactions::{change_pair, overwrite_pair, pair, put_pair},
    world::{Model, ONE_SHARD, Process, TWO_SHARDS, World},
};
use crate::{
    broken::{self, Defect},
    primitive::allowance::Allowance,
};

/// An operation, and what may be there afterwards: all of the first or all of the second.
struct Case {
    name: &'static str,
    model: Model,
    act: fn(&Process),
    /// What is there before, and after.
    seen: fn(&Process) -> Vec<Option<u64>>,
}

fn keys(process: &Process) -> Vec<Option<u64>> {
    ["a", "b", "c", "d"].map(|name| process.get(name)).to_vec()
}

fn pair_of(process: &Process) -> Vec<Option<u64>> {
    pair(process).map(|name| process.get(&name)).to_vec()
}

fn full_index(process: &Process) {
    ["a", "b", "c"].iter().for_each(|name| process.put(name, 1));
}

/// The block of the first value rests, and is used next.
fn overwritten(process: &Process) {
    process.put("a", 1);
    process.put("a", 2);
}

fn cases() -> Vec<Case> {
    let one = |name, prepare: fn(&Process), act: fn(&Process)| Case {
        name,
        model: Model::new(ONE_SHARD, prepare),
        act,
        seen: keys,
    };
    let two = |name, act: fn(&Process)| Case { name, model: Model::new(TWO_SHARDS, put_pair), act, seen: pair_of };
    vec![
        one("the first put of all", |_| (), |process| process.put("a", 2)),
        one("a put of a new key", |process| process.put("a", 1), |process| process.put("b", 2)),
        one("a put over an old value", |process| process.put("a", 1), |process| process.put("a", 2)),
        one("a put over an old value where a block rests", overwritten, |process| process.put("a", 3)),
        one("a put of a new key where a block rests", overwritten, |process| process.put("b", 3)),
        one("a put of another size", |process| process.put("a", 1), |process| process.put_words("a", 2, 40)),
        one("a put of whole extents", |process| process.put("a", 1), |process| process.put_words("a", 2, 600)),
        one(
            "a put after which extents go back",
            |process| process.put_words("a", 1, 600),
            |process| process.put("a", 2),
        ),
        one("a put that makes the index grow", full_index, |process| process.put("d", 2)),
        one("a removal", full_index, |process| process.remove("b")),
        one("a transaction in one shard", full_index, |process| {
            process.transact(&[("a", Some(2)), ("b", None), ("d", Some(2))]);
        }),
        one("a transaction that removes many", full_index, |process| {
            process.transact(&[("a", None), ("b", None), ("c", Some(2))]);
        }),
        two("a transaction over two shards", |process| change_pair(process, 2)),
        Case {
            name: "a transaction over two shards where blocks rest",
            model: Model::new(TWO_SHARDS, overwrite_pair),
            act: |process| change_pair(process, 2),
            seen: pair_of,
        },
        two("a transaction that removes", |process| {
            let [a, b] = pair(process);
            process.transact(&[(&a, None), (&b, Some(2))]);
        }),
    ]
}

impl Case {
    fn world(&self) -> World {
        World::plain(self.model.capacity(), self.model.image())
    }

    /// Kills the operation, then a recoverer, then another one; a fourth must find everything in order.
    fn kill(&self, stores: u64, recovery: Option<(u64, Option<u64>)>) -> Killed {
        let world = self.world();
        let old = (self.seen)(&world.process(0));
        let died = world.process(1).dying_at(stores, self.act);
        // Without any recovery readers see old or new.
        let seen = (self.seen)(&world.process(4));
        let mut recovered = false;
        if let Some((first, second)) = recovery {
            recovered = !world.process(2).dying_at(first, Process::verify);
            if let Some(second) = second {
                recovered |= !world.process(3).dying_at(second, Process::verify);
            }
            assert_eq!((self.seen)(&world.process(4)), seen, "{}: a half recovery changed what is seen", self.name);
        }
        let last = world.process(4);
        last.verify();
        assert_eq!((self.seen)(&last), seen, "{}: recovery changed what is seen", self.name);
        // And it goes on.
        (self.act)(&last);
        let new = (self.seen)(&last);
        last.verify();
        let ours = self.name;
        assert!(seen == old || seen == new, "{ours}, killed at {stores}: {seen:?} is neither {old:?} nor {new:?}");
        Killed { died, recovered }
    }
}

struct Killed {
    died: bool,
    recovered: bool,
}

#[test]
fn loom_every_operation_can_be_killed_at_every_store_and_its_recoverer_too() {
    for case in cases() {
        let (mut points, mut pairs) = (0, 0);
        for stores in 0.. {
            if !case.kill(stores, None).died {
                break;
            }
            points += 1;
            for first in 0.. {
                pairs += 1;
                if case.kill(stores, Some((first, None))).recovered {
                    break;
                }
            }
        }
        assert!(points >= 20, "{}: only {points} points", case.name);
        eprintln!("{}: {points} points of death, {pairs} with one in the recovery", case.name);
    }
}

/// Attack 25: the recoverer dies, and its recoverer. Every point of the first two; of the third as many as time allows.
#[test]
fn loom_25_the_recoverer_of_a_recoverer_can_be_killed() {
    for case in cases() {
        let mut triples = 0u64;
        for stores in 0..case.model.stores_of(case.act) {
            for first in 0.. {
                let step = 29;
                let mut done = false;
                for second in ((stores + first) % step..).step_by(step as usize) {
                    triples += 1;
                    let killed = case.kill(stores, Some((first, Some(second))));
                    if killed.recovered {
                        done = second < step;
                        break;
                    }
                }
                if done && case.kill(stores, Some((first, None))).recovered {
                    break;
                }
            }
        }
        eprintln!("{}: {triples} triples of deaths", case.name);
    }
}

/// Attack 24: the home is recovered first and forgets the transaction, before the other shard has asked it.
#[test]
fn loom_24_a_home_that_forgets_the_others_is_found() {
    let case = cases().into_iter().find(|case| case.name == "a transaction over two shards").unwrap();
    broken::set(Some(Defect::OthersForgotten));
    let points = case.model.stores_of(case.act);
    let found = (0..points).any(|stores| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let world = case.world();
            world.process(1).dying_at(stores, case.act);
            let recoverer = world.process(2);
            drop(recoverer.storage.shard(0).lock(recoverer.me, &Allowance::full()));
            drop(recoverer.storage.shard(1).lock(recoverer.me, &Allowance::full()));
            let seen = pair_of(&recoverer);
            assert_eq!(seen[0], seen[1]);
        }))
        .is_err()
    });
    broken::set(None);
    assert!(found, "no point of death shows it");
}

/// A value is freed and its block filled again before its successor is published.
#[test]
fn loom_a_record_freed_before_its_successor_is_published_is_found() {
    let case = cases().into_iter().find(|case| case.name == "a put over an old value").unwrap();
    broken::set(Some(Defect::FreedBeforePublished));
    let points = case.model.stores_of(case.act);
    let found = (0..points).any(|stores| {
        let world = case.world();
        world.process(1).dying_at(stores, case.act);
        let locked = world.process(2);
        let sound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| locked.verify()));
        death::clear();
        sound.is_err()
    });
    broken::set(None);
    assert!(found, "no point of death shows it");
}
