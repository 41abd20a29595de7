//! Locks: held by one, handed over in order, ended by time and by force.

use std::{
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Lock, LockState, OwnerProcess, Sync, Token,
    conformance::{
        Failure, Outcome,
        failure::{check, refused, same},
        tools::{LONG, SHORT, becomes_true, meanwhile, together},
    },
    driver::{Access, Range, Space},
};

/// How many waiters a lock has: whoever is to be waited for in order must be in the queue first.
pub(super) fn queued(store: &Sync) -> Outcome<usize> {
    use crate::driver::Driver;
    let waiting = Range::keys(Space::Coordination, "queue/");
    Ok(store.driver.range(&Access::default(), waiting)?.len())
}

/// Nothing is left of any lock.
fn nothing_left(store: &Sync) -> Outcome<bool> {
    use crate::driver::Driver;
    let mut left = 0;
    for prefix in ["lock/", "queue/", "life/", "least/"] {
        left += store.driver.range(&Access::default(), Range::keys(Space::Coordination, prefix))?.len();
    }
    Ok(left == 0)
}

fn is_held(lock: &Lock) -> Outcome<bool> {
    Ok(matches!(lock.state()?, LockState::Held(_)))
}

pub(crate) fn a_lock_is_held_by_one_until_it_is_released(store: &Sync) -> Outcome {
    let (lock, inside) = (store.lock("k")?, AtomicU32::new(0));
    together(4, |_| -> Outcome {
        for _ in 0..50 {
            let guard = lock.acquire()?;
            same!(inside.fetch_add(1, SeqCst), 0);
            check!(guard.is_held()?);
            thread::yield_now();
            inside.fetch_sub(1, SeqCst);
            check!(guard.release()?, "a release of what is held");
        }
        Ok(())
    })?;
    same!(lock.state()?, LockState::Free);
    check!(nothing_left(store)?, "something is left of a free lock");
    Ok(())
}

pub(crate) fn who_comes_later_holds_after_the_release(store: &Sync) -> Outcome {
    let (lock, released) = (store.lock("k")?, AtomicU32::new(0));
    let guard = lock.acquire()?;
    let first = || -> Outcome {
        check!(becomes_true(|| Ok(queued(store)? == 1))?, "nobody waits");
        thread::sleep(SHORT);
        released.store(1, SeqCst);
        check!(guard.release()?);
        Ok(())
    };
    let second = || -> Outcome {
        let guard = lock.acquire()?;
        same!(released.load(SeqCst), 1);
        check!(!guard.previous_owner_died());
        Ok(())
    };
    meanwhile(first, second)?;
    Ok(())
}

pub(crate) fn a_lock_is_handed_over_in_order_of_arrival(store: &Sync) -> Outcome {
    let (lock, turn) = (store.lock("k")?, AtomicU32::new(0));
    let guard = lock.acquire()?;
    thread::scope(|scope| {
        let mut waiters = vec![];
        for number in 0..6 {
            let (lock, turn) = (&lock, &turn);
            waiters.push(scope.spawn(move || -> Outcome {
                let _guard = lock.acquire()?;
                same!(turn.fetch_add(1, SeqCst), number);
                Ok(())
            }));
            check!(becomes_true(|| Ok(queued(store)? == number as usize + 1))?, "waiter {number} does not queue");
            // Nobody overtakes those who wait, also while it is free for a moment.
            check!(thread::scope(|inner| inner.spawn(|| lock.try_acquire()).join().expect("no panic"))?.is_none());
        }
        drop(guard);
        waiters.into_iter().try_for_each(|waiter| waiter.join().expect("no panic"))
    })?;
    same!(turn.load(SeqCst), 6);
    check!(nothing_left(store)?, "something is left of a free lock");
    Ok(())
}

