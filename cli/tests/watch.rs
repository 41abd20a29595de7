//! Following changes from the shell.

mod common;

use common::{World, json};
use serde_json::json as j;

#[test]
fn a_watch_tells_what_is_there_and_then_each_change() {
    let world = World::new();
    world.yes(&["set", "k", "1"]);
    let mut watch = world.start(&["watch", "k"]);
    let first = json(&watch.line());
    assert_eq!(
        (&first["key"], &first["kind"], &first["value"], &first["initial"]),
        (&j!("k"), &j!("set"), &j!(1), &j!(true))
    );
    assert!(first["revision"].is_string());
    world.yes(&["set", "k", "two"]);
    let second = json(&watch.line());
    assert_eq!((&second["value"], &second["initial"]), (&j!("two"), &j!(false)));
    world.yes(&["remove", "k"]);
    let third = json(&watch.line());
    assert_eq!((&third["kind"], &third["reason"]), (&j!("removed"), &j!("deleted")));
    world.yes(&["set", "k", "3", "--ttl", "200ms"]);
    assert_eq!(json(&watch.line())["value"], 3);
    assert_eq!(json(&watch.line())["reason"], "expired");
}

#[test]
fn once_ends_with_the_first_change_that_is_news() {
    let world = World::new();
    world.yes(&["set", "k", "1"]);
    let mut watch = world.start(&["watch", "k", "--once"]);
    assert_eq!(json(&watch.line())["initial"], true);
    assert!(watch.is_running());
    world.yes(&["set", "k", "2"]);
    let answer = watch.end();
    assert_eq!((answer.code, &json(&answer.out)["value"]), (0, &j!(2)));
}

#[test]
fn when_the_time_is_up_the_exit_code_is_1() {
    let world = World::new();
    let answer = world.run(&["watch", "k", "--once", "--timeout", "200ms"]);
    assert_eq!((answer.code, answer.out.as_str(), answer.err.as_str()), (1, "", ""));
}

#[test]
fn prefixes_and_keys_are_followed_together_and_a_missing_store_is_created() {
    let world = World::new();
    let mut watch = world.start(&["watch", "single", "--prefix", "a/", "--prefix", "b/"]);
    common::eventually("the store is created", || world.path("store").exists());
    // Whatever the watch has not seen begin is told as its first state.
    world.yes(&["set", "other", "0"]);
    let mut seen = Vec::new();
    for key in ["a/1", "b/1", "single"] {
        world.yes(&["set", key, "1"]);
        seen.push(json(&watch.line())["key"].as_str().expect("a key").to_owned());
    }
    assert_eq!(seen, ["a/1", "b/1", "single"]);
}

#[test]
fn the_death_of_an_owner_is_told() {
    let world = World::new();
    let store = world.open();
    store.set_with("job", &1, shmsync::Lifetime::Process).expect("set");
    let mut watch = world.start(&["watch", "job"]);
    assert_eq!(json(&watch.line())["initial"], true);
    drop(store);
    assert_eq!(json(&watch.line())["reason"], "owner_died");
}

#[test]
fn a_destroyed_store_ends_the_watch_with_an_error() {
    let world = World::new();
    world.yes(&["set", "k", "1"]);
    let mut watch = world.start(&["watch", "k"]);
    watch.line();
    world.yes(&["destroy"]);
    let answer = watch.end();
    assert_eq!(answer.code, 2);
    assert!(answer.err.contains(&world.store()) && answer.err.lines().count() == 1, "{answer:?}");
}
