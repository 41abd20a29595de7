//! How long entries stay.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    conformance::{
        Failure, Outcome,
        failure::{check, same},
        tools::{LONG, OPEN, VALUES, becomes_true, commit, delete, keys, put, put_for, storing, value},
    },
    driver::{Commit, Driver, Expected, Head, Lifetime, Remaining, State},
};

fn head(driver: &dyn Driver, key: &str) -> Outcome<Head> {
    driver.head(&OPEN, VALUES, key)?.ok_or_else(|| Failure::new(format_args!("{key:?} is not there")))
}

/// Stores an entry that is expired when this returns.
fn put_expired(driver: &dyn Driver, key: &str) -> Outcome<crate::driver::Revision> {
    let revision = put_for(driver, key, b"late", Duration::from_millis(5))?;
    check!(becomes_true(|| Ok(value(driver, key)?.is_none()))?, "{key:?} never expires");
    Ok(revision)
}

fn keep(driver: &dyn Driver, key: &str) -> Outcome {
    driver.put(&OPEN, VALUES, key, b"kept", Lifetime::Keep)?;
    same!(value(driver, key)?, Some(b"kept".to_vec()));
    Ok(())
}

pub(crate) fn an_entry_with_a_time_is_there_until_it_is_up(driver: &dyn Driver) -> Outcome {
    let time = Duration::from_millis(400);
    let begun = Instant::now();
    put_for(driver, "short", b"here", time)?;
    loop {
        let seen = value(driver, "short")?;
        let now = begun.elapsed();
        match seen {
            Some(bytes) => same!(bytes, b"here"),
            // The clock of a lifetime may be coarse, but never by more than some milliseconds.
            None => {
                check!(now + Duration::from_millis(20) >= time, "gone after {now:?} of {time:?}");
                break;
            }
        }
        check!(now < LONG, "still there after {now:?}");
        thread::sleep(Duration::from_millis(5));
    }
    check!(keys(driver, "")?.is_empty());
    same!(driver.count(&OPEN, VALUES, "")?, 0);
    check!(driver.snapshot(&OPEN, VALUES, "")?.is_empty());
    check!(driver.head(&OPEN, VALUES, "short")?.is_none_or(|head| head.state == State::Expired));
    Ok(())
}

pub(crate) fn what_remains_of_a_time_can_be_read(driver: &dyn Driver) -> Outcome {
    let before = Instant::now();
    put_for(driver, "timed", b"", Duration::from_secs(100))?;
    match head(driver, "timed")?.remaining {
        Remaining::Until(end) => {
            let (least, most) = (before + Duration::from_secs(99), Instant::now() + Duration::from_secs(101));
            check!(end > least && end < most, "100 s end in {:?}", end.saturating_duration_since(before));
        }
        other => check!(false, "100 s are read back as {other:?}"),
    }
    Ok(())
}

pub(crate) fn a_very_long_time_is_no_short_one(driver: &dyn Driver) -> Outcome {
    for seconds in [u64::from(u32::MAX), 31_536_000_000, u64::MAX / 2] {
        put_for(driver, "long", b"", Duration::from_secs(seconds))?;
        check!(value(driver, "long")?.is_some(), "an entry for {seconds} s is gone at once");
        same!(head(driver, "long")?.state, State::Live);
    }
    put_for(driver, "long", b"", Duration::MAX)?;
    check!(value(driver, "long")?.is_some());
    Ok(())
}

pub(crate) fn no_time_at_all_is_over_at_once(driver: &dyn Driver) -> Outcome {
    put_for(driver, "never", b"", Duration::ZERO)?;
    same!(value(driver, "never")?, None);
    check!(keys(driver, "")?.is_empty());
    Ok(())
}

pub(crate) fn a_plain_put_takes_the_time_limit_away(driver: &dyn Driver) -> Outcome {
    put_for(driver, "key", b"short", Duration::from_millis(30))?;
    put(driver, "key", b"long")?;
    same!(head(driver, "key")?.remaining, Remaining::Forever);
    thread::sleep(Duration::from_millis(80));
    same!(value(driver, "key")?, Some(b"long".to_vec()));
    Ok(())
}

