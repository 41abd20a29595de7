//! Attack 10: fork in all its forms. Parent and child both go on using the handle.
#![cfg(target_os = "linux")]

mod common;

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use common::{Child, LONG, Place, assert_kind, assert_sound, fork, hear, open, say, until};
use shmsync::{ErrorKind, Lifetime, Sync};

roles!(hold_an_entry, become_another_program, leave_a_child_behind, raw_clone, watch_from_outside, try_exclusive);

fn count(store: &Sync) -> i64 {
    store.integer("count").refresh().expect("the count")
}

/// Increments so often, and keeps a value of its own.
fn work(store: &Sync, name: &str) {
    for number in 0..200 {
        store.integer("count").increment(1).expect("an increment");
        store.set(name, &number).expect("a set");
        assert_eq!(store.get::<i32>(name).expect("a get"), Some(number));
    }
}

#[test]
fn attack_10_parent_and_forked_child_both_go_on() {
    let place = Place::new();
    let store = place.open();
    work(&store, "before");
    let child = fork(|| work(&store, "child"));
    work(&store, "parent");
    child.finish();
    assert_eq!(count(&store), 600);
    assert_eq!(store.get::<i32>("child").unwrap(), Some(199));
    // What was opened in the parent and never used in the child does no harm at the child's end.
    fork(|| ()).finish();
    work(&store, "parent");
    assert_sound(&store);
}

#[test]
fn attack_10_a_forked_child_that_watches_takes_no_news_from_its_parent() {
    let place = Place::new();
    let store = place.open();
    let mut watch = store.watch_prefix("p/").unwrap();
    assert_eq!(watch.next_timeout(Duration::from_millis(10)).unwrap(), None);
    store.set("p/a", &1).unwrap();
    fork(|| assert_eq!(watch.next_timeout(LONG).unwrap().expect("news").key, "p/a")).finish();
    assert_eq!(watch.next_timeout(LONG).unwrap().expect("news").key, "p/a");
}

#[test]
fn attack_10_a_forked_child_watches_also_where_no_more_watches_fit() {
    let place = Place::new();
    let store = place.open();
    let mut watches: Vec<_> = (0..64).map(|_| store.watch_prefix("p/").unwrap()).collect();
    let mut first = watches.remove(0);
    assert_eq!(first.next_timeout(Duration::from_millis(10)).unwrap(), None);
    let child = fork(|| {
        assert_eq!(first.next_timeout(Duration::from_millis(200)).unwrap(), None);
        store.set("waits", &true).unwrap();
        assert_eq!(first.next_timeout(LONG).unwrap().expect("news").key, "p/a");
    });
    until("the child waits", || store.get::<bool>("waits").unwrap() == Some(true));
    store.set("p/a", &1).unwrap();
    child.finish();
    assert_eq!(first.next_timeout(LONG).unwrap().expect("news").key, "p/a");
}

#[test]
fn attack_10_a_child_of_a_child_goes_on() {
    let place = Place::new();
    let store = place.open();
    let child = fork(|| {
        // One generation uses the handle before it forks, the next does not.
        work(&store, "child");
        let grandchild = fork(|| {
            let last = fork(|| work(&store, "last"));
            last.finish();
            work(&store, "grandchild");
        });
        work(&store, "child");
        grandchild.finish();
    });
    child.finish();
    assert_eq!(count(&store), 800);
    assert_sound(&store);
}

#[test]
fn attack_10_children_of_a_busy_multithreaded_parent_go_on() {
    let place = Place::new();
    let store = place.open();
    store.integer("count").set(0).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 0..4 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                let mut number = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    number += 1;
                    store.set(&format!("thread {thread}/{}", number % 50), &number).expect("a set");
                    store.get::<u64>(&format!("thread {thread}/{}", number % 7)).expect("a get");
                    store.update("updated", |n: Option<u64>| Some(n.unwrap_or(0) + 1)).expect("an update");
                }
            });
        }
        for _ in 0..40 {
            let children: Vec<_> = (0..3)
                .map(|number| {
                    fork({
                        let store = &store;
                        move || {
                            store.set(&format!("child {number}"), &number).expect("a set");
                            store.integer("count").increment(1).expect("an increment");
                            store.update("updated", |n: Option<u64>| Some(n.unwrap_or(0) + 1)).expect("an update");
                        }
                    })
                })
                .collect();
            children.into_iter().for_each(common::Forked::finish);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(count(&store), 120);
    assert_sound(&store);
}

