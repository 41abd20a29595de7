//! Reading without a lock, while others write, reuse and grow.

use super::world::{Model, ONE_SHARD, Process, World};
use crate::{broken::Defect, storage::HASH_BITS};

/// A writer and a reader, and nothing else.
fn writer_and_reader(write: fn(&Process), read: fn(&Process)) -> impl Fn(&World) + Send + core::marker::Sync + 'static {
    move |world| {
        let writer = world.spawn(1, write);
        let reader = world.spawn(2, read);
        writer.join().unwrap();
        reader.join().unwrap();
    }
}

/// What is always there is always found, and never goes back to what it was before.
fn read_twice(process: &Process) {
    let first = process.get("a").expect("a is always there");
    let second = process.get("a").expect("a is always there");
    assert!(first <= second, "back in time: {first}, then {second}");
}

fn read_once(process: &Process) {
    process.get("a").expect("a is always there");
}

/// The second change fills the block again that the first one had put away.
fn overwrite_twice(process: &Process) {
    process.put("a", 2);
    process.put("a", 3);
}

fn one_key() -> Model {
    Model::new(ONE_SHARD, |process| process.put("a", 1))
}

/// Names of three keys whose search begins at different slots of an index of four, and of one that is not there.
fn names(process: &Process) -> [String; 4] {
    [0, 1, 2, 3].map(|start| {
        let begins = |name: &String| process.key(name).hash >> (HASH_BITS - 2) == start;
        (0..).map(|number| format!("n{number}")).find(begins).expect("there are many")
    })
}

/// An index of four slots that is full, so that the next new key makes it grow.
fn full_index(process: &Process) {
    names(process)[..3].iter().for_each(|name| process.put_words(name, 1, 4));
}

fn grow(process: &Process, words: usize) {
    process.put_words(&names(process)[3], 1, words);
}

#[test]
fn loom_16_a_value_that_is_overwritten_is_read_whole_and_never_goes_back() {
    one_key().holds(writer_and_reader(overwrite_twice, read_twice));
}

#[test]
fn loom_16_a_reader_that_believes_version_0_is_found() {
    one_key().finds(Some(Defect::VersionZeroRead), "torn", writer_and_reader(overwrite_twice, read_twice));
}

#[test]
fn loom_18_a_record_filled_without_a_fence_is_found() {
    one_key().finds(Some(Defect::RecordFilledUnfenced), "torn", writer_and_reader(overwrite_twice, read_twice));
}

/// The block of the old value becomes the record of another key.
fn give_the_block_to_another_key(process: &Process) {
    process.put("a", 2);
    process.put("b", 3);
}

#[test]
fn loom_15_a_record_that_becomes_another_keys_is_no_miss() {
    one_key().holds(writer_and_reader(give_the_block_to_another_key, read_twice));
}

#[test]
fn loom_15_a_reader_that_believes_a_mismatch_at_once_is_found() {
    one_key().finds(
        Some(Defect::MismatchBelieved),
        "always there",
        writer_and_reader(give_the_block_to_another_key, read_twice),
    );
}

/// The index grows; then the block of the old value is filled for the same key. Through the old index it is found
/// before it is committed: the slot there leads to it for ever.
fn grow_and_overwrite_twice(process: &Process) {
    let [_, name, ..] = names(process);
    grow(process, 4);
    process.put_words(&name, 2, 4);
    process.put_words(&name, 3, 4);
}

/// The writer dies right before its last commit, so nobody may ever see what it was about to write.
fn killed_before_the_last_commit() -> (Model, impl Fn(&World) + Send + core::marker::Sync + 'static) {
    let model = Model::new(ONE_SHARD, full_index);
    let commit = (0..).find(|stores| {
        let world = World::plain(model.capacity(), model.image());
        world.process(1).dying_at(*stores, grow_and_overwrite_twice);
        let reader = world.process(2);
        reader.get(&names(&reader)[1]) == Some(3)
    });
    let last = commit.expect("it commits at some store") - 1;
    (model, move |world| {
        let writer = world.spawn(1, move |process| assert!(process.dying_at(last, grow_and_overwrite_twice)));
        let reader = world.spawn(2, |process| {
            let seen = process.get(&names(process)[1]).expect("it is always there");
            assert!(seen <= 2, "read what was never committed");
        });
        writer.join().unwrap();
        reader.join().unwrap();
    })
}

