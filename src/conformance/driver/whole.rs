//! A whole prefix: read at one moment, replaced at one moment.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::{
    conformance::{
        Failure, Outcome,
        failure::{check, same},
        tools::{LONG, OPEN, SHORT, VALUES, keys, patience, put, put_for, read, together, value},
    },
    driver::{Driver, Lifetime, MAX_OPERATIONS, Remaining, State},
    error::ErrorKind,
};

fn generation(number: u8, size: usize) -> Vec<(String, Vec<u8>, Lifetime)> {
    // Every generation has keys of its own and keys that all have.
    let name =
        |at: usize| if at.is_multiple_of(2) { format!("all/{at:03}") } else { format!("all/{at:03}/{}", number % 3) };
    (0..size).map(|at| (name(at), vec![number; 1 + at % 70], Lifetime::Forever)).collect()
}

pub(crate) fn a_snapshot_holds_every_live_entry_in_order(driver: &dyn Driver) -> Outcome {
    put(driver, "b/2", b"two")?;
    let first = put(driver, "b/1", b"one")?;
    put(driver, "c", b"other")?;
    put_for(driver, "b/timed", b"", LONG)?;
    put_for(driver, "b/dead", b"", std::time::Duration::ZERO)?;
    let entries = driver.snapshot(&OPEN, VALUES, "b/")?;
    same!(entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["b/1", "b/2", "b/timed"]);
    same!((&*entries[0].value, entries[0].head.revision), (&b"one"[..], first));
    check!(entries.iter().all(|entry| entry.head.state == State::Live));
    check!(matches!(entries[2].head.remaining, Remaining::Until(_)));
    same!(driver.snapshot(&OPEN, VALUES, "")?.len(), 4);
    check!(driver.snapshot(&OPEN, VALUES, "d")?.is_empty());
    Ok(())
}

pub(crate) fn a_replace_leaves_exactly_its_entries_below_its_prefix(driver: &dyn Driver) -> Outcome {
    put(driver, "p/old", b"1")?;
    let before = put(driver, "p/both", b"2")?;
    let outside = put(driver, "p", b"outside")?;
    let entries = [
        ("p/both".to_owned(), b"3".to_vec(), Lifetime::Forever),
        ("p/timed".to_owned(), b"4".to_vec(), Lifetime::Ttl(LONG)),
    ];
    driver.replace(&OPEN, VALUES, "p/", &entries)?;
    same!(keys(driver, "")?, ["p", "p/both", "p/timed"]);
    same!(read(driver, "p")?, Some((b"outside".to_vec(), outside)));
    let (bytes, after) = read(driver, "p/both")?.ok_or_else(|| Failure::new("a replaced key is lost"))?;
    same!(bytes, b"3");
    check!(after > before, "a replaced key goes from {before} to {after}");
    let timed = driver.head(&OPEN, VALUES, "p/timed")?;
    check!(matches!(timed.map(|head| head.remaining), Some(Remaining::Until(_))), "a lifetime is lost: {timed:?}");
    Ok(())
}

pub(crate) fn a_replace_by_nothing_clears(driver: &dyn Driver) -> Outcome {
    for number in 0..100 {
        put(driver, &format!("{number}"), b"x")?;
    }
    driver.replace(&OPEN, VALUES, "1", &[])?;
    same!(driver.count(&OPEN, VALUES, "")?, 89);
    driver.replace(&OPEN, VALUES, "", &[])?;
    check!(keys(driver, "")?.is_empty());
    driver.replace(&OPEN, VALUES, "", &[])?;
    put(driver, "1", b"again")?;
    same!(value(driver, "1")?, Some(b"again".to_vec()));
    Ok(())
}

pub(crate) fn a_replace_has_no_limit_on_its_entries(driver: &dyn Driver) -> Outcome {
    put(driver, "all/before", b"")?;
    let entries = generation(1, 3 * MAX_OPERATIONS);
    match driver.replace(&OPEN, VALUES, "all/", &entries) {
        Ok(()) => same!(driver.count(&OPEN, VALUES, "all/")?, entries.len() as u64),
        // A driver over a server may be limited by its server; then nothing happens.
        Err(error) if error.kind() == ErrorKind::TooLarge => same!(keys(driver, "all/")?, ["all/before"]),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

pub(crate) fn a_snapshot_never_mixes_two_replacements(driver: &dyn Driver) -> Outcome {
    const SIZE: usize = 120;
    driver.replace(&OPEN, VALUES, "all/", &generation(0, SIZE))?;
    let done = AtomicBool::new(false);
    together(3, |thread| -> Outcome {
        if thread == 0 {
            for number in 1..150_u8 {
                driver.replace(&OPEN, VALUES, "all/", &generation(number, SIZE))?;
            }
            done.store(true, Ordering::SeqCst);
            return Ok(());
        }
        let mut last = 0;
        while !done.load(Ordering::SeqCst) {
            let entries = driver.snapshot(&OPEN, VALUES, "all/")?;
            same!(entries.len(), SIZE);
            let number = entries[0].value[0];
            check!(number >= last, "a snapshot goes back from {last} to {number}");
            last = number;
            let expected = generation(number, SIZE);
            let agree = entries
                .iter()
                .zip(&expected)
                .all(|(entry, (key, bytes, _))| (&entry.key, &entry.value) == (key, bytes));
            check!(agree, "a snapshot mixes generation {number} with another");
        }
        Ok(())
    })?;
    Ok(())
}

pub(crate) fn a_replace_is_a_change_for_who_waits(driver: &dyn Driver) -> Outcome {
    let kept = put(driver, "p/kept", b"1")?;
    let gone = put(driver, "p/gone", b"1")?;
    let version = driver.version()?;
    driver.replace(&OPEN, VALUES, "p/", &[("p/kept".into(), b"2".to_vec(), Lifetime::Forever)])?;
    check!(driver.version()? > version);
    check!(driver.wait(&[(VALUES, "p/kept", Some(kept))], patience(SHORT))?);
    check!(driver.wait(&[(VALUES, "p/gone", Some(gone))], patience(SHORT))?);
    Ok(())
}
