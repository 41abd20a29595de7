//! What is killed of locks and leaders.

use std::{path::Path, time::Duration};

use shmsync::{Lock, Sync};

use super::{
    fillings::three,
    operations::{BASE, Operation, Prepared, Sees, WIDE, on_store, open},
};

const HOUR: Duration = Duration::from_secs(3600);

/// Somebody has died with the lock and as the leader.
fn orphaned(store: &Sync) {
    three(store);
    std::mem::forget(store.lock("k").unwrap().acquire().unwrap());
    std::mem::forget(store.leader("g").unwrap().elect("dead").unwrap());
}

/// Somebody keeps one of two permits, and somebody has died with the other one.
fn half_orphaned(store: &Sync) {
    three(store);
    let semaphore = store.semaphore("s", 2).unwrap();
    semaphore.clone().forever().acquire().unwrap().keep();
    std::mem::forget(semaphore.acquire().unwrap());
}

/// Somebody keeps one of two permits.
fn one_permit_kept(store: &Sync) {
    three(store);
    store.semaphore("s", 2).unwrap().forever().acquire().unwrap().keep();
}

/// Takes the lock, and lets children carry it on. There are none: what the dead held is free, as without.
fn carry(path: &Path, _: Option<Sync>) -> Prepared {
    let store = Sync::options().open(path).unwrap();
    // Who lets carry on has the thread. Long enough for it to say who it is.
    std::thread::sleep(Duration::from_millis(15));
    Box::new(move || {
        let guard = store.lock("k").unwrap().acquire().unwrap();
        drop(guard.inheritable().unwrap());
        std::mem::forget((guard, store));
    })
}

/// Somebody keeps the lock.
fn kept(store: &Sync) {
    three(store);
    store.lock("k").unwrap().forever().acquire().unwrap().keep();
}

pub fn locks() -> Vec<Operation> {
    [taken(), held(), shared_out(), where_blocks_rest()].concat()
}

/// So many that some are in other shards than the sessions of processes, which end: there the short ways are taken.
fn several(store: &Sync) -> Vec<Lock> {
    (0..8).map(|number| store.lock(&format!("k/{number}")).unwrap()).collect()
}

/// In each of their shards, as many blocks rest as can, all of the size of what is kept of a lock.
fn rested_locks(store: &Sync) {
    for lock in several(store) {
        (0..17).for_each(|_| drop(lock.acquire().unwrap()));
    }
}

/// Taken and given back as they are again and again. Each is one commit, after which a dead one has the lock or nobody.
fn where_blocks_rest() -> Vec<Operation> {
    vec![Operation {
        name: "locks, taken, released and taken where blocks of that size rest",
        capacity: WIDE,
        before: Some(rested_locks),
        prepare: on_store!(store => several(&store).iter().for_each(|lock| {
            drop(lock.acquire().unwrap());
            std::mem::forget(lock.acquire().unwrap());
        })),
        sees: Sees::EachOldOrNew,
        ..BASE
    }]
}

/// Semaphores, and what children carry on.
fn shared_out() -> Vec<Operation> {
    vec![
        Operation {
            name: "semaphore, first use",
            prepare: on_store!(store => std::mem::forget(store.semaphore("s", 2).unwrap().acquire().unwrap())),
            ..BASE
        },
        Operation {
            name: "semaphore, take the permit of a dead one",
            before: Some(half_orphaned),
            prepare: on_store!(store => store.semaphore("s", 2).unwrap().forever().acquire().unwrap().keep()),
            ..BASE
        },
        Operation {
            name: "semaphore, release what is kept",
            before: Some(one_permit_kept),
            prepare: on_store!(store => {
                let token = store.locks("").unwrap()[0].owners[0].token;
                assert!(store.semaphore("s", 2).unwrap().release_with(token).unwrap());
            }),
            ..BASE
        },
        Operation {
            name: "lock, take and let children carry it on",
            covers: &["LockGuard::inheritable"],
            prepare: carry,
            ..BASE
        },
    ]
}

/// How a lock is come by.
fn taken() -> Vec<Operation> {
    vec![
        Operation {
            name: "lock, take",
            covers: &["Lock::acquire", "Lock::try_acquire", "Lock::acquire_deadline"],
            prepare: on_store!(store => std::mem::forget(store.lock("k").unwrap().acquire().unwrap())),
            ..BASE
        },
        Operation {
            name: "lock, take with limits",
            covers: &["LockGuard::keep"],
            prepare: on_store!(store => {
                store.lock("k").unwrap().ttl(HOUR).hold_at_least(HOUR).acquire().unwrap().keep()
            }),
            ..BASE
        },
        Operation {
            name: "lock, take over and release",
            covers: &["LockGuard::release"],
            before: Some(orphaned),
            prepare: on_store!(store => {
                let guard = store.lock("k").unwrap().acquire().unwrap();
                assert!(guard.previous_owner_died() && guard.release().unwrap());
            }),
            ..BASE
        },
    ]
}

/// What is done with a lock that is held already.
fn held() -> Vec<Operation> {
    vec![
        Operation {
            name: "lock, extend",
            covers: &["LockGuard::extend"],
            prepare: on_store!(store => {
                let guard = store.lock("k").unwrap().ttl(HOUR).acquire().unwrap();
                guard.extend(2 * HOUR).unwrap();
                guard.keep()
            }),
            ..BASE
        },
        Operation {
            name: "lock, release what is kept",
            covers: &["Lock::release_with", "Lock::release_owned"],
            before: Some(kept),
            prepare: on_store!(store => {
                let token = store.locks("").unwrap()[0].owners[0].token;
                assert!(store.lock("k").unwrap().release_with(token).unwrap());
            }),
            ..BASE
        },
        Operation {
            name: "lock, force",
            covers: &["Lock::force_release", "Leader::force_resign"],
            before: Some(kept),
            prepare: on_store!(store => assert!(store.lock("k").unwrap().force_release().unwrap())),
            ..BASE
        },
        Operation {
            name: "lock, queue and give up",
            changes: false,
            covers: &["Lock::acquire_timeout", "Lock::wait", "Lock::wait_timeout", "Lock::wait_deadline"],
            before: Some(kept),
            prepare: on_store!(store => {
                store.lock("k").unwrap().acquire_timeout(Duration::from_millis(1)).unwrap_err();
                assert!(!store.lock("k").unwrap().wait_timeout(Duration::from_millis(1)).unwrap());
            }),
            ..BASE
        },
        Operation {
            name: "leader, elected after a dead one, resigns",
            covers: &[
                "Leader::elect",
                "Leader::try_elect",
                "Leader::elect_timeout",
                "Leader::elect_deadline",
                "Leadership::resign",
                "Leadership::re_elect",
            ],
            before: Some(orphaned),
            prepare: on_store!(store => {
                let leadership = store.leader("g").unwrap().elect("new").unwrap();
                assert!(leadership.resign().unwrap());
            }),
            ..BASE
        },
    ]
}