#[test]
fn attack_10_processes_started_during_commits_harm_nobody() {
    let place = Place::new();
    let store = place.open();
    store.set_with("mine", &1, Lifetime::Process).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                store.integer("count").increment(1).expect("an increment");
            }
        });
        for _ in 0..60 {
            assert!(Command::new("true").status().unwrap().success());
        }
        done.store(true, Ordering::Relaxed);
    });
    let mut outside = Child::on(&place, "watch_from_outside", &[]);
    outside.expect("there");
    drop(outside);
    assert_eq!(store.get::<i32>("mine").unwrap(), Some(1));
    assert_sound(&store);
}

/// Says whether the entry `mine` is there, in the eyes of somebody else.
fn watch_from_outside(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    say(if store.contains("mine").expect("a look") { "there" } else { "gone" });
    hear();
}

/// Attack 8: a child that uses the handle and ends does not take its parent's entries and life with it.
#[test]
fn attack_8_the_end_of_a_forked_child_is_not_the_end_of_its_parent() {
    let place = Place::new();
    let store = place.open();
    store.set_with("mine", &"the parent's", Lifetime::Process).unwrap();
    for use_it in [false, true] {
        let child = fork(|| {
            if use_it {
                store.set_with("its own", &1, Lifetime::Process).expect("a set");
                assert!(store.participants().expect("a list").iter().any(|one| one.pid == std::process::id()));
            }
        });
        child.finish();
        let mut outside = Child::on(&place, "watch_from_outside", &[]);
        outside.expect("there");
    }
    until("the child's own entry is gone", || !store.contains("its own").unwrap());
    assert_eq!(store.get::<String>("mine").unwrap().as_deref(), Some("the parent's"));
    assert_sound(&store);
}

/// Tries to get exclusive access and says what came of it.
fn try_exclusive(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    say(if store.try_exclusive().expect("a try").is_some() { "free" } else { "held" });
    hear();
}

/// Decision 13: what a guard means belongs to the process that got it; in a forked child it does nothing.
#[test]
fn attack_10_guards_are_inert_in_a_forked_child() {
    let place = Place::new();
    let store = place.open();
    let exclusive = store.exclusive().unwrap();
    exclusive.set("key", "inside").unwrap();
    let mut guard = Some(exclusive);
    let child = fork(|| {
        let inherited = guard.take().expect("a guard");
        assert_kind(inherited.set("key", "intruder"), ErrorKind::NotOwner, "");
        drop(inherited);
        assert!(store.try_exclusive().expect("a try").is_none());
    });
    child.finish();
    // What the child dropped was its copy; this process still has it.
    Child::on(&place, "try_exclusive", &[]).expect("held");
    assert_eq!(guard.as_ref().unwrap().get::<String>("key").unwrap().as_deref(), Some("inside"));
    drop(guard);
    Child::on(&place, "try_exclusive", &[]).expect("free");
    assert_sound(&store);
}

/// Decision 11: after a fork each side goes on with a copy of what it knows.
#[test]
fn what_is_known_of_an_integer_is_copied_by_fork() {
    let place = Place::new();
    let store = place.open();
    let integer = store.integer("n");
    integer.set(5).unwrap();
    let child = fork(|| {
        assert_eq!(integer.known(), 5);
        integer.increment(1).expect("an increment");
        assert_eq!(store.integer("n").known(), 6);
    });
    child.finish();
    assert_eq!(integer.known(), 5);
    assert_eq!(integer.refresh().unwrap(), 6);
}

/// Has an entry for as long as it lives.
fn hold_an_entry(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    store.set_with("mine", &1, Lifetime::Process).expect("a set");
    say("holding");
    if hear() == "drop" {
        drop(store);
        say("dropped");
        hear();
    }
}

