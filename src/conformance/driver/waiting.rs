//! Waiting for changes: level-triggered, so that none is missed.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    conformance::{
        Failure, Outcome,
        failure::{check, refused, same},
        tools::{LONG, OPEN, SHORT, VALUES, commit, delete, meanwhile, patience, put, put_for, storing},
    },
    driver::{Commit, Driver, Lifetime, Patience, Revision, Space, Stop},
};

fn wait_for(driver: &dyn Driver, key: &str, seen: Option<Revision>) -> Outcome<bool> {
    Ok(driver.wait(&[(VALUES, key, seen)], patience(LONG))?)
}

/// Waits in one thread while `change` happens a little later in another.
fn woken_by(driver: &dyn Driver, keys: &[&str], change: impl FnOnce() -> Outcome + Send) -> Outcome {
    let mut watched = vec![];
    for key in keys {
        watched.push((VALUES, *key, driver.head(&OPEN, VALUES, key)?.map(|head| head.revision)));
    }
    let wait = || -> Outcome<bool> { Ok(driver.wait(&watched, patience(LONG))?) };
    let later = || {
        thread::sleep(SHORT);
        change()
    };
    let (woken, ()) = meanwhile(wait, later)?;
    check!(woken, "nobody wakes who waits for {keys:?}");
    Ok(())
}

pub(crate) fn a_wait_for_what_has_changed_already_returns_at_once(driver: &dyn Driver) -> Outcome {
    let old = put(driver, "key", b"1")?;
    let now = put(driver, "key", b"2")?;
    let begun = Instant::now();
    check!(wait_for(driver, "key", None)?);
    check!(wait_for(driver, "key", Some(old))?);
    check!(driver.wait(&[(VALUES, "absent", None), (VALUES, "key", Some(old))], patience(LONG))?);
    check!(delete(driver, "key")?);
    check!(wait_for(driver, "key", Some(now))?);
    let again = put(driver, "key", b"2")?;
    check!(again > now && wait_for(driver, "key", Some(now))?);
    check!(begun.elapsed() < LONG / 2, "what has changed already is waited for");
    Ok(())
}

pub(crate) fn patience_runs_out_when_nothing_changes(driver: &dyn Driver) -> Outcome {
    let now = put(driver, "key", b"1")?;
    let begun = Instant::now();
    check!(!driver.wait(&[(VALUES, "key", Some(now)), (VALUES, "absent", None)], patience(SHORT))?);
    check!(begun.elapsed() >= SHORT, "patience of {SHORT:?} ends after {:?}", begun.elapsed());
    let begun = Instant::now();
    check!(!driver.wait(&[(VALUES, "key", Some(now))], patience(Duration::ZERO))?);
    let past = Patience { deadline: Some(begun), stop: None };
    check!(!driver.wait(&[(VALUES, "absent", None)], past)?);
    check!(begun.elapsed() < LONG / 2);
    Ok(())
}

pub(crate) fn every_kind_of_change_wakes_who_waits(driver: &dyn Driver) -> Outcome {
    woken_by(driver, &["key"], || Ok(put(driver, "key", b"created").map(drop)?))?;
    woken_by(driver, &["key"], || Ok(put(driver, "key", b"changed").map(drop)?))?;
    woken_by(driver, &["key"], || Ok(delete(driver, "key").map(drop)?))?;
    woken_by(driver, &["key"], || Ok(driver.add(&OPEN, VALUES, "key", 1).map(drop)?))?;
    woken_by(driver, &["key"], || {
        let ops = vec![(VALUES, "other", storing(b"1")), (VALUES, "key", storing(b"2"))];
        Ok(commit(driver, Commit { expect: vec![], ops }).map(drop)?)
    })?;
    woken_by(driver, &["key"], || {
        let entries = [("key".to_owned(), b"replaced".to_vec(), Lifetime::Forever)];
        Ok(driver.replace(&OPEN, VALUES, "", &entries)?)
    })?;
    woken_by(driver, &["key"], || Ok(driver.replace(&OPEN, VALUES, "", &[])?))
}

pub(crate) fn any_of_several_keys_wakes_who_waits(driver: &dyn Driver) -> Outcome {
    put(driver, "a", b"1")?;
    for key in ["a", "b", "c", "c", "b", "a"] {
        woken_by(driver, &["a", "b", "c"], || Ok(put(driver, key, b"2").map(drop)?))?;
    }
    Ok(())
}

