//! Many processes on one store.
#![cfg(target_os = "linux")]

mod common;

use std::{collections::BTreeSet, path::Path};

use common::{Child, Place, assert_sound, hear, open, parsed, say};

roles!(increment_when_told, set_own_keys, add_under_exclusive, add_by_update, read_and_leave);

/// Increments once per line heard and says the result.
fn increment_when_told(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    say("ready");
    while hear() == "go" {
        say(store.integer("race").increment(1).expect("an increment"));
    }
}

/// A8, scenario 11, attack 26: also while the integer is being created, all results are distinct.
#[test]
fn a8_sixteen_processes_race_to_create_one_integer() {
    let place = Place::new();
    let store = place.open();
    let mut children: Vec<Child> = (0..16).map(|_| Child::on(&place, "increment_when_told", &[])).collect();
    children.iter_mut().for_each(|child| child.expect("ready"));
    for round in 0..80 {
        children.iter_mut().for_each(|child| child.tell("go"));
        let results: BTreeSet<i64> =
            children.iter_mut().map(|child| child.answer().expect("a result").parse().expect("a number")).collect();
        assert_eq!(results, (1..=16).collect(), "round {round}");
        assert_eq!(store.integer("race").refresh().unwrap(), 16);
        assert!(store.integer("race").remove().unwrap());
    }
    for mut child in children {
        child.tell("end");
        child.finish();
    }
    assert_sound(&store);
}

/// Sets 100 keys of its own and sees them.
fn set_own_keys(arguments: &[String]) {
    let (store, process): (_, u32) = (open(Path::new(&arguments[0])), parsed(arguments, 1));
    say("ready");
    hear();
    for number in 0..100_u32 {
        store.set(&format!("{process}/{number}"), &(process, number)).expect("a set");
    }
    for number in 0..100_u32 {
        assert_eq!(store.get(&format!("{process}/{number}")).expect("a get"), Some((process, number)));
    }
}

/// B14: 150 processes at once, each with 100 keys of its own.
#[test]
fn b14_a_hundred_and_fifty_processes_set_a_hundred_keys_each() {
    let place = Place::new();
    let store = place.open();
    let mut children: Vec<Child> =
        (0..150).map(|number| Child::on(&place, "set_own_keys", &[&number.to_string()])).collect();
    children.iter_mut().for_each(|child| child.expect("ready"));
    assert_eq!(store.participants().unwrap().iter().filter(|participant| participant.alive).count(), 151);
    children.iter_mut().for_each(|child| child.tell("go"));
    children.into_iter().for_each(Child::finish);
    assert_eq!(store.len().unwrap(), 15_000);
    for (key, (process, number)) in store.read_all::<(u32, u32)>("").unwrap() {
        assert_eq!(key, format!("{process}/{number}"));
    }
    assert_eq!(store.participants().unwrap().iter().filter(|participant| participant.alive).count(), 1);
    assert_sound(&store);
}

fn add_under_exclusive(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    hear();
    for _ in 0..100 {
        let exclusive = store.exclusive().expect("exclusive access");
        let n = exclusive.get_or("n", 0).expect("a get");
        exclusive.set("n", &(n + 1)).expect("a set");
    }
}

fn add_by_update(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    hear();
    for _ in 0..100 {
        store.update("n", |n: Option<i32>| Some(n.unwrap_or(0) + 1)).expect("an update");
    }
}

fn eight_times_a_hundred(role: &str) {
    let place = Place::new();
    let store = place.open();
    let mut children: Vec<Child> = (0..8).map(|_| Child::on(&place, role, &[])).collect();
    children.iter_mut().for_each(|child| child.tell("go"));
    children.into_iter().for_each(Child::finish);
    assert_eq!(store.get::<i32>("n").unwrap(), Some(800));
    assert_sound(&store);
}

/// B8: 8 processes × 100 read-modify-writes under exclusive access are 800.
#[test]
fn b8_eight_processes_read_and_write_under_exclusive_access() {
    eight_times_a_hundred("add_under_exclusive");
}

/// The same without exclusive access, by `update`.
#[test]
fn eight_processes_update_one_key_a_hundred_times_each() {
    eight_times_a_hundred("add_by_update");
}

/// Reads what the parent set, sets something, leaves.
fn read_and_leave(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    assert_eq!(store.get::<String>("from the parent").expect("a get").as_deref(), Some("hello"));
    store.set("from the child", &arguments[1]).expect("a set");
    store.integer("visits").increment(1).expect("an increment");
}

/// B1: what one process writes is what every other reads, in whatever order they come and go.
#[test]
fn b1_every_process_sees_the_last_write() {
    let place = Place::new();
    let store = place.open();
    store.set("from the parent", "hello").unwrap();
    for visit in 1..=20_i64 {
        Child::on(&place, "read_and_leave", &[&format!("visit {visit}")]).finish();
        assert_eq!(store.get::<String>("from the child").unwrap(), Some(format!("visit {visit}")));
        assert_eq!(store.integer("visits").refresh().unwrap(), visit);
    }
    // The store outlives everybody.
    drop(store);
    let store = place.open();
    assert_eq!(store.len().unwrap(), 3);
    assert_sound(&store);
}
