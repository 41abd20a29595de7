//! Following a prefix in the driver's own way, where it has one.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use crate::{
    conformance::{
        Failure, Outcome,
        failure::{check, refused, same},
        tools::{LONG, OPEN, SHORT, VALUES, delete, meanwhile, patience, put, put_for},
    },
    driver::{Driver, Patience, PrefixEvent, PrefixWatch, State, Stop},
};

/// The driver's own watch, or nothing where it leaves that to the layer above.
fn watch(driver: &dyn Driver) -> Outcome<Option<Box<dyn PrefixWatch>>> {
    Ok(driver.watch_prefix(&OPEN, VALUES, "p/")?)
}

fn next(watch: &mut Box<dyn PrefixWatch>) -> Outcome<PrefixEvent> {
    watch.next(patience(LONG))?.ok_or_else(|| Failure::new("nobody tells of a change"))
}

fn expect_set(watch: &mut Box<dyn PrefixWatch>, name: &str, bytes: &[u8]) -> Outcome {
    match next(watch)? {
        PrefixEvent::Set { key, value, .. } => same!((key.as_str(), &*value), (name, bytes)),
        other => check!(false, "{other:?} instead of {name:?} being set"),
    }
    Ok(())
}

pub(crate) fn a_prefix_watch_begins_with_what_is_there(driver: &dyn Driver) -> Outcome {
    put(driver, "p/1", b"one")?;
    put(driver, "p/2", b"two")?;
    put(driver, "q", b"other")?;
    let Some(mut watch) = watch(driver)? else { return Ok(()) };
    let mut seen = BTreeMap::new();
    for _ in 0..2 {
        match next(&mut watch)? {
            PrefixEvent::Set { key, value, .. } => drop(seen.insert(key, value)),
            other => check!(false, "the beginning is {other:?}"),
        }
    }
    let expected = [("p/1".to_owned(), b"one".to_vec()), ("p/2".to_owned(), b"two".to_vec())];
    same!(seen, BTreeMap::from(expected));
    same!(watch.next(patience(SHORT))?, None);
    Ok(())
}

pub(crate) fn a_prefix_watch_tells_what_changes(driver: &dyn Driver) -> Outcome {
    let Some(mut watch) = watch(driver)? else { return Ok(()) };
    put(driver, "p/1", b"one")?;
    expect_set(&mut watch, "p/1", b"one")?;
    put(driver, "q", b"other")?;
    put(driver, "p/1", b"two")?;
    expect_set(&mut watch, "p/1", b"two")?;
    delete(driver, "p/1")?;
    match next(&mut watch)? {
        PrefixEvent::Removed { key, reason, .. } => same!((key.as_str(), reason), ("p/1", State::Live)),
        other => check!(false, "{other:?} instead of a removal"),
    }
    put_for(driver, "p/2", b"short", Duration::from_millis(300))?;
    expect_set(&mut watch, "p/2", b"short")?;
    match next(&mut watch)? {
        PrefixEvent::Removed { key, reason, .. } => same!((key.as_str(), reason), ("p/2", State::Expired)),
        other => check!(false, "{other:?} instead of an expiry"),
    }
    same!(watch.next(patience(SHORT))?, None);
    Ok(())
}

pub(crate) fn a_prefix_watch_ends_with_the_last_state(driver: &dyn Driver) -> Outcome {
    let Some(mut watch) = watch(driver)? else { return Ok(()) };
    let write = || -> Outcome {
        for number in 0..500_u32 {
            put(driver, &format!("p/{}", number % 5), &number.to_le_bytes())?;
        }
        put(driver, "p/end", b"")?;
        Ok(())
    };
    let follow = || -> Outcome<BTreeMap<String, Vec<u8>>> {
        let mut state: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        // Changes of different keys may come in any order: it is over when all of the last state was seen.
        while state.len() < 6 || (0..5).any(|key| state[&format!("p/{key}")] != (495_u32 + key).to_le_bytes()) {
            if let PrefixEvent::Set { key, value, .. } = next(&mut watch)? {
                check!(state.get(&key).is_none_or(|old| number(old) < number(&value)), "{key} goes back");
                state.insert(key, value);
            }
        }
        Ok(state)
    };
    meanwhile(follow, write)?;
    Ok(())
}

fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_le_bytes)
}

pub(crate) fn a_prefix_watch_can_be_stopped(driver: &dyn Driver) -> Outcome {
    let Some(mut watch) = watch(driver)? else { return Ok(()) };
    let stop = Stop::new();
    let patience = Patience { deadline: Some(Instant::now() + LONG), stop: Some(&stop) };
    let wait = || {
        refused!(Stopped, watch.next(patience));
        Ok(())
    };
    meanwhile(wait, || {
        thread::sleep(SHORT);
        stop.stop();
        driver.interrupt(&stop);
        Ok(())
    })?;
    Ok(())
}
