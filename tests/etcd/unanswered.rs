//! Calls that nobody answered: what they left is taken back as soon as somebody does, though their process lives on; what
//! was done is found, whatever happened since.

use std::time::{Duration, Instant};

use shmsync::{ErrorKind, Lifetime, Sync};

use crate::{
    common::LONG,
    proxy::{Proxy, Way},
    server::{Server, answered},
};

/// Sessions outlast the test: nothing ends with one.
const OPTIONS: &str = "session=3600s";

/// Somebody behind a way that can be disturbed, and somebody else.
fn pair(server: &Server) -> (Proxy, Sync, Sync) {
    let way = Proxy::to(server.port);
    let open = |port, more| answered(|| Sync::open(format!("etcd://127.0.0.1:{port}/x?{OPTIONS}{more}")));
    let (one, other) = (open(way.port, "&timeout=1s&connect=1s"), open(server.port, ""));
    // What is asked once is asked.
    drop(answered(|| one.lock("first").unwrap().acquire()));
    (way, one, other)
}

fn is_unanswered<T>(result: shmsync::Result<T>) {
    assert_eq!(result.err().expect("no answer").kind(), ErrorKind::Unreachable);
}

#[test]
fn a_lock_whose_release_nobody_answered_is_free_for_others() {
    let Some(server) = Server::start() else { return };
    let (way, one, other) = pair(&server);
    for fault in [Way::Swallow, Way::Deaf, Way::Cut] {
        let guard = answered(|| one.lock("k").unwrap().acquire_timeout(LONG));
        way.set(fault);
        is_unanswered(guard.release());
        way.set(Way::Open);
        drop(other.lock("k").unwrap().acquire_timeout(LONG).unwrap());
    }
}

#[test]
fn a_lock_whose_grant_nobody_heard_of_is_free_for_others() {
    let Some(server) = Server::start() else { return };
    let (way, one, other) = pair(&server);
    let semaphore = answered(|| one.semaphore("s", 1));
    for fault in [Way::Deaf, Way::Swallow] {
        way.set(fault);
        is_unanswered(one.lock("k").unwrap().try_acquire());
        is_unanswered(one.leader("g").unwrap().try_elect("one"));
        is_unanswered(semaphore.try_acquire());
        way.set(Way::Open);
        drop(other.lock("k").unwrap().acquire_timeout(LONG).unwrap());
        drop(other.leader("g").unwrap().elect_timeout("other", LONG).unwrap());
        drop(other.semaphore("s", 1).unwrap().acquire_timeout(LONG).unwrap());
    }
}

/// A server's threads, when the cluster falls silent before any of them has needed a session.
#[test]
fn many_who_need_a_session_that_nobody_grants_do_not_wait_one_after_the_other() {
    const THREADS: u32 = 20;
    let Some(server) = Server::start() else { return };
    let way = Proxy::to(server.port);
    let limit = Duration::from_secs(2);
    let one = answered(|| Sync::open(format!("etcd://127.0.0.1:{}/x?timeout=2s&connect=2s", way.port)));
    way.set(Way::Swallow);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| is_unanswered(one.lock("k").unwrap().try_acquire()));
        }
    });
    let took = begun.elapsed();
    assert!(took < limit * THREADS / 2, "{THREADS} threads took {took:?}");
    way.set(Way::Open);
    drop(answered(|| one.lock("k").unwrap().acquire()));
}

#[test]
fn a_place_in_the_queue_that_was_left_unheard_is_nobodys() {
    let Some(server) = Server::start() else { return };
    let (way, one, other) = pair(&server);
    let guard = other.lock("k").unwrap().acquire().unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| one.lock("k").unwrap().acquire_timeout(Duration::from_secs(3)).map(drop));
        crate::common::until("it waits", || other.locks("").unwrap().iter().any(|lock| !lock.waiters.is_empty()));
        way.set(Way::Swallow);
        assert!(waiter.join().unwrap().is_err());
    });
    assert!(guard.release().unwrap());
    way.set(Way::Open);
    drop(other.lock("k").unwrap().acquire_timeout(LONG).unwrap());
    assert!(other.locks("").unwrap().iter().all(|lock| lock.waiters.is_empty()));
}

#[test]
fn exclusive_access_of_which_nobody_heard_keeps_nobody_out() {
    let Some(server) = Server::start() else { return };
    let (way, one, other) = pair(&server);
    for fault in [Way::Swallow, Way::Deaf, Way::Cut] {
        // Its end is not heard of.
        let mine = answered(|| one.exclusive());
        way.set(fault);
        drop(mine);
        way.set(Way::Open);
        drop(other.exclusive_timeout(LONG).unwrap());
        // Nor is its beginning.
        way.set(fault);
        is_unanswered(one.exclusive_timeout(LONG));
        way.set(Way::Open);
        drop(other.exclusive_timeout(LONG).unwrap());
    }
}