pub(crate) fn keep_keeps_the_lifetime_there_is(driver: &dyn Driver) -> Outcome {
    put_for(driver, "timed", b"", LONG)?;
    let before = head(driver, "timed")?.remaining;
    keep(driver, "timed")?;
    driver.add(&OPEN, VALUES, "number", 1)?;
    same!(head(driver, "number")?.remaining, Remaining::Forever);
    match (before, head(driver, "timed")?.remaining) {
        (Remaining::Until(old), Remaining::Until(new)) => {
            let apart = old.max(new) - old.min(new);
            check!(apart < Duration::from_millis(100), "the deadline moves by {apart:?}");
        }
        other => check!(false, "a deadline is kept as {other:?}"),
    }
    put(driver, "forever", b"")?;
    keep(driver, "forever")?;
    same!(head(driver, "forever")?.remaining, Remaining::Forever);
    driver.put(&OPEN, VALUES, "mine", b"", Lifetime::Process)?;
    keep(driver, "mine")?;
    same!(head(driver, "mine")?.remaining, Remaining::Owner(driver.owner()?));
    Ok(())
}

pub(crate) fn keep_means_forever_where_nothing_is_left(driver: &dyn Driver) -> Outcome {
    keep(driver, "absent")?;
    same!(head(driver, "absent")?.remaining, Remaining::Forever);
    put_expired(driver, "expired")?;
    keep(driver, "expired")?;
    same!(head(driver, "expired")?.remaining, Remaining::Forever);
    put_for(driver, "deleted", b"", LONG)?;
    check!(delete(driver, "deleted")?);
    keep(driver, "deleted")?;
    same!(head(driver, "deleted")?.remaining, Remaining::Forever);
    Ok(())
}

pub(crate) fn an_add_keeps_the_lifetime(driver: &dyn Driver) -> Outcome {
    let one = [1];
    put_for(driver, "timed", &one, Duration::from_millis(100))?;
    let Remaining::Until(_) = head(driver, "timed")?.remaining else {
        return Err(Failure::new("a time limit is not read back"));
    };
    let (sum, _) = driver.add(&OPEN, VALUES, "timed", 1)?;
    check!(sum == 2 || sum == 1, "1 and 1 are {sum}");
    if sum == 2 {
        check!(becomes_true(|| Ok(value(driver, "timed")?.is_none()))?, "add makes an entry live for ever");
        same!(driver.add(&OPEN, VALUES, "timed", 5)?.0, 5);
    }
    same!(head(driver, "timed")?.remaining, Remaining::Forever);
    Ok(())
}

pub(crate) fn an_entry_of_this_process_names_its_owner(driver: &dyn Driver) -> Outcome {
    driver.put(&OPEN, VALUES, "mine", b"me", Lifetime::Process)?;
    let me = driver.owner()?;
    same!(head(driver, "mine")?.remaining, Remaining::Owner(me));
    same!(head(driver, "mine")?.state, State::Live);
    check!(driver.is_alive(me)?);
    same!(value(driver, "mine")?, Some(b"me".to_vec()));
    Ok(())
}

pub(crate) fn an_expired_entry_counts_as_absent_everywhere(driver: &dyn Driver) -> Outcome {
    let old = put_expired(driver, "late")?;
    let expecting = |expected| Commit { expect: vec![(VALUES, "late", expected)], ops: vec![] };
    same!(commit(driver, expecting(Expected::Absent))?, Ok(vec![]));
    for expected in [Expected::Present, Expected::At(old)] {
        match commit(driver, expecting(expected))? {
            Err(conflict) => same!((conflict.key.as_str(), conflict.current), ("late", None)),
            Ok(_) => check!(false, "{expected:?} holds for an expired entry"),
        }
    }
    check!(!delete(driver, "late")?, "an expired entry can be deleted");
    let late = put_expired(driver, "late")?;
    check!(late > old);
    let ops = vec![(VALUES, "late", storing(b"new"))];
    let expect = vec![(VALUES, "late", Expected::Absent)];
    let answer = commit(driver, Commit { expect, ops })?;
    check!(answer.is_ok_and(|revisions| revisions[0] > Some(late)), "a new entry is no newer than an expired one");
    Ok(())
}

pub(crate) fn expired_entries_leave_nothing_behind(driver: &dyn Driver) -> Outcome {
    for round in 0..5 {
        for number in 0..200 {
            put_for(driver, &format!("{round}/{number}"), &[0; 500], Duration::from_millis(10))?;
        }
    }
    check!(becomes_true(|| Ok(driver.count(&OPEN, VALUES, "")? == 0))?, "entries stay after their time");
    put(driver, "new", b"")?;
    same!(keys(driver, "")?, ["new"]);
    Ok(())
}
