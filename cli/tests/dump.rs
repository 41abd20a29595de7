//! Copies of a store.

mod common;

use std::time::Duration;

use common::{World, json};
use serde_json::json as j;
use shmsync::{Lifetime, Value};

fn fill(world: &World) {
    let store = world.open();
    store.set("int", &5).expect("set");
    store.set("nan", &f64::NAN).expect("set");
    store.set_bytes("bytes", &[0, 255]).expect("set");
    store.set("map", &Value::Map(vec![(1.into(), Value::Nil), ("1".into(), Value::F32(0.5))])).expect("set");
    store.set_with("ttl", "short", Lifetime::Ttl(Duration::from_secs(3_600))).expect("set");
}

// row B6
#[test]
fn a_dump_in_messagepack_loses_nothing() {
    let (from, to) = (World::new(), World::new());
    fill(&from);
    let file = from.path("copy");
    from.yes(&["dump", "--format", "msgpack", "--output", file.to_str().expect("UTF-8")]);
    to.yes(&["set", "old", "1"]);
    to.yes(&["load", file.to_str().expect("UTF-8")]);
    let entries = |world: &World| world.open().read_all_encoded("").expect("read");
    let (before, after) = (entries(&from), entries(&to));
    assert_eq!(before.len(), 5);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&before.key, &before.value), (&after.key, &after.value));
        match (before.lifetime, after.lifetime) {
            (Lifetime::Ttl(before), Lifetime::Ttl(after)) => {
                assert!(before.abs_diff(after) < Duration::from_secs(60) && after > Duration::from_secs(3_000));
            }
            (before, after) => assert_eq!(before, after),
        }
    }
    assert_eq!(before.len(), after.len());
}

// row B6
#[test]
fn a_dump_in_json_comes_back_as_it_was() {
    let (from, to) = (World::new(), World::new());
    fill(&from);
    let dump = from.yes(&["dump"]);
    assert_eq!(json(&dump)["bytes"], j!({ "$bytes": "AP8=" }));
    assert_eq!(json(&dump)["nan"], j!({ "$f64": "nan" }));
    assert_eq!(to.run_with_input(&["load", "-"], dump.as_bytes()).code, 0);
    assert_eq!(to.yes(&["dump"]), dump);
    assert_eq!(from.yes(&["dump", "i"]), "{\n  \"int\": 5\n}\n");
}

// row B11
#[test]
fn a_load_that_fails_changes_nothing() {
    let world = World::new();
    world.yes(&["set", "k", "1"]);
    let inputs: [&[u8]; 6] =
        [b"{\"a\": 1", b"[]", b"", b"{\"\": 1}", b"{\"a\": {\"$bytes\": 1}}", b"\x82\xacshmsync_dump\x01"];
    for input in inputs {
        let answer = world.run_with_input(&["load", "-"], input);
        assert!(answer.code == 2 && answer.err.lines().count() == 1, "{input:?}: {answer:?}");
        assert_eq!(world.yes(&["dump"]), "{\n  \"k\": 1\n}\n", "{input:?}");
    }
    let missing = world.run(&["load", "/nowhere/file"]);
    assert!(missing.code == 2 && missing.err.contains("/nowhere/file"), "{missing:?}");
}

#[test]
fn merging_keeps_other_keys_and_a_namespace_only_its_own_are_replaced() {
    let world = World::new();
    world.yes(&["set", "a", "1"]);
    world.yes(&["set", "ns/b", "1"]);
    assert_eq!(world.run_with_input(&["load", "--merge", "-"], b"{\"c\": 3}").code, 0);
    assert_eq!(world.yes(&["keys"]), "a\nc\nns/b\n");
    assert_eq!(world.run_with_input(&["--namespace", "ns", "load", "-"], b"{\"d\": 4}").code, 0);
    assert_eq!(world.yes(&["keys"]), "a\nc\nns/d\n");
    assert_eq!(world.run_with_input(&["load", "-"], b"{}").code, 0);
    assert_eq!(world.yes(&["keys"]), "");
}

#[test]
fn thousands_of_entries_are_merged() {
    let world = World::new();
    let text: Vec<String> = (0..2_500).map(|number| format!("\"k{number:05}\": {number}")).collect();
    let text = format!("{{{}}}", text.join(","));
    let answer = world.run_with_input(&["load", "--merge", "-", "--json"], text.as_bytes());
    assert_eq!(json(&answer.out), j!({ "loaded": 2_500 }));
    assert_eq!(world.yes(&["keys"]).lines().count(), 2_500);
}

#[test]
fn entries_of_a_process_are_not_brought_back() {
    let world = World::new();
    let store = world.open();
    store.set_with("mine", &1, Lifetime::Process).expect("set");
    store.set("all", &1).expect("set");
    let file = world.path("copy");
    world.yes(&["dump", "--format", "msgpack", "-o", file.to_str().expect("UTF-8")]);
    drop(store);
    let answer = world.run(&["load", file.to_str().expect("UTF-8"), "-v"]);
    assert!(answer.code == 0 && answer.err.contains("left out 1"), "{answer:?}");
    assert_eq!(world.yes(&["keys"]), "all\n");
}
