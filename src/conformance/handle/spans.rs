//! Holdings with limits: of time, of number, shared ones.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use super::locks::queued;
use crate::{
    LockState, Sync,
    conformance::{
        Failure, Outcome,
        failure::{check, refused, same},
        tools::{LONG, SHORT, becomes_true, meanwhile, together},
    },
    driver::Lifetime,
};

pub(crate) fn a_time_limit_keeps_others_out_while_it_lasts(store: &Sync) -> Outcome {
    let guard = store.lock("k")?.ttl(Duration::from_secs(3600)).acquire()?;
    let wait = || -> Outcome {
        refused!(Timeout, store.lock("k")?.acquire_timeout(2 * SHORT));
        Ok(())
    };
    meanwhile(|| Ok(()), wait)?;
    check!(guard.is_held()?);
    match store.lock("k")?.state()? {
        LockState::Held(owner) => {
            same!(owner.lifetime, Lifetime::Ttl(Duration::from_secs(3600)));
            let left = owner.expires_in.unwrap_or_default();
            check!(left > Duration::from_secs(3500) && left <= Duration::from_secs(3600), "{left:?}");
        }
        state => return Err(Failure::new(state)),
    }
    check!(guard.release()?);
    Ok(())
}

pub(crate) fn a_time_limit_ends_a_holding_though_nobody_contends(store: &Sync) -> Outcome {
    let lock = store.lock("k")?.ttl(SHORT);
    let begun = Instant::now();
    let guard = lock.acquire()?;
    check!(becomes_true(|| Ok(!guard.is_held()?))?, "it never expires");
    check!(begun.elapsed() >= SHORT, "it expires early");
    same!(lock.state()?, LockState::Free);
    refused!(Lost, guard.extend(LONG));
    check!(!guard.release()?, "a late release is accepted");
    Ok(())
}

pub(crate) fn who_waits_gets_an_expired_lock(store: &Sync) -> Outcome {
    let ttl = 4 * SHORT;
    let begun = Instant::now();
    let guard = store.lock("k")?.ttl(ttl).acquire()?;
    let wait = || -> Outcome {
        let next = store.lock("k")?.acquire_timeout(LONG)?;
        check!(begun.elapsed() >= ttl, "it is stolen after {:?}", begun.elapsed());
        check!(!next.previous_owner_died(), "nobody has died");
        drop(next);
        Ok(())
    };
    meanwhile(|| Ok(()), wait)?;
    check!(!guard.is_held()?);
    Ok(())
}

pub(crate) fn an_extended_lock_stays(store: &Sync) -> Outcome {
    let lock = store.lock("k")?;
    let guard = store.lock("k")?.ttl(16 * SHORT).acquire()?;
    guard.extend(Duration::from_secs(3600))?;
    let wait = || -> Outcome {
        refused!(Timeout, lock.acquire_timeout(20 * SHORT));
        Ok(())
    };
    meanwhile(|| Ok(()), wait)?;
    check!(guard.is_held()?);
    refused!(Invalid, guard.extend(Duration::ZERO));
    guard.extend(Duration::from_millis(1))?;
    check!(becomes_true(|| Ok(!guard.is_held()?))?, "an extension that is shorter does not count");
    drop(lock.acquire()?);
    let plain = lock.acquire()?;
    refused!(Invalid, plain.extend(LONG));
    check!(plain.is_held()?);
    Ok(())
}