#[test]
fn a_value_with_a_time_limit_that_had_to_wait_has_all_of_it() {
    let Some(server) = Server::start() else { return };
    let open = || answered(|| Sync::open(server.name("x?session=3600s")));
    let (one, other) = (open(), open());
    let guard = one.lock("k").unwrap().acquire().unwrap();
    let mine = other.exclusive().unwrap();
    let limit = Duration::from_secs(1);
    std::thread::scope(|scope| {
        let set = scope.spawn(|| one.set_with("short", &1, Lifetime::Ttl(limit)).map(|_| one.get::<i32>("short")));
        // Longer than the lease of such a value lasts.
        std::thread::sleep(Duration::from_secs(6));
        drop(mine);
        assert_eq!(set.join().unwrap().unwrap().unwrap(), Some(1));
    });
    assert!(guard.is_held().unwrap(), "the session is over");
    crate::common::until("it has ended", || other.get::<i32>("short").unwrap().is_none());
}

#[test]
fn what_is_left_of_a_time_limit_is_told_to_who_reads_it_for_the_first_time() {
    let Some(server) = Server::start() else { return };
    let open = || answered(|| Sync::open(server.name("x")));
    let (one, limit) = (open(), Duration::from_secs(60));
    one.set_with("limited", &1, Lifetime::Ttl(limit)).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let copied = open().read_all_encoded("").unwrap();
    assert!(matches!(copied[0].lifetime, Lifetime::Ttl(left) if left < limit - Duration::from_secs(1)), "{copied:?}");
}

/// As [`pair`], of those who wait as long as it takes.
fn patient_pair(server: &Server) -> (Proxy, Sync, Sync) {
    let way = Proxy::to(server.port);
    let open = |port| answered(|| Sync::open(format!("etcd://127.0.0.1:{port}/x?timeout=100s&connect=100s")));
    let (one, other) = (open(way.port), open(server.port));
    (way, one, other)
}

/// A key, what others see there when it is done, and what does it.
type Act<'a> = (&'a str, i64, &'a (dyn Fn() -> shmsync::Result<bool> + core::marker::Sync));

/// One does something and does not hear of it; meanwhile others do something with it; then it is heard of after all.
fn unheard((way, one, other): (&Proxy, &Sync, &Sync), (key, seen, act): Act<'_>, meanwhile: impl FnOnce()) {
    assert!(one.get::<i64>("nothing").unwrap().is_none());
    // An increment looks before it writes.
    let looks = u64::from(key == "count");
    let asked = way.requests();
    way.set(if looks > 0 { Way::Slow } else { Way::Deaf });
    std::thread::scope(|scope| {
        let caller = scope.spawn(act);
        crate::common::until("it asks", || way.requests() > asked + looks);
        way.set(Way::Deaf);
        crate::common::until("it is done", || other.get::<i64>(key).unwrap() == Some(seen));
        meanwhile();
        way.set(Way::Open);
        assert!(caller.join().unwrap().unwrap(), "{key}");
    });
}

/// Somebody takes what was made, and removes it, before its maker hears that it was made: it is not made again.
#[test]
fn what_was_done_unheard_and_used_up_is_not_done_again() {
    let Some(server) = Server::start() else { return };
    let (way, one, other) = patient_pair(&server);
    let acts: [Act; 2] = [
        ("count", 5, &|| Ok(one.integer("count").increment(5)? == 5)),
        ("new", 7, &|| Ok(one.compare_and_set("new", None, &7)?.is_ok())),
    ];
    for (key, seen, act) in acts {
        unheard((&way, &one, &other), (key, seen, act), || assert!(other.remove(key).unwrap()));
        assert_eq!(other.get::<i64>(key).unwrap(), None, "{key} was done twice");
    }
}

#[test]
fn what_was_done_unheard_is_found_behind_all_that_others_did_since() {
    const LATER: i64 = 300;
    let Some(server) = Server::start() else { return };
    let (way, one, other) = patient_pair(&server);
    let before = other.set("there", &0).unwrap();
    let acts: [Act; 4] = [
        ("count", 5, &|| Ok(one.integer("count").increment(5)? == 5)),
        ("plain", 6, &|| Ok(one.set("plain", &6).is_ok())),
        ("new", 7, &|| Ok(one.compare_and_set("new", None, &7)?.is_ok())),
        ("there", 8, &|| Ok(one.compare_and_set("there", Some(before), &8)?.is_ok())),
    ];
    for (key, seen, act) in acts {
        unheard((&way, &one, &other), (key, seen, act), || match key {
            "count" => (0..LATER).for_each(|_| _ = other.integer(key).increment(1).unwrap()),
            _ => (0..LATER).for_each(|at| _ = other.set(key, &at).unwrap()),
        });
    }
    assert_eq!(other.integer("count").refresh().unwrap(), 5 + LATER);
}