#[test]
fn loom_14_nothing_uncommitted_is_read_through_a_superseded_index() {
    let (model, run) = killed_before_the_last_commit();
    model.holds(run);
}

#[test]
fn loom_14_a_reader_that_does_not_look_at_the_root_again_is_found() {
    let (model, run) = killed_before_the_last_commit();
    model.finds(Some(Defect::RootNotReread), "never committed", run);
}

/// The old index has become a record before the operation that made it grow is over.
fn grow_and_reuse_the_old_index(process: &Process) {
    grow(process, 0);
}

fn read_all(process: &Process) {
    for name in &names(process)[..3] {
        process.get(name).expect("it is always there");
    }
}

#[test]
fn loom_18_an_old_index_that_becomes_a_record_is_no_miss() {
    Model::new(ONE_SHARD, full_index).holds(writer_and_reader(grow_and_reuse_the_old_index, read_all));
}

#[test]
fn loom_18_an_old_index_reused_without_a_fence_is_found() {
    let model = Model::new(ONE_SHARD, full_index);
    let run = writer_and_reader(grow_and_reuse_the_old_index, read_all);
    model.finds(Some(Defect::IndexReusedUnfenced), "always there", run);
}

/// The block of the old value, just as large as the new index, becomes that index.
fn turn_the_old_record_into_an_index(process: &Process) {
    process.put_words(&names(process)[0], 2, 4);
    grow(process, 4);
}

#[test]
fn loom_18_an_old_record_that_becomes_an_index_is_not_read() {
    Model::new(ONE_SHARD, full_index).holds(writer_and_reader(turn_the_old_record_into_an_index, read_all));
}

#[test]
fn loom_18_an_old_record_cleared_without_a_fence_is_found() {
    let model = Model::new(ONE_SHARD, full_index);
    let run = writer_and_reader(turn_the_old_record_into_an_index, read_all);
    model.finds(Some(Defect::BlockClearedUnfenced), "torn", run);
}

/// Two keys whose search begins at the same slot, one behind the other.
fn neighbours(process: &Process) {
    process.put("a", 1);
    let start = |name: &str| process.storage.shard(0).root(crate::driver::Space::Values).start(process.key(name).hash);
    let name = (0..).map(|number| format!("x{number}")).find(|name| start(name) == start("a")).expect("there are many");
    process.remove("a");
    process.put(&name, 1);
    process.put("a", 1);
}

fn remove_the_neighbour(process: &Process) {
    let others = (0..).map(|number| format!("x{number}"));
    let name = others.into_iter().find(|name| process.get(name).is_some()).expect("it is there");
    process.remove(&name);
}

#[test]
fn loom_17_a_key_behind_a_removed_one_is_found_all_the_time() {
    Model::new(ONE_SHARD, neighbours).holds(writer_and_reader(remove_the_neighbour, read_once));
}

#[test]
fn loom_17_a_removal_that_moves_slots_is_found() {
    Model::new(ONE_SHARD, neighbours).finds(
        Some(Defect::SlotMoved),
        "always there",
        writer_and_reader(remove_the_neighbour, read_once),
    );
}

/// What was removed and put again was absent in between; what was there all the time is not lost by a walk.
#[test]
fn loom_a_snapshot_during_growth_has_everything() {
    Model::new(ONE_SHARD, full_index).holds(writer_and_reader(
        |process| grow(process, 4),
        |process| {
            let keys = process.snapshot();
            assert!(names(process)[..3].iter().all(|name| keys.get(name) == Some(&1)), "{keys:?}");
        },
    ));
}
