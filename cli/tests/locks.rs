//! Locks from the shell: taken, waited for, given back, listed. Here the test is the process that owns them.

mod common;

use std::time::{Duration, Instant};

use common::{Background, World, eventually, json};
use serde_json::json as j;

fn code(world: &World, args: &[&str]) -> i32 {
    world.run(args).code
}

#[test]
fn scenario_23_a_lock_is_set_once_and_freed_any_number_of_times() {
    let world = World::new();
    for (verb, expected) in [("set", 0), ("set", 1), ("free", 0), ("free", 0), ("set", 0)] {
        let answer = world.run(&["lock", verb, "n"]);
        assert_eq!((answer.code, &*answer.out, &*answer.err), (expected, "", ""), "{verb}");
    }
    assert_eq!(code(&world, &["lock", "free", "n", "--strict"]), 0);
    assert_eq!(code(&world, &["lock", "free", "n", "--strict"]), 1);
}

#[test]
fn reading_and_freeing_without_a_store_find_nothing_and_create_nothing() {
    let world = World::new();
    assert_eq!(world.yes(&["lock", "free", "n"]), "");
    assert_eq!(code(&world, &["lock", "free", "n", "--strict"]), 1);
    assert_eq!(world.yes(&["lock", "wait", "n"]), "");
    assert_eq!(world.yes(&["lock", "status"]), "");
    assert_eq!(world.yes(&["lock", "status", "--json"]), "[]\n");
    assert_eq!(world.yes(&["leader", "status", "--json"]), "[]\n");
    assert_eq!(std::fs::read_dir(world.folder()).expect("a folder").count(), 0);
}

/// Somebody who waits, once it does.
fn waiter(world: &World, args: &[&str]) -> Background {
    let waiter = world.start(args);
    eventually("it waits", || world.locks().iter().any(|lock| lock["waiters"] == 1));
    waiter
}

#[test]
fn scenario_24_who_waits_has_the_lock_as_soon_as_it_is_freed() {
    let world = World::new();
    world.yes(&["lock", "set", "n"]);
    let mut second = waiter(&world, &["lock", "set", "n", "--wait", "--timeout", "10m", "--owner", "second"]);
    assert!(second.is_running());
    let freed = Instant::now();
    world.yes(&["lock", "free", "n"]);
    assert_eq!(second.end().code, 0);
    assert!(freed.elapsed() < Duration::from_secs(60), "nobody woke it");
    assert_eq!(world.locks()[0]["owner"]["label"], "second");
}

#[test]
fn scenario_25_a_limit_on_waiting_is_kept_and_tells_who_holds_the_lock() {
    let world = World::new();
    world.yes(&["lock", "set", "n", "--owner", "the first"]);
    let began = Instant::now();
    let answer = world.run(&["lock", "set", "n", "--wait", "--timeout", "700ms"]);
    assert_eq!((answer.code, &*answer.out), (1, ""));
    assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
    assert!(answer.err.starts_with("shmsync: lock \"n\": still held by the first for "), "{}", answer.err);
    for args in [&["lock", "set", "n", "--timeout", "0"][..], &["lock", "set", "n"]] {
        let answer = world.run(args);
        assert_eq!((answer.code, &*answer.out, &*answer.err), (1, "", ""), "{args:?}");
    }
    let answer = world.run(&["lock", "wait", "n", "--timeout", "50ms"]);
    assert!(answer.code == 1 && answer.err.contains("still held by the first"), "{answer:?}");
}

#[test]
fn scenario_26_of_two_who_try_at_once_one_wins_a_hundred_times() {
    let world = World::new();
    for round in 0..100 {
        let try_it = |owner: &str| world.start(&["lock", "set", "n", "--owner", owner]);
        let (one, other) = (try_it("one"), try_it("other"));
        let codes = (one.end().code, other.end().code);
        let winner = match codes {
            (0, 1) => "one",
            (1, 0) => "other",
            _ => panic!("round {round}: {codes:?}"),
        };
        world.yes(&["lock", "free", "n", "--strict", "--owner", winner]);
    }
    assert!(world.locks().is_empty());
}

#[test]
fn c8_of_three_hundred_who_try_at_once_one_wins_and_none_fails() {
    let world = World::new();
    let owner = |number: u32| format!("owner {number}");
    let tries: Vec<Background> =
        (0..300).map(|number| world.start(&["lock", "set", "n", "--owner", &owner(number)])).collect();
    let mut codes: Vec<i32> = tries.into_iter().map(|one| one.end().code).collect();
    codes.sort_unstable();
    assert!(codes[0] == 0 && codes[1..].iter().all(|&code| code == 1), "{codes:?}");
}

