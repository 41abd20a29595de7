//! A cluster of three, of which one dies or stands still.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use shmsync::{ErrorKind, Sync};

use crate::{
    common::LONG,
    server::{Server, answered},
};

/// A name with all members, another one first for each number.
fn name(ports: &[u16], first: usize, options: &str) -> String {
    let hosts: Vec<String> =
        (0..ports.len()).map(|at| format!("127.0.0.1:{}", ports[(first + at) % ports.len()])).collect();
    format!("etcd://{}/x?{options}", hosts.join(","))
}

/// What workers found.
#[derive(Default)]
struct Findings {
    /// Answers of increments.
    sums: Mutex<Vec<i64>>,
    /// Increments of which nobody knows.
    unknown: AtomicU32,
    tokens: Mutex<Vec<u64>>,
    inside: AtomicU32,
    /// Since the leader was killed.
    done: [AtomicU64; 3],
    killed: AtomicBool,
}

fn works(store: &Sync, me: usize, findings: &Findings) {
    let lock = store.lock("turn").unwrap();
    let deadline = Instant::now() + LONG;
    while findings.done.iter().any(|done| done.load(SeqCst) < 20) {
        assert!(Instant::now() < deadline, "worker {me} does not get on");
        match store.integer("count").increment(1) {
            Ok(sum) => findings.sums.lock().unwrap().push(sum),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
                findings.unknown.fetch_add(1, SeqCst);
            }
        }
        match lock.acquire_timeout(LONG) {
            Ok(guard) => {
                assert_eq!(findings.inside.fetch_add(1, SeqCst), 0, "two are inside");
                findings.tokens.lock().unwrap().push(guard.token().get());
                findings.inside.fetch_sub(1, SeqCst);
                match guard.release() {
                    Ok(released) => assert!(released, "it was lost"),
                    Err(error) => {
                        eprintln!("release: {error}");
                        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
                    }
                }
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}"),
        }
        findings.done[me].fetch_add(findings.killed.load(SeqCst).into(), SeqCst);
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_the_leader_is_killed() {
    let Some(servers) = Server::start_many::<3>() else { return };
    let ports: Vec<u16> = servers.iter().map(|server| server.port).collect();
    let open = |first: usize| Sync::open(name(&ports, first, "session=20s&timeout=10s&connect=10s")).unwrap();
    let stores: Vec<Sync> = (0..3).map(open).collect();
    let findings = Findings::default();
    let watched = open(0);
    let mut watch = watched.watch("end").unwrap();
    thread::scope(|scope| {
        let workers: Vec<_> = stores
            .iter()
            .enumerate()
            .map(|(me, store)| {
                scope.spawn({
                    let findings = &findings;
                    move || works(store, me, findings)
                })
            })
            .collect();
        let waiter = scope.spawn(|| answered(|| watch.next_timeout(LONG)).expect("a change").value::<i32>().unwrap());
        while findings.tokens.lock().unwrap().len() < 60 {
            thread::sleep(Duration::from_millis(5));
        }
        let mut left: Vec<Server> = servers.into();
        let leader = left.iter().position(Server::leads).expect("a leader");
        left.remove(leader).kill();
        findings.killed.store(true, SeqCst);
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        while stores[0].set("end", &7).is_err() {}
        assert_eq!(waiter.join().unwrap(), Some(7));
        let sums = findings.sums.lock().unwrap();
        let distinct: BTreeSet<i64> = sums.iter().copied().collect();
        assert_eq!(distinct.len(), sums.len(), "two increments have the same answer");
        let (count, known) = (stores[0].integer("count").refresh().unwrap(), sums.len() as i64);
        let unknown = i64::from(findings.unknown.load(SeqCst));
        assert!((known..=known + unknown).contains(&count), "{count} of {known} and {unknown}");
        assert!(findings.tokens.lock().unwrap().is_sorted_by(|one, next| one < next), "tokens do not grow");
        println!(
            "{count} increments, {unknown} of which nobody knew; {} tokens",
            findings.tokens.lock().unwrap().len()
        );
        drop(left);
    });
}

#[test]
fn a_member_that_stands_still_is_passed_over() {
    let Some(servers) = Server::start_many::<3>() else { return };
    let ports: Vec<u16> = servers.iter().map(|server| server.port).collect();
    let still = servers.iter().position(|server| !server.leads()).expect("a follower");
    let store = Sync::open(name(&ports, still, "session=6s&timeout=3s")).unwrap();
    let guard = store.lock("k").unwrap().acquire().unwrap();
    servers[still].pause();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        // One call may be lost with the member; a session is not.
        let _ = store.integer("count").increment(1);
        assert!(guard.is_held().unwrap());
    }
    assert!(guard.release().unwrap());
    assert!(store.integer("count").refresh().unwrap() > 100);
    servers[still].resume();
}

#[test]
fn nothing_that_was_acknowledged_is_lost_when_all_are_down_and_come_back() {
    let Some(mut servers) = Server::start_many::<3>() else { return };
    let ports: Vec<u16> = servers.iter().map(|server| server.port).collect();
    let open = |first: usize| Sync::open(name(&ports, first, "session=60s&timeout=5s&connect=10s")).unwrap();
    let (store, watched) = (open(0), open(1));
    let guard = answered(|| store.lock("before").unwrap().acquire());
    let mut watch = answered(|| watched.watch("end"));
    let (known, unknown, is_over) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            while !is_over.load(SeqCst) {
                match store.integer("count").increment(1) {
                    Ok(_) => known.fetch_add(1, SeqCst),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
                        unknown.fetch_add(1, SeqCst)
                    }
                };
            }
        });
        let waiter = scope.spawn(|| answered(|| watch.next_timeout(LONG)).expect("a change").value::<i32>().unwrap());
        let more = |count: u64| {
            let until = known.load(SeqCst) + count;
            crate::common::until("it goes on", || known.load(SeqCst) >= until);
        };
        more(20);
        servers.iter_mut().for_each(Server::stop);
        crate::common::until("nobody answers", || unknown.load(SeqCst) > 0);
        servers.iter_mut().for_each(Server::start_again);
        more(20);
        is_over.store(true, SeqCst);
        worker.join().unwrap();
        while store.set("end", &7).is_err() {}
        assert_eq!(waiter.join().unwrap(), Some(7));
    });
    let (count, known, unknown) =
        (answered(|| store.integer("count").refresh()) as u64, known.into_inner(), unknown.into_inner());
    println!("{count} increments, {known} acknowledged, {unknown} unknown");
    assert!((known..=known + unknown).contains(&count), "{count} of {known} and {unknown}");
    // A session that outlasts it is the same afterwards.
    assert!(answered(|| guard.is_held()));
    let next = answered(|| store.lock("next").unwrap().acquire_timeout(LONG));
    assert!(next.token() > guard.token());
}
