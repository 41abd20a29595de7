//! Waiting costs nothing and misses nothing.
#![cfg(target_os = "linux")]

mod common;

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use common::{Child, LONG, Place, assert_sound, hear, open, say};
use shmsync::{ChangeKind, Lifetime, Removed};

roles!(watch_three_keys, hold_two_entries, ping);

/// How often threads of this process went to sleep of their own accord.
fn voluntary_switches() -> u64 {
    let threads = fs::read_dir("/proc/self/task").expect("what the system knows of this process");
    let of = |thread: fs::DirEntry| {
        let status = fs::read_to_string(thread.path().join("status")).expect("a thread");
        let number = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        number.and_then(|number| number.trim().parse::<u64>().ok()).expect("a number")
    };
    threads.map(|thread| of(thread.expect("a thread"))).sum()
}

/// Watches three keys, idles for five seconds, counts, and tells of the next change.
fn watch_three_keys(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    let mut watch = store.watch_keys(&["a", "b", "c"]).expect("a watch");
    for _ in 0..3 {
        assert!(watch.next_timeout(LONG).expect("the state").expect("a state").initial);
    }
    say("watching");
    let before = voluntary_switches();
    let idle = watch.next_timeout(Duration::from_secs(5)).expect("five idle seconds");
    assert_eq!(idle, None);
    say(voluntary_switches() - before);
    let change = watch.next_timeout(LONG).expect("a change").expect("a change");
    say(format!("{} {:?}", change.key, change.value::<i32>().expect("a number")));
    hear();
}

/// Issue 2, part 7: a watcher on three keys makes at most 5 voluntary context switches in 5 idle seconds, and still
/// sees the next change: it is woken, it does not poll. The thread that keeps its time may make some, too.
#[test]
fn a_watcher_sleeps_while_nothing_happens_and_is_woken_by_the_next_change() {
    let place = Place::new();
    let store = place.open();
    for key in ["a", "b", "c"] {
        store.set(key, &0).unwrap();
    }
    let mut child = Child::on(&place, "watch_three_keys", &[]);
    child.expect("watching");
    let switches: u64 = child.answer().unwrap().parse().unwrap();
    assert!(switches <= 6, "{switches} voluntary switches in 5 idle seconds");
    thread::sleep(Duration::from_millis(50));
    let begun = Instant::now();
    store.set("b", &1).unwrap();
    child.expect("b Some(1)");
    println!("{switches} voluntary switches, told after {:?}", begun.elapsed());
    child.tell("end");
    child.finish();
    assert_sound(&store);
}

/// Has two entries for as long as it lives.
fn hold_two_entries(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    store.set_with("mine", &1, Lifetime::Process).expect("a set");
    store.set_with("p/mine", &1, Lifetime::Process).expect("a set");
    say("holding");
    hear();
}

/// Decision 12: the death of an owner is a change, told as such to watchers of its key and of a prefix.
#[test]
fn the_death_of_an_owner_is_told_to_watchers() {
    let place = Place::new();
    let store = place.open();
    let (mut watch, mut below) = (store.watch("mine").unwrap(), store.watch_prefix("p/").unwrap());
    for _ in 0..3 {
        let mut child = Child::on(&place, "hold_two_entries", &[]);
        child.expect("holding");
        assert!(matches!(watch.next_timeout(LONG).unwrap().unwrap().kind, ChangeKind::Set(_)));
        assert!(matches!(below.next_timeout(LONG).unwrap().unwrap().kind, ChangeKind::Set(_)));
        assert_eq!(watch.next_timeout(Duration::from_millis(50)).unwrap(), None);
        child.kill();
        assert_eq!(watch.next_timeout(LONG).unwrap().unwrap().kind, ChangeKind::Removed(Removed::OwnerDied));
        let change = below.next_timeout(LONG).unwrap().unwrap();
        assert_eq!((change.key.as_str(), change.kind), ("p/mine", ChangeKind::Removed(Removed::OwnerDied)));
    }
    assert_eq!(store.len().unwrap(), 0);
    assert_sound(&store);
}

/// Answers each new number with the same.
fn ping(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    let watch = store.watch("ping").expect("a watch");
    say("ready");
    for change in watch {
        let number = change.expect("a change").value::<u32>().expect("a number");
        store.set("pong", &number).expect("a set");
    }
}

/// Attack 48: two processes that wake each other never both sleep.
#[test]
fn attack_48_two_processes_wake_each_other_thousands_of_times() {
    let place = Place::new();
    let store = place.open();
    let mut child = Child::on(&place, "ping", &[]);
    child.expect("ready");
    let mut watch = store.watch("pong").unwrap();
    let mut slowest = Duration::ZERO;
    for number in 0..3_000_u32 {
        let begun = Instant::now();
        store.set("ping", &number).unwrap();
        while watch.next_timeout(LONG).unwrap().expect("an answer").value::<u32>().unwrap() != Some(number) {}
        slowest = slowest.max(begun.elapsed());
    }
    println!("the slowest of 3,000 rounds took {slowest:?}");
    child.kill();
    assert_sound(&store);
}
