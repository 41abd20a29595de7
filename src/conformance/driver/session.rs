//! Who is attached, figures, and the end of a store.

use crate::{
    conformance::{
        Outcome,
        failure::{check, refused, same},
        tools::{LONG, OPEN, VALUES, becomes_true, patience, put, put_for, read},
    },
    driver::{Commit, Driver, Expected, Lifetime, OwnerId, Revision, Space},
    error::ErrorKind,
};

pub(crate) fn i_am_alive_and_listed(driver: &dyn Driver) -> Outcome {
    let me = driver.owner()?;
    same!(driver.owner()?, me);
    check!(driver.is_alive(me)?);
    let listed = driver.participants()?;
    same!(listed.iter().filter(|participant| participant.id == me && participant.alive).count(), 1);
    check!(!driver.is_alive(OwnerId(u64::MAX - 5))?, "nobody is alive");
    Ok(())
}

pub(crate) fn figures_follow_what_is_stored(driver: &dyn Driver) -> Outcome {
    same!(driver.stats()?.driver, driver.capabilities().name);
    check!(!driver.capabilities().name.is_empty());
    same!(driver.stats()?.entries, 0);
    for number in 0..10 {
        put(driver, &format!("{number}"), &[0; 100])?;
    }
    driver.put(&OPEN, Space::Coordination, "lock", b"", Lifetime::Forever)?;
    same!(driver.stats()?.entries, 10);
    driver.replace(&OPEN, VALUES, "", &[])?;
    same!(driver.stats()?.entries, 0);
    Ok(())
}

pub(crate) fn a_used_store_verifies_without_problems(driver: &dyn Driver) -> Outcome {
    for number in 0..300 {
        put(driver, &format!("{}", number % 100), &vec![0; number * 7])?;
        driver.add(&OPEN, VALUES, "count", 1)?;
    }
    put_for(driver, "timed", b"", LONG)?;
    driver.replace(&OPEN, VALUES, "1", &[])?;
    let found = driver.verify()?;
    check!(found.problems.is_empty(), "{:?}", found.problems);
    check!(found.records >= driver.count(&OPEN, VALUES, "")?);
    driver.flush()?;
    check!(read(driver, "count")?.is_some());
    Ok(())
}

pub(crate) fn a_destroyed_store_is_gone_for_who_still_uses_it(driver: &dyn Driver) -> Outcome {
    let seen = put(driver, "key", b"value")?;
    driver.destroy()?;
    let gone = |result: crate::Result<()>| match result {
        Err(error) if error.kind() == ErrorKind::Gone => Ok(true),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(false),
    };
    check!(becomes_true(|| gone(put(driver, "key", b"more").map(drop)))?, "a destroyed store takes values");
    check!(becomes_true(|| gone(read(driver, "key").map(drop)))?, "a destroyed store is read");
    check!(becomes_true(|| gone(driver.snapshot(&OPEN, VALUES, "").map(drop)))?, "a destroyed store is listed");
    check!(becomes_true(|| gone(driver.add(&OPEN, VALUES, "n", 1).map(drop)))?, "a destroyed store counts");
    refused!(Gone, driver.wait(&[(VALUES, "key", Some(seen))], patience(LONG)));
    Ok(())
}

pub(crate) fn a_revision_of_another_world_fits_nowhere(driver: &dyn Driver) -> Outcome {
    put(driver, "key", b"value")?;
    let foreign = Revision::new(u64::MAX).map_or(Expected::Absent, Expected::At);
    let asking = Commit { expect: vec![(VALUES, "key", foreign)], ops: vec![] };
    check!(driver.commit(&OPEN, &asking)?.is_err());
    check!(driver.wait(&[(VALUES, "key", Revision::new(u64::MAX))], patience(LONG))?);
    Ok(())
}