pub(crate) fn waiting_takes_nothing_and_creates_nothing(store: &Sync) -> Outcome {
    let lock = store.lock("k")?;
    lock.wait()?;
    check!(lock.wait_timeout(Duration::ZERO)?);
    check!(nothing_left(store)?, "waiting leaves something behind");
    let guard = lock.acquire()?;
    check!(!lock.wait_timeout(SHORT)?);
    check!(!lock.wait_deadline(Instant::now())?);
    let release = || -> Outcome {
        thread::sleep(SHORT);
        drop(guard);
        Ok(())
    };
    meanwhile(release, || Ok(lock.wait()?))?;
    same!(lock.state()?, LockState::Free);
    check!(nothing_left(store)?, "waiting leaves something behind");
    Ok(())
}

pub(crate) fn a_wait_ends_with_the_holding_it_saw(store: &Sync) -> Outcome {
    // Each holder hands over to another, so that the lock is never free: who waited for the first returns all the same.
    // When it begins to wait cannot be seen; one who was late has waited for the second, and tries again.
    for _ in 0..10 {
        if returns_while_another_holds(store)? {
            return Ok(());
        }
    }
    Err(Failure::new("it waited for the second holder too"))
}

fn returns_while_another_holds(store: &Sync) -> Outcome<bool> {
    let (lock, released) = (store.lock("k")?, AtomicU32::new(0));
    let first = lock.acquire()?;
    let wait = || -> Outcome<bool> {
        check!(becomes_true(|| Ok(queued(store)? == 1))?, "nobody queues");
        let waiting = || -> Outcome<bool> {
            lock.wait()?;
            Ok(released.load(SeqCst) == 0)
        };
        let release = || -> Outcome {
            thread::sleep(SHORT);
            drop(first);
            Ok(())
        };
        Ok(meanwhile(release, waiting)?.1)
    };
    let hold = || -> Outcome {
        let second = lock.acquire()?;
        thread::sleep(4 * SHORT);
        released.store(1, SeqCst);
        check!(second.release()?);
        Ok(())
    };
    Ok(meanwhile(wait, hold)?.0)
}

pub(crate) fn a_forced_lock_is_free_and_its_owner_learns_it(store: &Sync) -> Outcome {
    let lock = store.lock("k")?;
    check!(!lock.force_release()?);
    let guard = lock.acquire()?;
    check!(is_held(&lock)?);
    check!(lock.force_release()?);
    check!(!is_held(&lock)?);
    check!(!lock.force_release()?);
    check!(!guard.is_held()?);
    refused!(Lost, guard.extend(LONG));
    let next = lock.acquire()?;
    check!(next.token() > guard.token());
    check!(!guard.release()?, "a forced lock is released");
    check!(next.is_held()?, "the next holder lost it by that");
    Ok(())
}

pub(crate) fn a_forced_lock_wakes_all_who_wait(store: &Sync) -> Outcome {
    let lock = store.lock("k")?;
    let guard = lock.acquire()?;
    let force = || -> Outcome {
        check!(becomes_true(|| Ok(queued(store)? == 2))?, "nobody waits");
        check!(lock.force_release()?);
        Ok(())
    };
    let waiters = || {
        together(4, |number| -> Outcome {
            if number < 2 {
                drop(lock.acquire()?);
            } else {
                lock.wait()?;
            }
            Ok(())
        })
    };
    meanwhile(force, waiters)?;
    check!(!guard.is_held()?);
    Ok(())
}

pub(crate) fn a_lock_taken_twice_by_one_thread_is_a_deadlock(store: &Sync) -> Outcome {
    let lock = store.lock("k")?;
    let guard = lock.acquire()?;
    refused!(Deadlock, lock.acquire());
    refused!(Deadlock, lock.try_acquire());
    refused!(Deadlock, store.lock("k")?.acquire_timeout(LONG));
    refused!(Deadlock, store.lock("k")?.shared().acquire());
    check!(guard.is_held()?);
    drop(guard);
    let shared = store.lock("k")?.shared();
    let guard = shared.acquire()?;
    refused!(Deadlock, shared.acquire());
    drop(guard);
    let two = store.semaphore("s", 2)?;
    let _held = (two.acquire()?, two.acquire()?);
    refused!(Deadlock, two.acquire());
    refused!(Deadlock, two.wait());
    Ok(())
}

