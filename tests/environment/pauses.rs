//! Processes that are stopped in the middle of a change.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use shmsync::{ErrorKind, Lifetime, Sync};

use super::common::{Child, Dice, Place, assert_kind, assert_sound, fork, open, say, until};

/// Promise 2, attack 13: a process that is stopped in the middle of a change is not dead: others wait 5 s, then get `Locked`, and
/// nothing was changed; readers never wait; continued, all goes on.
#[test]
fn attack_13_a_process_stopped_in_a_change_is_waited_for_and_not_robbed() {
    let place = Place::new();
    let store = place.open();
    let mut dice = Dice::roll("stopped");
    let mut child = Child::on(&place, "change_all_the_time", &[]);
    child.expect("changing");
    let mut caught = false;
    for _ in 0..2000 {
        thread::sleep(Duration::from_micros(dice.below(3000)));
        child.signal(libc::SIGSTOP);
        thread::sleep(Duration::from_millis(1));
        if is_stuck(&store) {
            caught = true;
            break;
        }
        child.signal(libc::SIGCONT);
    }
    assert!(caught, "it is never stopped in the middle");
    let before = store.read_all::<Vec<u8>>("probe").unwrap();
    let start = Instant::now();
    let error = assert_kind(store.set_bytes("probe", b"other"), ErrorKind::Locked, "in the middle of a change");
    let time = start.elapsed();
    assert!((4900..8000).contains(&time.as_millis()), "{time:?}");
    assert!(error.to_string().contains(&child.pid().to_string()), "{error}");
    let start = Instant::now();
    assert_eq!(store.read_all::<Vec<u8>>("probe").unwrap(), before, "nothing was changed");
    assert!(start.elapsed() < Duration::from_secs(1), "a reader waits");
    child.signal(libc::SIGCONT);
    store.set_bytes("probe", b"other").unwrap();
    child.kill();
    assert_sound(&store);
}

/// Attack 7: whoever joins may get the place of one that has just died, and be stopped at any moment of joining. The dead
/// one is dead all the same, and those who are there go on.
#[test]
fn attack_7_a_newcomer_that_is_stopped_while_it_joins_keeps_nobody_alive() {
    let place = Place::new();
    let (store, path) = (place.open(), place.path());
    let mut dice = Dice::roll("newcomers");
    for round in 0..60 {
        let dead = fork(|| {
            open(&path).set_with("mine", &1, Lifetime::Process).map(std::mem::forget).unwrap();
            // SAFETY: it waits for a signal, which kills.
            unsafe { libc::pause() };
        });
        until("its entry is there", || store.contains("mine").unwrap());
        let newcomer = fork(|| {
            loop {
                drop(open(&path));
            }
        });
        thread::sleep(Duration::from_micros(dice.below(5000)));
        dead.kill();
        thread::sleep(Duration::from_micros(dice.below(1000)));
        newcomer.stop();
        until("the entry of the dead goes", || !store.contains("mine").unwrap());
        store.set_bytes("probe", &[round; 100]).unwrap();
        newcomer.kill();
    }
    assert_sound(&store);
    assert!(store.participants().unwrap().len() < 20, "places are used again");
}

/// Whether a change does not come through, looked at for a moment only.
fn is_stuck(store: &Sync) -> bool {
    thread::scope(|scope| {
        let attempt = scope.spawn(|| store.set_bytes("probe", b"x"));
        let end = Instant::now() + Duration::from_millis(50);
        while Instant::now() < end {
            if attempt.is_finished() {
                attempt.join().unwrap().unwrap();
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(attempt.join().unwrap().unwrap_err().kind(), ErrorKind::Locked);
        true
    })
}

pub fn change_all_the_time(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    say("changing");
    for number in 0_u64.. {
        store.set_bytes("shared", &vec![number as u8; 200_000]).unwrap();
        store.set_bytes("probe", &vec![number as u8; 200_000]).unwrap();
    }
}
