//! Two PID namespaces on one store: equal process and thread ids that mean different processes.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use shmsync::Lifetime;

use super::common::{Child, Dice, Place, assert_sound, fork, hear, is_long, is_root, open, say};

/// Attack 3: in two PID namespaces ids are the same; nobody is taken for somebody else, dead or alive.
#[test]
fn attack_3_equal_ids_in_two_pid_namespaces_mean_different_processes() {
    if !is_root() {
        println!("skipped: only root may make a PID namespace");
        return;
    }
    let place = Place::new();
    let store = place.open();
    let mut dice = Dice::roll("namespaces");
    let mut stays = Child::on(&place, "live_in_two_namespaces", &["stays"]);
    stays.expect("lives as 1");
    let end = Instant::now() + Duration::from_secs(if is_long() { 120 } else { 4 });
    let mut kills = 0;
    while Instant::now() < end {
        let mut goes = Child::on(&place, "live_in_two_namespaces", &["goes"]);
        goes.expect("lives as 1");
        thread::sleep(Duration::from_micros(dice.below(20_000)));
        // The namespace dies with its first process, which dies with its parent.
        goes.kill();
        kills += 1;
        let start = Instant::now();
        while store.get::<u32>("alive/goes").unwrap().is_some() {
            assert!(start.elapsed() < Duration::from_secs(10), "the dead one is taken for the living one");
            store.integer("sum").increment(1).unwrap();
        }
        assert_eq!(store.get::<u32>("alive/stays").unwrap(), Some(1), "the living one is taken for the dead one");
    }
    println!("{kills} namespaces were killed");
    let same: Vec<_> = store.participants().unwrap().into_iter().filter(|participant| participant.pid == 1).collect();
    assert!(same.iter().all(|participant| participant.alive == (participant.label == "stays")), "{same:?}");
    stays.tell("end");
    assert_sound(&store);
}

/// Becomes the first process of a namespace of its own and changes the store without pause.
pub fn live_in_two_namespaces(arguments: &[String]) {
    // SAFETY: it takes a number; children of this process are in a new namespace from then on.
    let made = unsafe { libc::unshare(libc::CLONE_NEWPID) };
    assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
    let name = arguments[1].clone();
    let path = Path::new(&arguments[0]);
    let child = fork(|| {
        // SAFETY: it takes numbers. The child dies with its parent.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let store = super::common::options().label(&name).open(path).unwrap();
        store.set_with(&format!("alive/{name}"), &std::process::id(), Lifetime::Process).unwrap();
        for number in 0_u64.. {
            store.integer("sum").increment(1).unwrap();
            store.set_bytes(&format!("{name}/{}", number % 20), &vec![1; (number * 97 % 5000) as usize]).unwrap();
        }
    });
    let store = open(path);
    while store.get::<u32>(&format!("alive/{}", arguments[1])).unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
    say("lives as 1");
    hear();
    child.kill();
}

/// Attack 42: in a time namespace CLOCK_BOOTTIME is another one. A lifetime is as long as it was meant, whoever wrote it
/// and whoever reads it.
#[test]
fn attack_42_in_a_time_namespace_lifetimes_are_the_same() {
    if !is_root() {
        println!("skipped: only root may make a time namespace");
        return;
    }
    let place = Place::new();
    let store = place.open();
    let hour = Lifetime::Ttl(Duration::from_secs(3600));
    for shift in ["1000000", "-100"] {
        store.set_with("outside/hour", &1, hour).unwrap();
        store.set_with("outside/short", &1, Lifetime::Ttl(Duration::from_millis(300))).unwrap();
        let mut child = Child::on(&place, "live_at_another_time", &[shift]);
        child.expect("lives");
        assert!(store.contains("inside/hour").unwrap(), "{shift}: it ends at once");
        thread::sleep(Duration::from_millis(400));
        assert_eq!(store.keys("").unwrap().collect::<Vec<_>>(), ["inside/hour", "outside/hour"], "{shift}");
        child.tell("end");
        child.finish();
        assert_sound(&store);
    }
}

/// Looks and writes at another time.
pub fn live_at_another_time(arguments: &[String]) {
    // In a process of one thread, because a namespace for children belongs to the thread that asked for it.
    let asks = fork(|| {
        // SAFETY: it takes a number; children of this process are in a new namespace from then on.
        let made = unsafe { libc::unshare(libc::CLONE_NEWTIME) };
        assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
        std::fs::write("/proc/self/timens_offsets", format!("boottime {} 0", arguments[1])).expect("a shift");
        fork(|| look_and_write(&arguments[0])).finish();
    });
    asks.finish();
    say("lives");
    hear();
}

/// Nothing of the store was used before in this process: what is known of the namespace is found out inside.
fn look_and_write(path: &str) {
    let store = open(Path::new(path));
    assert!(store.contains("outside/hour").unwrap(), "it ended before its time");
    store.set_with("inside/hour", &1, Lifetime::Ttl(Duration::from_secs(3600))).unwrap();
    store.set_with("inside/short", &1, Lifetime::Ttl(Duration::from_millis(300))).unwrap();
    thread::sleep(Duration::from_millis(400));
    assert_eq!(store.keys("").unwrap().collect::<Vec<_>>(), ["inside/hour", "outside/hour"]);
}