pub(crate) fn a_thread_that_waits_for_its_own_lock_is_told(store: &Sync) -> Outcome {
    let lock = store.lock("k")?;
    let guard = lock.acquire()?;
    refused!(Deadlock, lock.wait());
    check!(!lock.wait_timeout(SHORT)?, "it is held, and no longer");
    check!(guard.release()?);
    // What ends by itself may be waited for by anybody.
    let limited = store.lock("k")?.ttl(SHORT);
    let guard = limited.acquire()?;
    limited.wait()?;
    check!(!guard.is_held()?);
    Ok(())
}

pub(crate) fn a_guard_may_be_released_by_another_thread(store: &Sync) -> Outcome {
    let lock = store.lock("k")?;
    let guard = lock.acquire()?;
    check!(thread::scope(|scope| scope.spawn(move || guard.release()).join().expect("no panic"))?);
    drop(lock.acquire()?);
    Ok(())
}

pub(crate) fn a_limit_on_waiting_names_the_holder_and_leaves_nothing(store: &Sync) -> Outcome {
    let lock = store.lock("deploy")?.label("deploy.sh");
    let guard = lock.acquire()?;
    let wait = || -> Outcome {
        check!(lock.try_acquire()?.is_none());
        refused!(Timeout, lock.acquire_timeout(Duration::ZERO));
        refused!(Timeout, lock.acquire_deadline(Instant::now()));
        let begun = Instant::now();
        let Err(error) = lock.acquire_timeout(SHORT) else { return Err(Failure::new("it is held by two")) };
        check!(begun.elapsed() >= SHORT);
        same!(error.kind(), crate::ErrorKind::Timeout);
        let text = error.to_string();
        check!(text.starts_with("lock \"deploy\": still held by pid "), "{text}");
        check!(text.contains(&format!("pid {} (deploy.sh", std::process::id())), "{text}");
        same!(queued(store)?, 0);
        Ok(())
    };
    meanwhile(|| Ok(()), wait)?;
    check!(guard.release()?);
    check!(nothing_left(store)?, "who gave up has left something");
    Ok(())
}

pub(crate) fn who_gives_up_in_the_queue_lets_the_next_move_up(store: &Sync) -> Outcome {
    let lock = store.lock("k")?;
    let guard = lock.acquire()?;
    thread::scope(|scope| -> Outcome {
        let impatient = scope.spawn(|| lock.acquire_timeout(16 * SHORT).map(drop));
        check!(becomes_true(|| Ok(queued(store)? == 1))?, "nobody waits");
        let patient = scope.spawn(|| lock.acquire_timeout(LONG).map(drop));
        check!(becomes_true(|| Ok(queued(store)? == 2))?, "the second does not wait");
        refused!(Timeout, impatient.join().expect("no panic"));
        drop(guard);
        Ok(patient.join().expect("no panic")?)
    })?;
    check!(nothing_left(store)?, "something is left of a free lock");
    Ok(())
}

pub(crate) fn a_wait_for_a_lock_can_be_stopped(store: &Sync) -> Outcome {
    let guard = store.lock("k")?.acquire()?;
    let lock = store.lock("k")?;
    let stop = lock.stop_handle();
    let wait = || -> Outcome {
        refused!(Stopped, lock.acquire());
        refused!(Stopped, lock.acquire_timeout(LONG));
        refused!(Stopped, lock.wait());
        Ok(())
    };
    let stopping = || -> Outcome {
        check!(becomes_true(|| Ok(queued(store)? == 1))?, "nobody waits");
        stop.stop();
        Ok(())
    };
    meanwhile(stopping, wait)?;
    same!(queued(store)?, 0);
    check!(guard.release()?);
    Ok(())
}