pub(crate) fn extending_and_contending_never_make_two_holders(store: &Sync) -> Outcome {
    // The limit is so short that every extension races with everybody's taking over. Each writes down until when it
    // holds at least; nobody may get it before.
    let (begun, limit) = (Instant::now(), Duration::from_millis(2));
    let now = || begun.elapsed().as_nanos() as u64;
    let until: [AtomicU64; 4] = Default::default();
    let lost = together(4, |me| -> Outcome<u32> {
        let (lock, mut lost, mut turns) = (store.lock("k")?.ttl(limit), 0, 0);
        while turns < 25 {
            let held = || until.each_ref().map(|until| until.load(SeqCst));
            let before = held();
            let Some(guard) = lock.try_acquire()? else { continue };
            let got = now();
            // Whoever gave it back has said so before.
            let both = before.iter().zip(held()).find(|(before, after)| **before == *after && *after > got);
            check!(both.is_none(), "it is held by two: {both:?} at {got}");
            turns += 1;
            for _ in 0..5 {
                let asked = now();
                match guard.extend(limit) {
                    Ok(()) => until[me].store(asked + limit.as_nanos() as u64, SeqCst),
                    Err(error) if error.kind() == crate::ErrorKind::Lost => {
                        check!(!guard.is_held()?, "lost and held");
                        lost += 1;
                        break;
                    }
                    Err(error) => return Err(error.into()),
                }
                // Sometimes too late.
                thread::sleep(Duration::from_micros(700 * (turns % 4)));
            }
            until[me].store(0, SeqCst);
            drop(guard);
        }
        Ok(lost)
    })?;
    check!(lost.iter().sum::<u32>() > 0, "no extension came too late");
    Ok(())
}

pub(crate) fn a_least_time_keeps_others_out_after_the_release(store: &Sync) -> Outcome {
    let least = 12 * SHORT;
    let lock = store.lock("k")?.hold_at_least(least);
    let begun = Instant::now();
    check!(lock.acquire()?.release()?);
    check!(matches!(lock.state()?, LockState::Held(_)));
    check!(lock.try_acquire()?.is_none());
    let next = store.lock("k")?.acquire_timeout(LONG)?;
    check!(begun.elapsed() >= least, "it is free after {:?}", begun.elapsed());
    check!(next.release()?);
    let forced = lock.acquire()?;
    check!(lock.force_release()?);
    check!(lock.try_acquire()?.is_some());
    check!(!forced.release()?);
    Ok(())
}

pub(crate) fn what_is_limited_leaves_nothing_for_ever(store: &Sync) -> Outcome {
    use crate::driver::{Access, Driver, Range, Remaining, Space};
    let stays = || -> Outcome<usize> {
        let records = store.driver.range(&Access::default(), Range::keys(Space::Coordination, "lock/"))?;
        Ok(records.iter().filter(|record| record.head.remaining == Remaining::Forever).count())
    };
    let kept = store.lock("k")?.ttl(SHORT).acquire()?.keep();
    check!(store.lock("l")?.hold_at_least(SHORT).acquire()?.release()?);
    same!(stays()?, 0);
    // Beyond that, it stays as long as it is held.
    let guard = store.lock("m")?.ttl(LONG).acquire()?;
    guard.extend(Duration::from_secs(3600))?;
    same!(stays()?, 1);
    check!(guard.release()?);
    let wait = || -> Outcome {
        drop(store.lock("k")?.acquire_timeout(LONG)?);
        Ok(())
    };
    let other = || -> Outcome {
        drop(store.lock("l")?.acquire_timeout(LONG)?);
        Ok(())
    };
    meanwhile(wait, other)?;
    check!(!store.lock("k")?.release_with(kept)?);
    same!(store.driver.range(&Access::default(), Range::keys(Space::Coordination, "lock/"))?.len(), 0);
    Ok(())
}

pub(crate) fn many_share_a_lock_and_one_has_it_alone(store: &Sync) -> Outcome {
    let (shared, alone) = (store.lock("k")?.shared(), store.lock("k")?);
    let (readers, writers) = (AtomicU32::new(0), AtomicU32::new(0));
    together(6, |number| -> Outcome {
        for _ in 0..25 {
            if number < 4 {
                let _guard = shared.acquire()?;
                readers.fetch_add(1, SeqCst);
                same!(writers.load(SeqCst), 0);
                thread::yield_now();
                readers.fetch_sub(1, SeqCst);
            } else {
                let _guard = alone.acquire()?;
                same!(writers.fetch_add(1, SeqCst), 0);
                same!(readers.load(SeqCst), 0);
                thread::yield_now();
                writers.fetch_sub(1, SeqCst);
            }
        }
        Ok(())
    })?;
    same!(alone.state()?, LockState::Free);
    Ok(())
}

