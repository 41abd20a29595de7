//! Exclusive access between processes.
#![cfg(target_os = "linux")]

mod common;

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use common::{Child, LONG, Place, assert_kind, assert_sound, hear, open, options, say};
use shmsync::ErrorKind;

roles!(hold, write_late, keep_writing);

/// Holds exclusive access until told to end.
fn hold(arguments: &[String]) {
    let store = options().label("the holder").open(Path::new(&arguments[0])).expect("a store");
    let exclusive = store.exclusive().expect("exclusive access");
    exclusive.set("inside", &true).expect("a set");
    say("holding");
    hear();
    drop(exclusive);
    say("open");
    hear();
}

fn holder(place: &Place) -> Child {
    let mut child = Child::on(place, "hold", &[]);
    child.expect("holding");
    child
}

/// Scenario 19, B7, B10: who waits with a limit is told so after it, with the holder's name; the holder can release at
/// once all the same.
#[test]
fn scenario_19_a_limited_reader_is_still_locked_after_a_second() {
    let place = Place::new();
    let limit = Duration::from_secs(1);
    let mut child = holder(&place);
    let store = options().access_limit(limit).open(place.path()).unwrap();
    let begun = Instant::now();
    let error = assert_kind(store.get::<bool>("inside"), ErrorKind::Locked, &child.pid().to_string());
    assert!(begun.elapsed() >= limit, "it gives up after {:?}", begun.elapsed());
    let text = error.to_string();
    assert!(text.contains("still locked after 1.0 s") && text.contains("the holder"), "{text}");
    assert_kind(store.set("inside", &false), ErrorKind::Locked, "still locked");
    assert_kind(store.integer("n").increment(1), ErrorKind::Locked, "still locked");
    child.tell("release");
    child.expect("open");
    assert_eq!(store.get::<bool>("inside").unwrap(), Some(true));
    child.tell("end");
    child.finish();
    assert_sound(&store);
}

/// Scenario 20, B9: a dead holder blocks nobody.
#[test]
fn scenario_20_a_killed_holder_lets_readers_go_on() {
    let place = Place::new();
    let store = place.open();
    for _ in 0..5 {
        let child = holder(&place);
        let reader = thread::spawn({
            let store = store.clone();
            move || store.get::<bool>("inside")
        });
        thread::sleep(Duration::from_millis(100));
        assert!(!reader.is_finished(), "somebody looks into exclusive access");
        child.kill();
        assert_eq!(reader.join().unwrap().unwrap(), Some(true));
        store.set("after", &1).unwrap();
        drop(store.exclusive_timeout(LONG).unwrap());
    }
    assert_sound(&store);
}

/// Scenario 20, B9: also those who only read, and cannot open the gate for a dead holder, go on.
#[test]
fn scenario_20_a_killed_holder_lets_read_only_handles_go_on() {
    let place = Place::new();
    let child = holder(&place);
    let store = options().read_only(true).open(place.path()).unwrap();
    let reader = thread::spawn({
        let store = store.clone();
        move || store.get::<bool>("inside")
    });
    thread::sleep(Duration::from_millis(100));
    assert!(!reader.is_finished(), "somebody looks into exclusive access");
    child.kill();
    assert_eq!(reader.join().unwrap().unwrap(), Some(true));
    assert_eq!(store.read_all::<bool>("").unwrap().len(), 1);
    assert_eq!(store.keys("").unwrap().count(), 1);
    // The next one who can opens it for all.
    place.open().set("after", &1).unwrap();
    assert_eq!(store.len().unwrap(), 2);
}

/// Scenario 20, B9: anybody may force it open. What the former holder does later opens nothing of others.
#[test]
fn scenario_20_a_forced_store_is_open_for_all() {
    let place = Place::new();
    let store = place.open();
    let mut child = holder(&place);
    assert_kind(store.exclusive_timeout(Duration::from_millis(50)), ErrorKind::Timeout, &child.pid().to_string());
    let reader = thread::spawn({
        let store = store.clone();
        move || store.get::<bool>("inside")
    });
    thread::sleep(Duration::from_millis(50));
    assert!(store.force_open().unwrap());
    assert_eq!(reader.join().unwrap().unwrap(), Some(true));
    assert!(!store.force_open().unwrap());
    store.set("inside", &false).unwrap();
    let exclusive = store.exclusive_timeout(LONG).unwrap();
    child.tell("release");
    child.expect("open");
    let other = place.path();
    let locked = thread::spawn(move || {
        let limited = options().access_limit(Duration::ZERO).open(other)?;
        limited.get::<i32>("inside")
    });
    assert_kind(locked.join().unwrap(), ErrorKind::Locked, "still locked");
    exclusive.set("inside", &7).unwrap();
    drop(exclusive);
    child.tell("end");
    child.finish();
    assert_eq!(store.get::<i32>("inside").unwrap(), Some(7));
    assert_sound(&store);
}

/// Paused while it holds exclusive access, it goes on writing when it wakes, as often as it is told.
fn write_late(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    loop {
        let exclusive = store.exclusive().expect("exclusive access");
        exclusive.set("key", "the holder's").expect("a set");
        say("holding");
        if hear() == "end" {
            return;
        }
        let late = [
            exclusive.set("key", "late").map(drop),
            exclusive.integer("late").increment(1).map(drop),
            exclusive.transaction(|tx| tx.set("key", "late")),
            exclusive.clear(),
        ];
        for result in late {
            assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::Lost));
        }
        drop(exclusive);
        say("refused");
        hear();
    }
}

/// Attack 47: who was paused and forced out writes nothing any more, whoever has come after.
#[test]
fn attack_47_a_holder_that_was_forced_out_writes_nothing_more() {
    let place = Place::new();
    let store = place.open();
    let mut child = Child::on(&place, "write_late", &[]);
    for round in 0..20 {
        child.expect("holding");
        child.signal(libc::SIGSTOP);
        assert!(store.force_open().unwrap());
        let others = (round % 2 == 0).then(|| store.exclusive_timeout(LONG).unwrap());
        others.as_deref().unwrap_or(&store).set("key", "another's").unwrap();
        child.tell("write");
        child.signal(libc::SIGCONT);
        child.expect("refused");
        assert_eq!(others.as_deref().unwrap_or(&store).get::<String>("key").unwrap().as_deref(), Some("another's"));
        drop(others);
        assert!(!store.contains("late").unwrap());
        child.tell("again");
    }
    child.expect("holding");
    child.tell("end");
    child.finish();
    assert_sound(&store);
}

fn keep_writing(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    for number in 0_u64.. {
        store.set("key", &number).expect("a set");
    }
}

/// Attack 46: no write that has passed the gate before falls into somebody's exclusive section.
#[test]
fn attack_46_nothing_changes_inside_somebodys_exclusive_access() {
    let place = Place::new();
    let store = place.open();
    let writers: Vec<Child> = (0..3).map(|_| Child::on(&place, "keep_writing", &[])).collect();
    for _ in 0..200 {
        let exclusive = store.exclusive_timeout(LONG).unwrap();
        let before = exclusive.get_versioned::<u64>("key").unwrap();
        thread::sleep(Duration::from_micros(300));
        assert_eq!(exclusive.get_versioned::<u64>("key").unwrap(), before);
    }
    for writer in writers {
        writer.kill();
    }
    assert!(store.get::<u64>("key").unwrap().is_some());
    assert_sound(&store);
}