#[test]
fn scenario_28_each_lock_is_a_line_and_none_is_nothing() {
    let world = World::new();
    world.yes(&["lock", "set", "b", "--ttl", "1h"]);
    world.yes(&["lock", "set", "a", "--label", "nightly"]);
    let lines: Vec<String> = world.yes(&["lock", "status"]).lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].starts_with("NAME") && lines[1].starts_with("a ") && lines[2].starts_with("b "), "{lines:?}");
    assert!(lines[1].contains("nightly") && lines[2].contains("ttl, "), "{lines:?}");
    for name in ["a", "b"] {
        world.yes(&["lock", "free", name]);
    }
    assert_eq!(world.yes(&["lock", "status"]), "");
}

#[test]
fn c10_status_tells_owner_age_lifetime_and_waiters_in_the_documented_form() {
    let world = World::new();
    let token = world.yes(&["lock", "set", "n", "--print-token", "--ttl", "1h", "--label", "web"]);
    let _waiter = waiter(&world, &["lock", "set", "n", "--wait", "--owner", "next"]);
    let locks = world.locks();
    let [lock] = &locks[..] else { panic!("{locks:?}") };
    let keys: Vec<&String> = lock.as_object().expect("an object").keys().collect();
    let documented = ["name", "state", "owner", "token", "since", "age_s", "lifetime", "expires_in_s", "waiters"];
    assert_eq!(keys, documented);
    assert_eq!((&lock["name"], &lock["state"], &lock["waiters"]), (&j!("n"), &j!("held"), &j!(1)));
    assert_eq!((&lock["token"], &lock["lifetime"]), (&j!(token.trim()), &j!("ttl")));
    let owner = lock["owner"].as_object().expect("an object");
    assert_eq!(owner.keys().collect::<Vec<_>>(), ["pid", "host", "label", "command"]);
    assert_eq!((&owner["pid"], &owner["label"]), (&j!(std::process::id()), &j!("web")));
    let (age, left) = (lock["age_s"].as_f64().expect("a number"), lock["expires_in_s"].as_f64().expect("a number"));
    assert!((0.0..600.0).contains(&age) && (3_000.0..=3_600.0).contains(&left), "{lock}");
    let since = lock["since"].as_str().expect("a string");
    assert!(since.len() == 20 && since.starts_with("20") && since.ends_with('Z'), "{since}");
    assert_eq!(json(&world.yes(&["lock", "status", "other", "--json"])), j!([]));
    assert_eq!(json(&world.yes(&["lock", "status", "n", "--json"])).as_array().map(Vec::len), Some(1));
}

#[test]
fn scenario_29_a_lock_for_an_hour_is_still_held_after_a_short_wait() {
    let world = World::new();
    world.yes(&["lock", "set", "n", "--ttl", "1h"]);
    assert_eq!(code(&world, &["lock", "set", "n", "--timeout", "300ms"]), 1);
    assert_eq!(world.locks()[0]["state"], "held");
}

#[test]
fn scenario_30_a_lock_for_half_a_second_passes_to_who_waits() {
    let world = World::new();
    let began = Instant::now();
    world.yes(&["lock", "set", "n", "--ttl", "500ms", "--owner", "first"]);
    world.yes(&["lock", "set", "n", "--timeout", "2m", "--owner", "second"]);
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!(world.locks()[0]["owner"]["label"], "second");
    assert_eq!(code(&world, &["lock", "free", "n", "--strict", "--owner", "first"]), 1);
}

#[test]
fn a_token_or_force_frees_what_is_not_ones_own_and_another_owner_does_not() {
    let world = World::new();
    let token = world.yes(&["lock", "set", "n", "--owner", "a", "--print-token"]);
    assert_eq!(code(&world, &["lock", "free", "n"]), 0);
    assert_eq!(code(&world, &["lock", "free", "n", "--strict", "--owner", "b"]), 1);
    assert_eq!(code(&world, &["lock", "free", "n", "--strict", "--token", "7"]), 1);
    assert_eq!(world.locks().len(), 1);
    assert_eq!(code(&world, &["lock", "free", "n", "--strict", "--token", token.trim()]), 0);
    let said = json(&world.yes(&["lock", "set", "n", "--owner", "a", "--json"]));
    assert_eq!((&said["name"], &said["obtained"]), (&j!("n"), &j!(true)));
    let later: u64 = said["token"].as_str().expect("a string").parse().expect("a number");
    assert!(later > token.trim().parse().expect("a number"), "tokens grow");
    assert_eq!(code(&world, &["lock", "free", "n", "--strict", "--force"]), 0);
    assert_eq!(json(&world.yes(&["lock", "free", "n", "--force", "--json"])), j!({"name": "n", "freed": false}));
}