pub(crate) fn locks_of_other_kinds_and_namespaces_are_others(store: &Sync) -> Outcome {
    let guard = store.namespace("n1").lock("k")?.acquire()?;
    store.integer("s").set(5)?;
    same!(store.lock("s")?.state()?, LockState::Free);
    same!(store.namespace("n2").lock("k")?.state()?, LockState::Free);
    same!(store.lock("k")?.state()?, LockState::Free);
    same!(store.semaphore("k", 1)?.state()?, LockState::Free);
    drop(store.lock("k")?.acquire()?);
    drop(store.namespace("n2").lock("k")?.acquire()?);
    check!(is_held(&store.lock("n1/k")?)?, "the outer handle sees it under its longer name");
    same!(store.len()?, 1);
    store.clear()?;
    check!(guard.release()?);
    Ok(())
}

pub(crate) fn names_of_locks_are_checked(store: &Sync) -> Outcome {
    refused!(Invalid, store.lock(""));
    refused!(Invalid, store.lock("a\nb"));
    refused!(Invalid, store.lock(&"x".repeat(256)));
    refused!(Invalid, store.semaphore("s", 0));
    refused!(Invalid, store.lock("k")?.ttl(Duration::from_micros(999)).acquire());
    refused!(Invalid, store.lock("k")?.label("a\u{1b}b").acquire());
    refused!(Invalid, store.semaphore("s", 2)?.shared().acquire());
    refused!(Invalid, store.lock("k")?.on_behalf_of(&OwnerProcess::current()).acquire());
    check!("12x".parse::<Token>().is_err() && "0".parse::<Token>().is_err());
    check!(nothing_left(store)?, "something is held");
    for name in ["0", "重庆", "a/b", &"x".repeat(255)] {
        let guard = store.lock(name)?.acquire()?;
        check!(is_held(&store.lock(name)?)?);
        check!(guard.release()?);
    }
    Ok(())
}

pub(crate) fn tokens_grow_and_say_who_may_release(store: &Sync) -> Outcome {
    let lock = store.lock("k")?;
    let mut last = None;
    for round in 0..50 {
        let guard = if round % 2 == 0 { lock.acquire()? } else { store.lock("k")?.ttl(LONG).acquire()? };
        check!(Some(guard.token()) > last, "{:?} after {last:?}", guard.token());
        last = Some(guard.token());
        same!(guard.token().to_string().parse::<Token>()?, guard.token());
        if round % 3 == 0 {
            check!(lock.release_with(guard.token())?);
            check!(!lock.release_with(guard.token())?);
            check!(!guard.release()?);
        }
    }
    Ok(())
}

pub(crate) fn what_is_kept_is_released_with_its_token(store: &Sync) -> Outcome {
    for lock in [store.lock("k")?.forever(), store.lock("k")?.ttl(LONG)] {
        let token = lock.acquire()?.keep();
        check!(is_held(&lock)?);
        // It is kept for somebody else: this thread does not wait for itself.
        refused!(Timeout, lock.acquire_timeout(SHORT));
        check!(!lock.release_with(Token::new(token.get() + 1).unwrap_or(token))?);
        check!(lock.release_with(token)?);
        same!(lock.state()?, LockState::Free);
    }
    check!(nothing_left(store)?, "something is left of a free lock");
    Ok(())
}

pub(crate) fn a_lock_is_held_for_another_owner(store: &Sync) -> Outcome {
    let (panel, other) = (OwnerProcess::labelled("panel")?, OwnerProcess::labelled("other")?);
    let lock = store.lock("pause")?.forever();
    let _ = lock.clone().on_behalf_of(&panel).acquire()?.keep();
    match lock.state()? {
        LockState::Held(owner) => same!(owner.label, "panel"),
        state => return Err(Failure::new(state)),
    }
    check!(!lock.release_owned(&[other.clone(), OwnerProcess::current()])?);
    check!(lock.release_owned(&[other, panel.clone()])?);
    check!(!lock.release_owned(&[panel])?);
    let me = OwnerProcess::current();
    let _ = lock.clone().on_behalf_of(&me).die_with_owner().acquire()?.keep();
    check!(is_held(&lock)?, "its owner is alive");
    check!(lock.release_owned(&[me])?);
    Ok(())
}
