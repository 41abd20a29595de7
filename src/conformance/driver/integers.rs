//! Integers that many add to.

use std::collections::BTreeSet;

use crate::{
    conformance::{
        Failure, Outcome,
        failure::{check, refused, same},
        tools::{OPEN, VALUES, commit, delete, put, read, storing, together, value},
    },
    driver::{Commit, Driver, Expected, Revision},
    error::Result,
};

fn add(driver: &dyn Driver, key: &str, delta: i64) -> Result<(i64, Revision)> {
    driver.add(&OPEN, VALUES, key, delta)
}

/// The integer of a key, as any reader of MessagePack sees it.
fn integer(driver: &dyn Driver, key: &str) -> Outcome<Option<i64>> {
    let decode = |bytes: Vec<u8>| {
        rmp_serde::from_slice(&bytes).map_err(|error| Failure::new(format_args!("{bytes:?} is no integer: {error}")))
    };
    value(driver, key)?.map(decode).transpose()
}

fn encoded(number: i64) -> Outcome<Vec<u8>> {
    rmp_serde::to_vec(&number).map_err(Failure::new)
}

pub(crate) fn an_add_creates_what_is_missing(driver: &dyn Driver) -> Outcome {
    same!(add(driver, "three", 3)?.0, 3);
    same!(add(driver, "minus three", -3)?.0, -3);
    same!(add(driver, "nothing", 0)?.0, 0);
    same!(integer(driver, "minus three")?, Some(-3));
    same!(integer(driver, "nothing")?, Some(0));
    Ok(())
}

pub(crate) fn adds_sum_up_and_are_messagepack(driver: &dyn Driver) -> Outcome {
    let mut sum = 0_i64;
    for delta in [1, 126, 1, 127, -300, 65_536, i64::from(i32::MAX), -1, i64::MAX / 2, -(i64::MAX / 2), -5_000_000_000]
    {
        sum += delta;
        let (result, revision) = add(driver, "sum", delta)?;
        same!(result, sum);
        same!(integer(driver, "sum")?, Some(sum));
        same!(read(driver, "sum")?.map(|(_, revision)| revision), Some(revision));
    }
    Ok(())
}

pub(crate) fn every_encoding_of_an_integer_can_be_added_to(driver: &dyn Driver) -> Outcome {
    let encodings: [(&[u8], i64); 14] = [
        (&[0x00], 0),
        (&[0x7F], 127),
        (&[0xFF], -1),
        (&[0xE0], -32),
        (&[0xCC, 200], 200),
        (&[0xCD, 0x01, 0x00], 256),
        (&[0xCE, 0x80, 0, 0, 0], 1 << 31),
        (&[0xCF, 0, 0, 0, 0, 0, 0, 0, 5], 5),
        (&[0xCF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE], i64::MAX - 1),
        (&[0xD0, 0x80], -128),
        (&[0xD1, 0x80, 0x00], -32_768),
        (&[0xD2, 0x80, 0, 0, 0], -(1 << 31)),
        (&[0xD3, 0x80, 0, 0, 0, 0, 0, 0, 0], i64::MIN),
        (&[0xD3, 0, 0, 0, 0, 0, 0, 0, 1], 1),
    ];
    for (bytes, number) in encodings {
        put(driver, "number", bytes)?;
        same!(add(driver, "number", 1)?.0, number + 1);
    }
    Ok(())
}

pub(crate) fn an_overflow_changes_nothing(driver: &dyn Driver) -> Outcome {
    for (start, delta) in [(i64::MAX, 1), (i64::MIN, -1), (1, i64::MAX), (-2, i64::MIN), (i64::MAX, i64::MAX)] {
        let bytes = encoded(start)?;
        let before = put(driver, "edge", &bytes)?;
        refused!(Overflow, add(driver, "edge", delta));
        same!(read(driver, "edge")?, Some((bytes, before)));
        same!(add(driver, "edge", 0)?.0, start);
    }
    let beyond = [0xCF, 0x80, 0, 0, 0, 0, 0, 0, 0];
    let before = put(driver, "unsigned", &beyond)?;
    refused!(Overflow, add(driver, "unsigned", -1));
    same!(read(driver, "unsigned")?, Some((beyond.to_vec(), before)));
    Ok(())
}

pub(crate) fn what_is_no_integer_is_a_type_mismatch(driver: &dyn Driver) -> Outcome {
    let others: [&[u8]; 9] = [
        b"\xA2hi",
        &[0xC0],
        &[0xC3],
        &[0xCB, 0x40, 0x14, 0, 0, 0, 0, 0, 0],
        &[0x91, 1],
        &[0x80],
        &[0xC4, 1, 1],
        &[],
        &[0xCF, 0, 0],
    ];
    for bytes in others {
        let before = put(driver, "other", bytes)?;
        refused!(TypeMismatch, add(driver, "other", 1));
        same!(read(driver, "other")?, Some((bytes.to_vec(), before)));
    }
    Ok(())
}

pub(crate) fn concurrent_adds_get_distinct_results(driver: &dyn Driver) -> Outcome {
    let results = together(8, |_| (0..200).map(|_| Ok(add(driver, "count", 1)?.0)).collect::<Outcome<Vec<i64>>>())?;
    for own in &results {
        check!(own.is_sorted(), "a thread sees the count go back");
    }
    let all: BTreeSet<i64> = results.into_iter().flatten().collect();
    same!(all, (1..=1_600).collect::<BTreeSet<i64>>());
    same!(integer(driver, "count")?, Some(1_600));
    Ok(())
}

pub(crate) fn an_integer_that_is_being_created_loses_no_add(driver: &dyn Driver) -> Outcome {
    for round in 0..80 {
        let key = format!("new {}", round % 3);
        let mut results = together(16, |_| Ok(add(driver, &key, 1)?.0))?;
        results.sort_unstable();
        check!(results == (1..=16).collect::<Vec<i64>>(), "round {round}: {results:?}");
        same!(integer(driver, &key)?, Some(16));
        check!(delete(driver, &key)?);
    }
    Ok(())
}

pub(crate) fn an_add_makes_an_older_expectation_fail(driver: &dyn Driver) -> Outcome {
    let increment = |_| -> Outcome<()> {
        loop {
            let Some((bytes, seen)) = read(driver, "shared")? else { return Err(Failure::new("the integer is gone")) };
            let now: i64 = rmp_serde::from_slice(&bytes).map_err(Failure::new)?;
            let next = encoded(now + 1)?;
            let expect = vec![(VALUES, "shared", Expected::At(seen))];
            if commit(driver, Commit { expect, ops: vec![(VALUES, "shared", storing(&next))] })?.is_ok() {
                return Ok(());
            }
        }
    };
    add(driver, "shared", 0)?;
    together(4, |number| -> Outcome {
        for round in 0..250 {
            if number % 2 == 0 {
                increment(round)?;
            } else {
                add(driver, "shared", 1)?;
            }
        }
        Ok(())
    })?;
    same!(integer(driver, "shared")?, Some(1_000));
    Ok(())
}