pub(crate) fn all_who_share_are_let_in_together(store: &Sync) -> Outcome {
    let (shared, inside) = (store.lock("k")?.shared(), AtomicU32::new(0));
    let alone = store.lock("k")?.acquire()?;
    let release = || -> Outcome {
        check!(becomes_true(|| Ok(queued(store)? == 4))?, "they do not wait");
        drop(alone);
        Ok(())
    };
    let share = || {
        together(4, |_| -> Outcome {
            let _guard = shared.acquire()?;
            inside.fetch_add(1, SeqCst);
            check!(becomes_true(|| Ok(inside.load(SeqCst) == 4))?, "they are not in together");
            Ok(())
        })
    };
    meanwhile(release, share)?;
    Ok(())
}

pub(crate) fn who_shares_does_not_overtake_who_wants_it_alone(store: &Sync) -> Outcome {
    let shared = store.lock("k")?.shared();
    let first = shared.acquire()?;
    let order = AtomicU32::new(0);
    thread::scope(|scope| -> Outcome {
        let alone = scope.spawn(|| -> Outcome {
            let _guard = store.lock("k")?.acquire()?;
            same!(order.fetch_add(1, SeqCst), 0);
            Ok(())
        });
        check!(becomes_true(|| Ok(queued(store)? == 1))?, "nobody waits");
        let later = scope.spawn(|| -> Outcome {
            check!(shared.try_acquire()?.is_none(), "it overtakes");
            let _guard = shared.acquire()?;
            same!(order.fetch_add(1, SeqCst), 1);
            Ok(())
        });
        check!(becomes_true(|| Ok(queued(store)? == 2))?, "the second does not wait");
        drop(first);
        alone.join().expect("no panic")?;
        later.join().expect("no panic")
    })
}

pub(crate) fn a_semaphore_lets_in_as_many_as_it_has_permits(store: &Sync) -> Outcome {
    let (three, inside, most) = (store.semaphore("s", 3)?, AtomicU32::new(0), AtomicU32::new(0));
    together(6, |_| -> Outcome {
        for _ in 0..25 {
            let guard = three.acquire()?;
            let now = inside.fetch_add(1, SeqCst) + 1;
            check!(now <= 3, "{now} have it at once");
            most.fetch_max(now, SeqCst);
            thread::sleep(Duration::from_micros(200));
            inside.fetch_sub(1, SeqCst);
            check!(guard.release()?);
        }
        Ok(())
    })?;
    same!(three.state()?, LockState::Free);
    let held = [three.acquire()?, three.acquire()?];
    same!(three.state()?, LockState::Free);
    check!(three.wait_timeout(Duration::ZERO)?);
    let last = three.acquire()?;
    check!(matches!(three.state()?, LockState::Held(_)));
    check!(!three.wait_timeout(Duration::ZERO)?);
    drop(last);
    check!(three.wait_timeout(LONG)?);
    check!(held.iter().all(|guard| guard.is_held().unwrap_or(false)));
    Ok(())
}

pub(crate) fn the_first_use_fixes_the_permits(store: &Sync) -> Outcome {
    let unused = store.semaphore("s", 7)?;
    let two = store.semaphore("s", 2)?;
    drop(two.acquire()?);
    let Err(error) = store.semaphore("s", 3) else { return Err(Failure::new("another number is accepted")) };
    same!(error.kind(), crate::ErrorKind::Mismatch);
    check!(error.to_string().contains('2') && error.to_string().contains('3'), "{error}");
    refused!(Mismatch, unused.acquire());
    drop(two.acquire()?);
    Ok(())
}
