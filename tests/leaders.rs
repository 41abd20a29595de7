//! Leaders of several processes.
#![cfg(target_os = "linux")]

mod common;

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use common::{Child, LONG, Place, assert_kind, fork, hear, options, say, until};
use shmsync::{ErrorKind, Revoked};

roles!(lead, renew);

/// Stands for election and leads until told.
fn lead(arguments: &[String]) {
    let store = options().open(Path::new(&arguments[0])).expect("a store");
    let leadership = store.leader("g").expect("a group").elect(&arguments[1]).expect("an election");
    say("leading");
    hear();
    drop(leadership);
}

/// Leads with a time limit, and tells how that ended.
fn renew(arguments: &[String]) {
    let store = options().open(Path::new(&arguments[0])).expect("a store");
    let leadership =
        store.leader("g").expect("a group").ttl(Duration::from_millis(1_500)).elect("old").expect("an election");
    say("leading");
    hear();
    // Nothing may come in between: not even a thread that had to run first.
    say(leadership.is_revoked());
    say(format!("{:?}", leadership.wait_revoked(Some(LONG)).expect("an end")));
    say(format!("{:?}", leadership.wait_revoked(None).expect("an end")));
    say(leadership.resign().expect("an answer"));
    hear();
}

/// D6, D7.
#[test]
fn scenario_32_a_killed_leader_is_followed_and_all_see_it() {
    let place = Place::new();
    let store = place.open();
    let mut old = Child::on(&place, "lead", &["old"]);
    old.expect("leading");
    let mut follow = store.leader("g").unwrap().follow().unwrap();
    let first = follow.next_timeout(LONG).unwrap().expect("a leader");
    assert_eq!((first.id.as_str(), first.owner.pid), ("old", old.pid()));
    let mut new = Child::on(&place, "lead", &["new"]);
    until("the new one stands", || store.locks("g").unwrap()[0].waiters.len() == 1);
    old.kill();
    new.expect("leading");
    let second = follow.next_timeout(LONG).unwrap().expect("a leader");
    assert_eq!((second.id.as_str(), second.owner.pid), ("new", new.pid()));
    assert!(second.token > first.token);
    new.kill();
    assert_eq!(store.leader("g").unwrap().current().unwrap(), None, "the dead do not lead");
    assert!(store.leader("g").unwrap().elect("next").unwrap().previous_owner_died());
}

/// D6: a process that stood still knows that it leads no more before it does anything.
#[test]
fn a_leader_that_stood_still_past_its_limit_is_revoked_at_once() {
    let place = Place::new();
    let store = place.open();
    let mut old = Child::on(&place, "renew", &[]);
    old.expect("leading");
    // It renews itself as long as it runs.
    assert_kind(
        store.leader("g").unwrap().elect_timeout("new", Duration::from_millis(3_000)),
        ErrorKind::Timeout,
        "leader \"g\"",
    );
    old.signal(libc::SIGSTOP);
    let begun = Instant::now();
    let new = store.leader("g").unwrap().elect_timeout("new", LONG).unwrap();
    println!("the next leads after {:?}", begun.elapsed());
    old.tell("go on");
    old.signal(libc::SIGCONT);
    old.expect("true");
    old.expect("Some(Expired)");
    old.expect("Some(Expired)");
    old.expect("false");
    assert!(!new.is_revoked());
    old.tell("end");
    old.finish();
}

#[test]
fn a_destroyed_store_revokes_its_leaders() {
    let place = Place::new();
    let store = place.open();
    let leadership = store.leader("g").unwrap().elect("a").unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| leadership.wait_revoked(Some(LONG)).unwrap());
        store.destroy().unwrap();
        assert_eq!(waiter.join().unwrap(), Some(Revoked::Gone));
    });
    assert!(leadership.is_revoked());
    assert!(!leadership.resign().unwrap());
    assert_kind(store.leader("g").unwrap().elect("a"), ErrorKind::Gone, "removed");
}

/// Decision 13.
#[test]
fn a_forked_child_does_not_lead() {
    let place = Place::new();
    let store = place.open();
    // What the child takes out of it stays inside of it here.
    let mut leading = Some(store.leader("g").unwrap().elect("a").unwrap());
    fork(|| {
        let leadership = leading.take().unwrap();
        assert!(leadership.is_revoked());
        assert_kind(leadership.resign(), ErrorKind::NotOwner, "forked");
        assert_kind(leadership.wait_revoked(None), ErrorKind::NotOwner, "forked");
        drop(leadership);
    })
    .finish();
    let leadership = leading.unwrap();
    assert!(!leadership.is_revoked());
    assert_eq!(store.leader("g").unwrap().current().unwrap().unwrap().token, leadership.token());
}
