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
use shmsync::{ChangeKind, ErrorKind, Lifetime, Removed};

roles!(watch_three_keys, hold_two_entries, ping);

/// How often threads of a process went to sleep of their own accord.
fn voluntary_switches(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("what the system knows of the process");
    let of = |thread: fs::DirEntry| {
        let status = fs::read_to_string(thread.path().join("status")).expect("a thread");
        let number = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        number.and_then(|number| number.trim().parse::<u64>().ok()).expect("a number")
    };
    threads.map(|thread| of(thread.expect("a thread"))).sum()
}

/// Watches three keys, and tells of each change.
fn watch_three_keys(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    let mut watch = store.watch_keys(&["a", "b", "c"]).expect("a watch");
    for _ in 0..3 {
        assert!(watch.next_timeout(LONG).expect("the state").expect("a state").initial);
    }
    say("watching");
    let change = watch.next_timeout(LONG).expect("a change").expect("a change");
    say(format!("{} {:?}", change.key, change.value::<i32>().expect("a number")));
    hear();
}

/// Who watches a prefix sleeps for two seconds at most; it is woken by the end of its store, and does not find out then.
#[test]
fn a_watcher_of_a_prefix_is_woken_when_its_store_is_destroyed() {
    let is_told_early = || {
        let place = Place::new();
        let store = place.open();
        let mut watch = store.watch_prefix("jobs/").unwrap();
        let told = thread::spawn(move || watch.next_timeout(LONG).map(drop).unwrap_err().kind());
        // It sleeps by then.
        thread::sleep(Duration::from_millis(200));
        let begun = Instant::now();
        store.destroy().unwrap();
        assert_eq!(told.join().unwrap(), ErrorKind::Gone);
        begun.elapsed() < Duration::from_secs(1)
    };
    // Once is enough: a busy machine may be late, but nothing else wakes it that early.
    assert!((0..5).any(|_| is_told_early()), "it finds out by looking");
}

/// Issue 2, part 7: a watcher on three keys makes at most 5 voluntary context switches in 5 idle seconds, and still
/// sees the next change: it is woken, it does not poll. All threads count, also the one that keeps its time.
#[test]
fn a_watcher_sleeps_while_nothing_happens_and_is_woken_by_the_next_change() {
    let place = Place::new();
    let store = place.open();
    for key in ["a", "b", "c"] {
        store.set(key, &0).unwrap();
    }
    let mut child = Child::on(&place, "watch_three_keys", &[]);
    child.expect("watching");
    // To begin is not to idle: threads that have just been started may wait for the kernel's grace periods (membarrier).
    thread::sleep(Duration::from_secs(3));
    let before = voluntary_switches(child.pid());
    thread::sleep(Duration::from_secs(5));
    let switches = voluntary_switches(child.pid()) - before;
    assert!(switches <= 5, "{switches} voluntary switches in 5 idle seconds");
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
