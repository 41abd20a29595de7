//! Clocks that jump: real time set by somebody, and the time that a machine slept.
//!
//! Neither can be done to the machine that tests run on, so both are done to what this thread reads.

use std::time::Duration;

use crate::{
    Lifetime, Options, Sync,
    sys::{
        clock::{Steps, step_clocks_for_tests},
        testing::World,
    },
};

const HOUR: i64 = 3600 * 1_000_000_000;

fn options() -> Options {
    Sync::options().capacity(1 << 20).liveness_thread(false)
}

fn hours(hours: u64) -> Lifetime {
    Lifetime::Ttl(Duration::from_secs(3600 * hours))
}

fn assert_sound(store: &Sync) {
    let problems = store.verify().unwrap().problems;
    assert!(problems.is_empty(), "{problems:#?}");
}

/// Attack 42: no deadline is kept in real time, and revisions only begin with it.
#[test]
fn attack_42_real_time_set_back_or_forward_changes_no_deadline_and_no_order() {
    let world = World::new();
    let path = world.folder.path().join("store");
    let store = options().open(&path).unwrap();
    store.set_with("an hour", &1, hours(1)).unwrap();
    store.set_with("short", &1, Lifetime::Ttl(Duration::from_millis(1))).unwrap();
    let mut last = store.set("a", &0).unwrap();
    for realtime in [-HOUR, 0, 9000 * HOUR, -400_000 * HOUR, HOUR, i64::MIN] {
        step_clocks_for_tests(Steps { realtime, boottime: 0 });
        let next = store.set("a", &realtime).unwrap();
        assert!(next > last, "{realtime}: a revision goes back");
        last = next;
        // Who comes now and who was there see the same.
        let other = options().open(&path).unwrap();
        for store in [&store, &other] {
            assert_eq!(store.get::<i64>("a").unwrap(), Some(realtime));
            assert!(store.contains("an hour").unwrap(), "{realtime}: a deadline came too early");
        }
        let next = other.set("a", &realtime).unwrap();
        assert!(next > last, "{realtime}: a revision goes back for a newcomer");
        last = next;
        assert_sound(&store);
    }
    std::thread::sleep(Duration::from_millis(2));
    assert!(!store.contains("short").unwrap(), "a deadline never comes");
    step_clocks_for_tests(Steps::default());
}

/// Attack 43, promise of tokens: a store made anew goes on above the old one, unless real time itself was set back.
#[test]
fn attack_43_a_store_made_anew_later_has_higher_revisions() {
    let world = World::new();
    let path = world.folder.path().join("store");
    let mut last = None;
    for realtime in [0, HOUR, 24 * HOUR] {
        step_clocks_for_tests(Steps { realtime, boottime: 0 });
        let store = options().open(&path).unwrap();
        let first = store.set("a", &1).unwrap();
        assert!(last < Some(first), "after {realtime} ns");
        last = Some(first);
        store.destroy().unwrap();
    }
    step_clocks_for_tests(Steps::default());
}

/// Attack 42: while the machine sleeps nobody runs, and CLOCK_BOOTTIME goes on. Deadlines are past at once; holders, who
/// slept too, are still there.
#[test]
fn attack_42_what_slept_through_a_deadline_finds_it_past() {
    let world = World::new();
    let path = world.folder.path().join("store");
    let store = options().open(&path).unwrap();
    store.set_with("one hour", &1, hours(1)).unwrap();
    store.set_with("three hours", &1, hours(3)).unwrap();
    store.set_with("mine", &1, Lifetime::Process).unwrap();
    store.set("for ever", &1).unwrap();
    let inside = store.exclusive().unwrap();
    step_clocks_for_tests(Steps { boottime: 2 * HOUR, realtime: 2 * HOUR });
    inside.set("inside", &1).unwrap();
    let other = std::thread::spawn(move || {
        step_clocks_for_tests(Steps { boottime: 2 * HOUR, realtime: 2 * HOUR });
        options().open(&path).unwrap().try_exclusive().unwrap().is_some()
    });
    assert!(!other.join().unwrap(), "who slept is taken for dead");
    drop(inside);
    let keys: Vec<String> = store.keys("").unwrap().collect();
    assert_eq!(keys, ["for ever", "inside", "mine", "three hours"]);
    // A lifetime that begins now is as long as ever.
    store.set_with("one hour", &2, hours(1)).unwrap();
    step_clocks_for_tests(Steps { boottime: 2 * HOUR + HOUR / 2, realtime: 0 });
    assert_eq!(store.get::<u8>("one hour").unwrap(), Some(2));
    step_clocks_for_tests(Steps { boottime: 4 * HOUR, realtime: 0 });
    let left: Vec<String> = store.keys("").unwrap().collect();
    assert_eq!(left, ["for ever", "inside", "mine"]);
    assert_sound(&store);
    step_clocks_for_tests(Steps::default());
}