pub(crate) fn a_change_of_another_key_wakes_nobody(driver: &dyn Driver) -> Outcome {
    let wait = || -> Outcome<bool> { Ok(driver.wait(&[(VALUES, "quiet", None)], patience(3 * SHORT))?) };
    let noise = || -> Outcome {
        for number in 0..50 {
            put(driver, &format!("noise {}", number % 7), b"x")?;
            driver.put(&OPEN, Space::Coordination, "quiet", b"x", Lifetime::Forever)?;
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    };
    let (woken, ()) = meanwhile(wait, noise)?;
    check!(!woken, "a change of other keys counts as a change of this one");
    Ok(())
}

pub(crate) fn an_expiry_ends_the_wait(driver: &dyn Driver) -> Outcome {
    let seen = put_for(driver, "short", b"", Duration::from_millis(150))?;
    let begun = Instant::now();
    check!(wait_for(driver, "short", Some(seen))?, "nobody hears of an expiry");
    check!(begun.elapsed() < LONG / 2);
    same!(driver.get(&OPEN, VALUES, "short", &mut vec![])?, None);
    check!(!driver.wait(&[(VALUES, "short", None)], patience(SHORT))?);
    Ok(())
}

pub(crate) fn no_change_between_looking_and_waiting_is_missed(driver: &dyn Driver) -> Outcome {
    const ROUNDS: u32 = 400;
    let follow = |mine: &'static str, theirs: &'static str, first: bool| {
        move || -> Outcome {
            let mut seen = None;
            for _ in 0..ROUNDS {
                if first {
                    put(driver, mine, b"ball")?;
                }
                check!(wait_for(driver, theirs, seen)?, "the ball is lost");
                seen = driver.head(&OPEN, VALUES, theirs)?.map(|head| head.revision);
                if !first {
                    put(driver, mine, b"ball")?;
                }
            }
            Ok(())
        }
    };
    meanwhile(follow("ping", "pong", true), follow("pong", "ping", false))?;
    Ok(())
}

pub(crate) fn a_stop_ends_the_wait(driver: &dyn Driver) -> Outcome {
    let stop = Stop::new();
    let patience = || Patience { deadline: Some(Instant::now() + LONG), stop: Some(&stop) };
    let version = driver.version()?;
    let later = || {
        thread::sleep(SHORT);
        stop.stop();
        driver.interrupt(&stop);
        Ok(())
    };
    meanwhile(
        || {
            refused!(Stopped, driver.wait(&[(VALUES, "never", None)], patience()));
            Ok(())
        },
        later,
    )?;
    refused!(Stopped, driver.wait(&[(VALUES, "never", None)], patience()));
    refused!(Stopped, driver.wait_version(version, patience()));
    let other = Stop::new();
    let patience = Patience { deadline: Some(Instant::now() + SHORT), stop: Some(&other) };
    check!(!driver.wait(&[(VALUES, "never", None)], patience)?, "one stop stops another wait");
    Ok(())
}

pub(crate) fn the_version_grows_with_every_change(driver: &dyn Driver) -> Outcome {
    let mut last = driver.version()?;
    let mut grown = |what: &str| -> Outcome {
        let now = driver.version()?;
        check!(now > last, "the version is {now} after {what}, before it {last}");
        last = now;
        Ok(())
    };
    put(driver, "key", b"1")?;
    grown("a put")?;
    driver.put(&OPEN, Space::Coordination, "key", b"1", Lifetime::Forever)?;
    grown("a put into the other space")?;
    driver.add(&OPEN, VALUES, "number", 1)?;
    grown("an add")?;
    delete(driver, "key")?;
    grown("a delete")?;
    commit(driver, Commit { expect: vec![], ops: vec![(VALUES, "other", storing(b"1"))] })?
        .map_err(|conflict| Failure::new(conflict.to_string()))?;
    grown("a commit")?;
    driver.replace(&OPEN, VALUES, "", &[])?;
    grown("a replace")
}

pub(crate) fn a_wait_for_the_version_ends_with_the_next_change(driver: &dyn Driver) -> Outcome {
    let old = driver.version()?;
    put(driver, "key", b"1")?;
    check!(driver.wait_version(old, patience(LONG))?);
    for number in 0..20 {
        let before = driver.version()?;
        let wait = || -> Outcome {
            // Early answers are allowed, so it is asked again; an answer that never comes is not.
            while driver.version()? == before {
                check!(driver.wait_version(before, patience(LONG))?, "nobody hears of the change");
            }
            Ok(())
        };
        meanwhile(wait, || {
            thread::sleep(Duration::from_millis(number));
            Ok(put(driver, "key", b"2").map(drop)?)
        })?;
    }
    let begun = Instant::now();
    driver.wait_version(driver.version()?, patience(SHORT))?;
    check!(begun.elapsed() < LONG / 2, "a wait for the version does not look at its deadline");
    Ok(())
}
