//! `once`: at most once in a while, whoever calls.

mod common;

use std::fs;

use common::{World, eventually, json};

/// A window that no test sees the end of.
const CENTURY: &str = "36500d";

fn lines(world: &World) -> usize {
    fs::read_to_string(world.path("ran")).unwrap_or_default().lines().count()
}

/// Calls it with a program that notes that it ran.
fn once(world: &World, flags: &[&str], status: u8) -> i32 {
    let script = format!("echo x >> ran; exit {status}");
    let answer = world.run(&[&["once", "job"], flags, &["--", "sh", "-c", &script]].concat());
    assert_eq!((&*answer.out, &*answer.err), ("", ""), "{flags:?}");
    answer.code
}

#[test]
fn c12_who_comes_later_in_the_window_skips_silently() {
    for flags in [["--every", "1h"], ["--window", CENTURY]] {
        let world = World::new();
        assert_eq!(once(&world, &flags, 0), 0);
        assert_eq!(once(&world, &flags, 0), 0);
        assert_eq!(once(&world, &[&flags[..], &["-E", "75"]].concat(), 0), 75);
        assert_eq!(lines(&world), 1, "{flags:?}");
        assert_eq!(world.locks()[0]["name"], "once/job");
        world.yes(&["lock", "free", "once/job", "--force", "--strict"]);
        assert_eq!(once(&world, &flags, 0), 0);
        assert_eq!(lines(&world), 2, "{flags:?}");
    }
}

#[test]
fn a_failing_program_uses_the_window_up_unless_it_is_to_be_tried_again() {
    let world = World::new();
    assert_eq!(once(&world, &["--every", "1h", "--retry-failed"], 3), 3);
    assert_eq!(once(&world, &["--every", "1h"], 4), 4);
    assert_eq!(once(&world, &["--every", "1h", "--retry-failed"], 0), 0);
    assert_eq!(lines(&world), 2);
}

#[test]
fn of_many_instances_one_runs_it() {
    let world = World::new();
    let script = "echo x >> ran; sleep 0.2";
    let start = |_| world.start(&["once", "job", "--window", CENTURY, "--", "sh", "-c", script]);
    let instances: Vec<_> = (0..20).map(start).collect();
    assert!(instances.into_iter().all(|instance| instance.end().code == 0));
    assert_eq!(lines(&world), 1);
}

#[test]
fn while_it_runs_elsewhere_it_is_skipped_though_the_time_is_over() {
    let world = World::new();
    let mut running = world.start(&["once", "job", "--every", "1ms", "--", "sh", "-c", "echo ready; exec sleep 600"]);
    assert_eq!(running.line(), "ready");
    assert_eq!(once(&world, &["--every", "1ms", "-E", "75"], 0), 75);
    running.signal("TERM");
    assert_eq!(running.end().code, 143);
    assert_eq!(once(&world, &["--every", "1ms", "-E", "75"], 0), 0);
}

#[test]
fn the_next_window_runs_again() {
    let world = World::new();
    eventually("it ran three times", || {
        once(&world, &["--window", "200ms"], 0);
        lines(&world) >= 3
    });
}

#[test]
fn a_program_that_never_began_uses_nothing_up() {
    let world = World::new();
    let answer = world.run(&["once", "job", "--every", "1h", "--", "./nowhere"]);
    assert!(answer.code == 127 && answer.err.contains("./nowhere"), "{answer:?}");
    assert_eq!(once(&world, &["--every", "1h", "-E", "75"], 0), 0);
    for flags in [&["--every", "0"][..], &[], &["--every", "1h", "--window", "1h"]] {
        let answer = world.run(&[&["once", "job"], flags, &["--", "true"]].concat());
        assert!(answer.code == 125 && answer.err.lines().count() == 1, "{answer:?}");
    }
}

#[test]
fn a_killed_wrapper_uses_the_window_up() {
    let world = World::new();
    let mut running = world.start(&["once", "job", "--every", "1h", "--", "sh", "-c", "echo $$; exec sleep 600"]);
    let program = running.line();
    running.signal("KILL");
    drop(running);
    common::signal(&program, "KILL");
    assert_eq!(once(&world, &["--every", "1h", "-E", "75"], 0), 75);
    assert_eq!(json(&world.yes(&["lock", "status", "--json"])).as_array().map(Vec::len), Some(1));
}
