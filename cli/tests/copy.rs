//! `copy`: values move from store to store.

mod common;

use std::time::Duration;

use common::{Answer, World, answer, json};
use serde_json::json as j;
use shmsync::{EncodedEntry, Lifetime, Sync, Value};

fn copy(world: &World, words: &[&str]) -> Answer {
    answer(world.bare(&[&["copy"], words].concat()))
}

fn path(world: &World, name: &str) -> String {
    world.path(name).to_str().expect("UTF-8").to_owned()
}

fn open(world: &World, name: &str) -> Sync {
    Sync::open(world.path(name)).expect("a store")
}

fn entries(store: &Sync) -> Vec<EncodedEntry> {
    store.read_all_encoded("").expect("entries")
}

fn fill(store: &Sync) {
    store.set("text", "ü").expect("set");
    store.set("nan", &f64::NAN).expect("set");
    store.set_bytes("job/bytes", &[0, 255]).expect("set");
    store.integer("job/done").set(-5).expect("set");
    store.set("map", &Value::Map(vec![(1.into(), Value::Nil), ("1".into(), Value::F32(0.5))])).expect("set");
}

#[test]
fn what_is_copied_is_what_was_there() {
    let world = World::new();
    let (a, b) = (open(&world, "a"), open(&world, "b"));
    fill(&a);
    b.set("old", &1).expect("set");
    let done = copy(&world, &[&path(&world, "a"), &path(&world, "b")]);
    assert_eq!((done.code, &*done.out, &*done.err), (0, "", ""));
    assert_eq!(entries(&a), entries(&b));
    assert_eq!(b.integer("job/done").increment(1).expect("still a number"), -4);
}

#[test]
fn only_what_begins_so_is_copied_and_replaced() {
    let world = World::new();
    let (a, b) = (open(&world, "a"), open(&world, "b"));
    fill(&a);
    b.set("old", &1).expect("set");
    b.set("job/old", &1).expect("set");
    let done = copy(&world, &[&path(&world, "a"), &path(&world, "b"), "--prefix", "job/", "--json"]);
    assert_eq!(json(&done.out), j!({ "copied": 2, "removed": null, "at_once": true, "left": [] }), "{done:?}");
    let keys: Vec<String> = entries(&b).into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, ["job/bytes", "job/done", "old"]);
}

#[test]
fn a_ttl_goes_on_and_what_belongs_to_processes_stays_and_is_told() {
    let world = World::new();
    let (a, b) = (open(&world, "a"), open(&world, "b"));
    a.set_with("short", &1, Lifetime::Ttl(Duration::from_secs(3_600))).expect("set");
    a.set_with("mine", &1, Lifetime::Process).expect("set");
    let _guard = a.lock("deploy").expect("a lock").acquire().expect("held");
    let done = copy(&world, &[&path(&world, "a"), &path(&world, "b")]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.err.contains("1 entries that end with their process, 1 locks and leaders"), "{done:?}");
    let copied = entries(&b);
    assert!(copied.len() == 1 && copied[0].key == "short", "{copied:?}");
    assert!(matches!(copied[0].lifetime, Lifetime::Ttl(left) if left > Duration::from_secs(3_000)), "{copied:?}");
}

#[test]
fn a_copy_that_cannot_be_made_changes_nothing() {
    let world = World::new();
    let (a, b) = (path(&world, "a"), path(&world, "b"));
    let absent = copy(&world, &[&a, &b]);
    assert!(absent.code == 1 && absent.err.contains(&a) && !world.path("b").exists(), "{absent:?}");
    fill(&open(&world, "a"));
    let same = copy(&world, &[&a, &a]);
    assert!(same.code == 2 && same.err.contains("nothing to copy"), "{same:?}");
    let flag = answer(world.bare(&["--store", &a, "copy", &a, &b]));
    assert!(flag.code == 2 && flag.err.contains("leave out --store"), "{flag:?}");
    let small = Sync::options().capacity(256 << 10).open(world.path("small")).expect("a store");
    small.set("kept", &1).expect("set");
    open(&world, "a").set_bytes("large", &vec![7; 1 << 20]).expect("set");
    let full = copy(&world, &[&a, &path(&world, "small")]);
    assert!(full.code == 2 && full.err.lines().count() == 1, "{full:?}");
    assert_eq!(entries(&small).len(), 1);
    world.write("nonsense", "not a store, but long enough to be taken for one ".repeat(500));
    let nonsense = copy(&world, &[&a, &path(&world, "nonsense")]);
    assert!(nonsense.code == 2 && nonsense.err.contains("nonsense"), "{nonsense:?}");
}
