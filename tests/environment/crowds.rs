//! A thousand participants.

use std::{path::Path, time::Instant};

use shmsync::Lifetime;

use super::common::{Child, Forked, Place, assert_sound, fork, hear, number, open, parsed, say, until};

/// Attack 12: a thousand processes on one store, all killed at once: nothing of them is left, and their places are free.
#[test]
fn attack_12_a_thousand_participants_come_and_die() {
    let place = Place::new();
    let store = place.open();
    let most = number("SHMSYNC_CROWD", 1000);
    for round in 0..2 {
        let start = Instant::now();
        let mut child = Child::on(&place, "crowd", &[&most.to_string()]);
        child.expect("all there");
        let alive = || store.participants().unwrap().iter().filter(|participant| participant.alive).count() as u64;
        assert!(alive() > most, "round {round}: {} are alive", alive());
        assert_eq!(store.keys("mine/").unwrap().count() as u64, most);
        child.tell("die");
        child.expect("all dead");
        until("the entries of the dead have gone", || store.keys("mine/").unwrap().next().is_none());
        assert!(alive() <= 2, "round {round}: {} are alive", alive());
        println!("{most} came and died in {:?}", start.elapsed());
        child.finish();
    }
    assert!((store.participants().unwrap().len() as u64) < most + 10, "places are used again");
    assert_sound(&store);
}

pub fn crowd(arguments: &[String]) {
    let (path, most): (&Path, u64) = (Path::new(&arguments[0]), parsed(arguments, 1));
    let children: Vec<Forked> = (0..most)
        .map(|number| {
            fork(|| {
                let store = open(path);
                store.set_with(&format!("mine/{number}"), &number, Lifetime::Process).unwrap();
                store.integer("there").increment(1).unwrap();
                loop {
                    // SAFETY: it waits for a signal, which kills.
                    unsafe { libc::pause() };
                }
            })
        })
        .collect();
    let store = open(path);
    until("all are there", || store.keys("mine/").unwrap().count() as u64 == most);
    say("all there");
    hear();
    children.iter().for_each(|child| child.signal(libc::SIGKILL));
    children.into_iter().for_each(|child| assert!(!child.wait().success()));
    say("all dead");
}
