//! Shared integers.

use std::collections::BTreeSet;

use crate::{
    ErrorKind, Integer, Sync,
    conformance::{
        Outcome,
        failure::{check, refused, same},
        tools::together,
    },
};

/// The integer as another process would have it: with a known value of its own.
fn elsewhere(store: &Sync, key: &str) -> Integer {
    store.integer(key).detached()
}

pub(crate) fn a_missing_integer_is_known_as_zero_and_refresh_says_absent(store: &Sync) -> Outcome {
    let integer = store.integer("missing");
    same!(integer.known(), 0);
    check!(!integer.exists()?);
    same!(integer.get()?, None);
    refused!(Absent, integer.refresh());
    same!(store.len()?, 0);
    check!(!integer.remove()?, "a missing integer can be removed");
    Ok(())
}

pub(crate) fn a_missing_integer_is_created_by_the_first_step(store: &Sync) -> Outcome {
    let integer = store.integer("down");
    same!(integer.decrement(3)?, -3);
    check!(integer.exists()?);
    same!(integer.refresh()?, -3);
    same!(store.integer("up").increment(0)?, 0);
    same!(store.keys("")?.collect::<Vec<_>>(), ["down", "up"]);
    check!(integer.remove()?);
    check!(!integer.exists()?);
    same!(integer.known(), 0);
    Ok(())
}

pub(crate) fn what_is_known_stays_until_the_integer_is_asked(store: &Sync) -> Outcome {
    let mine = elsewhere(store, "n");
    elsewhere(store, "n").set(10)?;
    same!(mine.known(), 0);
    same!(mine.increment(1)?, 11);
    same!(mine.known(), 11);
    elsewhere(store, "n").decrement(5)?;
    same!(mine.known(), 11);
    same!(mine.refresh()?, 6);
    same!(mine.known(), 6);
    elsewhere(store, "n").set(100)?;
    same!(mine.increment(0)?, 100);
    same!(mine.known(), 100);
    Ok(())
}

pub(crate) fn handles_of_one_integer_share_what_is_known(store: &Sync) -> Outcome {
    let (first, second) = (store.integer("n"), store.clone().integer("n"));
    first.set(7)?;
    same!(second.known(), 7);
    let apart = second.detached();
    first.increment(1)?;
    same!((second.known(), apart.known()), (8, 7));
    same!(store.integer("other").known(), 0);
    same!(store.namespace("space").integer("n").known(), 0);
    let inside = store.namespace("space").integer("n");
    inside.set(1)?;
    same!(store.integer("space/n").known(), 1);
    Ok(())
}

pub(crate) fn sixteen_who_create_one_integer_get_sixteen_results(store: &Sync) -> Outcome {
    for round in 0..80 {
        let results = together(16, |_| Ok(elsewhere(store, "race").increment(1)?))?;
        let distinct: BTreeSet<i64> = results.into_iter().collect();
        check!(distinct == (1..=16).collect(), "round {round}: {distinct:?}");
        same!(store.integer("race").refresh()?, 16);
        check!(store.integer("race").remove()?);
    }
    Ok(())
}

pub(crate) fn an_integer_at_its_limit_stays_there(store: &Sync) -> Outcome {
    let integer = store.integer("max");
    integer.set(i64::MAX)?;
    refused!(Overflow, integer.increment(1));
    same!((integer.refresh()?, integer.known()), (i64::MAX, i64::MAX));
    integer.set(i64::MIN)?;
    refused!(Overflow, integer.decrement(1));
    same!(integer.increment(0)?, i64::MIN);
    refused!(Overflow, integer.decrement(i64::MIN));
    same!(integer.refresh()?, i64::MIN);
    Ok(())
}

pub(crate) fn an_integer_is_a_value_like_any_other(store: &Sync) -> Outcome {
    store.integer("n").set(5)?;
    same!(store.get::<u8>("n")?, Some(5));
    same!(store.get::<f64>("n")?, Some(5.0));
    store.integer("n").set(1)?;
    refused!(TypeMismatch, store.get::<bool>("n"));
    store.set("n", &41_u64)?;
    same!(store.integer("n").increment(1)?, 42);
    store.set("n", "forty")?;
    refused!(TypeMismatch, store.integer("n").increment(1));
    refused!(TypeMismatch, store.integer("n").refresh());
    same!(store.get::<String>("n")?.as_deref(), Some("forty"));
    store.integer("n").set(-1)?;
    same!(store.get::<i64>("n")?, Some(-1));
    store.set("n", &u64::MAX)?;
    refused!(Overflow, store.integer("n").increment(-1));
    refused!(Overflow, store.integer("n").refresh());
    same!(store.get::<u64>("n")?, Some(u64::MAX));
    Ok(())
}

pub(crate) fn an_integer_of_a_bad_name_fails_when_it_is_used(store: &Sync) -> Outcome {
    let integer = store.integer("");
    same!(integer.known(), 0);
    for result in
        [integer.increment(1).map(drop), integer.set(1), integer.refresh().map(drop), integer.remove().map(drop)]
    {
        same!(result.map_err(|error| error.kind()), Err(ErrorKind::Invalid));
    }
    same!(store.len()?, 0);
    Ok(())
}
