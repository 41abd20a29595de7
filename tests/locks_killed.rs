//! Owners, waiters and the next in the queue are killed at random; a file that knows nothing of locks is the witness.
#![cfg(target_os = "linux")]

mod common;

use std::{
    collections::BTreeSet,
    fs::File,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use common::{Dice, Forked, LONG, Place, assert_sound, fork, number, testify};
use shmsync::{Sync, Token};

/// How one takes part.
#[derive(Clone, Copy, PartialEq)]
enum As {
    Owner,
    Leader,
}

/// Takes turns for ever and writes each down: in, out.
fn take_turns(store: &Sync, log: &Path, seed: u64, way: As) {
    let (mut dice, pid) = (Dice::new(seed), std::process::id());
    let write = |what: &str, token: Token| testify(log, &format!("{what} {token} {pid}")).expect("a line");
    let turn = |token: Token, dice: &mut Dice| {
        write("in", token);
        thread::sleep(Duration::from_micros(dice.below(300)));
        write("out", token);
    };
    loop {
        match (way, dice.below(6)) {
            // Gives up sometimes, while others behind it wait.
            (As::Owner, 0) => drop(store.lock("k").unwrap().acquire_timeout(Duration::from_micros(dice.below(2_000)))),
            (As::Owner, 1) => store.lock("k").unwrap().wait_timeout(Duration::from_millis(2)).map(drop).unwrap(),
            (As::Owner, _) => {
                let guard = store.lock("k").unwrap().acquire().unwrap();
                turn(guard.token(), &mut dice);
            }
            (As::Leader, _) => {
                let leadership = store.leader("k").unwrap().elect("somebody").unwrap();
                turn(leadership.token(), &mut dice);
                assert!(!leadership.is_revoked(), "nobody takes it away");
            }
        }
    }
}

/// Tokens grow, and nobody is in while another one is, unless that one was killed inside.
fn judge(log: &Path, killed: &BTreeSet<u32>) -> usize {
    let text = std::fs::read_to_string(log).unwrap();
    let (mut inside, mut last, mut turns) = (None::<(u64, u32)>, 0, 0);
    for line in text.lines() {
        let words: Vec<&str> = line.trim_end().split(' ').collect();
        let [what, token, pid] = words[..] else { panic!("half a line: {line:?}") };
        let (token, pid): (u64, u32) = (token.parse().unwrap(), pid.parse().unwrap());
        if what == "in" {
            assert!(token > last, "token {token} after {last}");
            if let Some((other, owner)) = inside {
                assert!(killed.contains(&owner), "{pid} is in with {token} while {owner} lives with {other}");
            }
            (inside, last, turns) = (Some((token, pid)), token, turns + 1);
        } else {
            assert_eq!(inside, Some((token, pid)), "somebody else was in meanwhile");
            inside = None;
        }
    }
    turns
}

fn kill_at_random(way: As) {
    let mut dice = Dice::roll("killed at random");
    let place = Place::new();
    let store = place.open();
    let log = place.file("log");
    File::create(&log).unwrap();
    let end = Instant::now() + Duration::from_secs(number("SHMSYNC_KILL_S", 5));
    let (mut workers, mut killed): (Vec<Forked>, _) = (vec![], BTreeSet::new());
    while Instant::now() < end {
        while workers.len() < 6 {
            let seed = dice.below(u64::MAX);
            workers.push(fork(|| take_turns(&store, &log, seed, way)));
        }
        thread::sleep(Duration::from_micros(dice.below(8_000)));
        let victim = workers.swap_remove(dice.below(6) as usize);
        assert!(!victim.has_ended(), "a worker has failed");
        killed.insert(victim.pid() as u32);
        victim.kill();
    }
    for worker in workers {
        assert!(!worker.has_ended(), "a worker has failed");
        killed.insert(worker.pid() as u32);
        worker.kill();
    }
    // All are dead: whoever comes has it.
    match way {
        As::Owner => drop(store.lock("k").unwrap().acquire_timeout(LONG).unwrap()),
        As::Leader => drop(store.leader("k").unwrap().elect_timeout("last", LONG).unwrap()),
    }
    let turns = judge(&log, &killed);
    println!("{turns} turns, {} kills", killed.len());
    assert!(turns > killed.len(), "only {turns} turns with {} kills", killed.len());
    assert_eq!(store.locks("").unwrap(), [], "something is left");
    assert_sound(&store);
}

#[test]
fn owners_and_waiters_killed_at_random_leave_one_holder_and_growing_tokens() {
    kill_at_random(As::Owner);
}

#[test]
fn leaders_and_candidates_killed_at_random_leave_one_leader_and_growing_tokens() {
    kill_at_random(As::Leader);
}
