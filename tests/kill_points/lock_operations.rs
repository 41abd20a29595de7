//! What is killed of locks and leaders.

use std::{path::Path, time::Duration};

use shmsync::Sync;

use super::{
    fillings::three,
    operations::{BASE, Operation, Prepared, on_store, open},
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
    [plain(), shared_out()].concat()
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

fn plain() -> Vec<Operation> {
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
