//! Transactions over two shards, seen by readers and by each other.

use super::world::{Model, ONE_SHARD, Process, TWO_SHARDS, World};
use crate::broken::Defect;

/// A key of each shard; the first one's shard is the home of both.
pub(super) fn pair(process: &Process) -> [String; 2] {
    [0, 1].map(|shard| {
        let names = (0..).map(|number| format!("k{number}"));
        names.into_iter().find(|name| process.key(name).shard == shard).expect("there are many")
    })
}

pub(super) fn put_pair(process: &Process) {
    let [a, b] = pair(process);
    process.put(&a, 1);
    process.put(&b, 1);
}

/// The blocks of the first values rest, and are used next.
pub(super) fn overwrite_pair(process: &Process) {
    let [a, b] = pair(process);
    process.put(&a, 0);
    process.put(&b, 0);
    put_pair(process);
}

pub(super) fn change_pair(process: &Process, number: u64) {
    let [a, b] = pair(process);
    process.transact(&[(&a, Some(number)), (&b, Some(number))]);
}

/// The two keys one after the other: what was seen of the first is seen of the second.
fn read_pair(process: &Process, first: usize) {
    let names = pair(process);
    let one = process.get(&names[first]).expect("it is always there");
    let other = process.get(&names[1 - first]).expect("it is always there");
    assert!(one <= other, "half a transaction: {one}, then {other}");
}

fn transaction_and_reader(world: &World, first: usize) {
    let writer = world.spawn(1, |process| change_pair(process, 2));
    let reader = world.spawn(2, move |process| read_pair(process, first));
    writer.join().unwrap();
    reader.join().unwrap();
}

fn model() -> Model {
    Model::new(TWO_SHARDS, put_pair)
}

/// Where transactions go the short way.
fn swift_model() -> Model {
    Model::new(TWO_SHARDS, overwrite_pair)
}

#[test]
fn loom_23_a_transaction_is_seen_as_a_whole() {
    for (first, model) in [(0, model()), (1, model()), (0, swift_model()), (1, swift_model())] {
        model.holds(move |world| transaction_and_reader(world, first));
    }
}

#[test]
fn loom_23_a_transaction_without_marks_is_found() {
    for model in [model(), swift_model()] {
        let found = [0, 1].map(|first| {
            let run = move |world: &World| transaction_and_reader(world, first);
            model.fails(Some(Defect::MarkSkipped), "half a transaction", run)
        });
        assert!(found.contains(&true));
    }
}

/// Many removals in one shard have no marks of their own.
#[test]
fn loom_23_a_transaction_that_removes_many_is_seen_as_a_whole() {
    let names = ["a", "b", "c"];
    // Its index is replaced by a smaller one at the end: too many steps for more.
    let model = Model::new(ONE_SHARD, move |process| names.iter().for_each(|name| process.put(name, 1))).preemptions(1);
    for (first, second) in [("a", "b"), ("c", "b"), ("b", "c")] {
        model.holds(move |world| {
            let writer = world.spawn(1, |process| process.transact(&[("a", None), ("b", None), ("c", Some(2))]));
            let reader = world.spawn(2, move |process| {
                let (one, other) = (process.get(first), process.get(second));
                let is_new = |name: &str, seen: Option<u64>| seen == if name == "c" { Some(2) } else { None };
                assert!(!is_new(first, one) || is_new(second, other), "half a transaction: {one:?}, then {other:?}");
            });
            writer.join().unwrap();
            reader.join().unwrap();
        });
    }
}

#[test]
fn loom_23_a_snapshot_sees_a_transaction_as_a_whole() {
    model().preemptions(1).holds(|world| {
        let writer = world.spawn(1, |process| change_pair(process, 2));
        let reader = world.spawn(2, |process| {
            let seen: Vec<u64> = process.snapshot().into_values().collect();
            assert!(seen == [1, 1] || seen == [2, 2], "half a transaction: {seen:?}");
        });
        writer.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn loom_a_snapshot_is_of_one_moment() {
    model().preemptions(1).holds(|world| {
        let writer = world.spawn(1, |process| {
            let [a, b] = pair(process);
            process.put(&a, 2);
            process.put(&b, 2);
        });
        let reader = world.spawn(2, |process| {
            let [a, b] = pair(process);
            let seen = process.snapshot();
            assert!(seen[&a] >= seen[&b], "the second change without the first: {seen:?}");
        });
        writer.join().unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn loom_two_transactions_exclude_each_other() {
    for model in [model(), swift_model()] {
        model.preemptions(1).holds(|world| {
            let one = world.spawn(1, |process| change_pair(process, 2));
            let other = world.spawn(2, |process| change_pair(process, 3));
            one.join().unwrap();
            other.join().unwrap();
            let last = world.spawn(3, |process| {
                let seen: Vec<u64> = process.snapshot().into_values().collect();
                assert!(seen == [2, 2] || seen == [3, 3], "a mixture: {seen:?}");
                process.verify();
            });
            last.join().unwrap();
        });
    }
}