#[test]
fn the_owner_may_come_from_the_environment() {
    let world = World::new();
    let as_panel = |args: &[&str]| {
        let mut command = world.command(args);
        command.env("SHMSYNC_OWNER", "panel");
        common::answer(command).code
    };
    assert_eq!(as_panel(&["lock", "set", "pause"]), 0);
    assert_eq!(world.locks()[0]["owner"]["pid"], j!(null));
    assert_eq!(code(&world, &["lock", "free", "pause", "--strict"]), 1);
    assert_eq!(as_panel(&["lock", "free", "pause", "--strict"]), 0);
}

#[test]
fn what_is_held_for_at_least_a_time_keeps_others_out_though_it_was_freed() {
    let world = World::new();
    world.yes(&["lock", "set", "n", "--hold-at-least", "1h"]);
    world.yes(&["lock", "free", "n", "--strict"]);
    assert_eq!(code(&world, &["lock", "set", "n", "--owner", "other"]), 1);
    world.yes(&["lock", "free", "n", "--strict", "--force"]);
    assert_eq!(code(&world, &["lock", "set", "n", "--owner", "other"]), 0);
}

#[test]
fn those_who_share_do_so_and_keep_out_who_does_not() {
    let world = World::new();
    for owner in ["a", "b"] {
        world.yes(&["lock", "set", "n", "--shared", "--owner", owner]);
    }
    assert_eq!(world.locks().len(), 2);
    assert_eq!(code(&world, &["lock", "set", "n", "--owner", "c"]), 1);
    for owner in ["a", "b"] {
        world.yes(&["lock", "free", "n", "--strict", "--owner", owner]);
    }
    assert_eq!(code(&world, &["lock", "set", "n", "--owner", "c"]), 0);
}

#[test]
fn waiting_returns_when_the_lock_is_freed_and_takes_nothing() {
    let world = World::new();
    world.yes(&["lock", "set", "n"]);
    let mut waiting = world.start(&["lock", "wait", "n"]);
    assert_eq!(code(&world, &["lock", "wait", "n", "--timeout", "200ms"]), 1);
    assert!(waiting.is_running());
    world.yes(&["lock", "free", "n"]);
    assert_eq!(waiting.end().code, 0);
    assert!(world.locks().is_empty());
}

#[test]
fn retry_is_accepted_and_ignored() {
    let world = World::new();
    assert_eq!(code(&world, &["lock", "set", "n", "--wait", "--retry", "5"]), 0);
    assert_eq!(code(&world, &["lock", "set", "n", "--retry=5"]), 1);
    assert_eq!(code(&world, &["lock", "set", "n", "--retry"]), 1);
}

#[test]
fn locks_of_namespaces_and_values_of_the_same_name_are_others() {
    let world = World::new();
    world.yes(&["set", "n", "1"]);
    world.yes(&["lock", "set", "n"]);
    world.yes(&["--namespace", "other", "lock", "set", "n"]);
    assert_eq!(json(&world.yes(&["--namespace", "other", "lock", "status", "--json"]))[0]["name"], "n");
    assert_eq!(world.yes(&["get", "n"]), "1\n");
}

#[test]
fn ps_tells_who_holds_what_and_who_waits_for_what() {
    let world = World::new();
    world.yes(&["lock", "set", "n"]);
    let waiting = waiter(&world, &["lock", "set", "n", "--wait", "--owner", "next"]);
    let processes = json(&world.yes(&["ps", "--json"]));
    let processes = processes.as_array().expect("an array");
    let of = |pid: u32| processes.iter().find(|one| one["pid"] == pid).unwrap_or_else(|| panic!("{processes:?}"));
    let (holder, waiter) = (of(std::process::id()), &processes.iter().find(|one| one["waits"] != j!([])));
    assert_eq!((&holder["holds"][0]["kind"], &holder["holds"][0]["name"]), (&j!("lock"), &j!("n")));
    assert!(holder["holds"][0]["for_s"].is_number() && holder["alive"] == true, "{holder}");
    assert!(waiter.is_some_and(|waiter| waiter["waits"][0]["name"] == "n"), "{processes:?}");
    assert_eq!(of(waiting.pid())["command"].as_str().map(|command| command.contains("lock set")), Some(true));
    let table = world.yes(&["ps"]);
    assert!(table.lines().next().is_some_and(|line| line.contains("HOLDS") && line.contains("WAITS FOR")), "{table}");
}