/// Decision 13: an entry of a process goes with its last handle, and with the process however it dies.
#[test]
fn an_entry_of_a_process_ends_with_its_last_handle_or_its_life() {
    let place = Place::new();
    let store = place.open();
    let mut child = Child::on(&place, "hold_an_entry", &[]);
    child.expect("holding");
    assert!(store.contains("mine").unwrap());
    child.tell("drop");
    child.expect("dropped");
    until("the entry goes with the last handle", || !store.contains("mine").unwrap());
    child.tell("end");
    child.finish();
    for _ in 0..5 {
        let mut child = Child::on(&place, "hold_an_entry", &[]);
        child.expect("holding");
        thread::sleep(Duration::from_millis(20));
        assert!(store.contains("mine").unwrap());
        child.kill();
        until("the entry goes with the process", || !store.contains("mine").unwrap());
        assert_eq!(store.len().unwrap(), 0);
    }
    assert_sound(&store);
}

/// Has an entry, then executes another program that lives on.
fn become_another_program(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    store.set_with("mine", &1, Lifetime::Process).expect("a set");
    say("holding");
    hear();
    let error = Command::new("sleep").arg("60").exec();
    panic!("exec: {error}");
}

/// Decision 13, attack 9: exec counts as death.
#[test]
fn attack_9_an_entry_ends_when_its_process_becomes_another_program() {
    let place = Place::new();
    let store = place.open();
    let mut child = Child::on(&place, "become_another_program", &[]);
    child.expect("holding");
    assert!(store.contains("mine").unwrap());
    child.tell("go");
    until("the entry goes at exec", || !store.contains("mine").unwrap());
    assert!(!child.has_ended());
    child.kill();
    assert_sound(&store);
}

/// Has an entry, leaves a forked child that never touches the store, and is killed.
fn leave_a_child_behind(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    store.set_with("mine", &1, Lifetime::Process).expect("a set");
    let child = fork(|| {
        loop {
            thread::sleep(Duration::from_secs(1));
        }
    });
    say(child.pid());
    hear();
}

/// Attack 10: a forked child that outlives its parent does not keep the parent alive in the eyes of others.
#[test]
fn attack_10_a_forked_child_does_not_keep_its_dead_parent_alive() {
    let place = Place::new();
    let store = place.open();
    let mut child = Child::on(&place, "leave_a_child_behind", &[]);
    let left_behind: i32 = child.answer().unwrap().parse().unwrap();
    assert!(store.contains("mine").unwrap());
    child.kill();
    until("the entry goes with the parent", || !store.contains("mine").unwrap());
    // SAFETY: signal 0 only asks; then the process that this test left behind is ended.
    let (alive, ended) = unsafe { (libc::kill(left_behind, 0), libc::kill(left_behind, libc::SIGKILL)) };
    assert_eq!((alive, ended), (0, 0), "the child left behind is no longer there");
    assert_sound(&store);
}

/// Clones itself past the C library, so that no handler of a fork runs.
fn raw_clone(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    work(&store, "before");
    store.set_with("mine", &1, Lifetime::Process).expect("a set");
    // SAFETY: without flags and stack this is a fork, made behind the back of the C library. No other thread of this
    // process allocates, so the child finds no lock of the allocator taken.
    let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    if pid == 0 {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&store, "clone")));
        // SAFETY: it ends this process at once.
        unsafe { libc::_exit(i32::from(outcome.is_err())) };
    }
    assert!(pid > 0, "clone: {}", std::io::Error::last_os_error());
    work(&store, "cloned");
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    unsafe { libc::waitpid(pid as i32, &mut status, 0) };
    assert_eq!(status, 0, "the clone failed");
    work(&store, "after");
    assert!(store.contains("mine").expect("a look"));
    say("done");
    hear();
}

#[test]
fn attack_10_a_raw_clone_and_its_parent_both_go_on() {
    let place = Place::new();
    let store = place.open();
    let mut child = Child::on(&place, "raw_clone", &[]);
    child.expect("done");
    assert_eq!(count(&store), 800);
    assert!(store.contains("mine").unwrap(), "the end of a clone is the end of its parent");
    child.kill();
    until("the entry goes with its process", || !store.contains("mine").unwrap());
    assert_sound(&store);
}
