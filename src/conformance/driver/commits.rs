//! Several keys changed together, or none of them.

use crate::{
    conformance::{
        Failure, Outcome,
        failure::{check, refused, same},
        tools::{OPEN, VALUES, commit, delete, keys, put, read, read_in, storing, together, value},
    },
    driver::{Commit, Conflict, Driver, Expected, Lifetime, MAX_OPERATIONS, MAX_VALUE_LEN, Op, Revision, Space},
};

/// Commits and expects no conflict.
fn done(driver: &dyn Driver, changes: Commit<'_>) -> Outcome<Vec<Option<Revision>>> {
    commit(driver, changes)?.map_err(|conflict| Failure::new(format_args!("an unexpected conflict: {conflict}")))
}

/// Tries to change `bystander` under this expectation.
fn attempt(driver: &dyn Driver, key: &str, expected: Expected) -> Outcome<Result<(), Conflict>> {
    let expect = vec![(VALUES, key, expected)];
    let ops = vec![(VALUES, "bystander", storing(b"changed"))];
    Ok(commit(driver, Commit { expect, ops })?.map(drop))
}

pub(crate) fn a_commit_does_all_its_operations_and_answers_each(driver: &dyn Driver) -> Outcome {
    let old = put(driver, "gone", b"1")?;
    let ops = vec![
        (VALUES, "new", storing(b"2")),
        (VALUES, "gone", Op::Delete),
        (VALUES, "never", Op::Delete),
        (Space::Coordination, "new", storing(b"3")),
    ];
    let answers = done(driver, Commit { expect: vec![], ops })?;
    same!(answers.len(), 4);
    same!(read(driver, "new")?, answers[0].map(|revision| (b"2".to_vec(), revision)));
    check!(answers[1].is_some_and(|removal| removal > old), "the removal of {old} is {:?}", answers[1]);
    same!(answers[2], None);
    same!(read_in(driver, Space::Coordination, "new")?, answers[3].map(|revision| (b"3".to_vec(), revision)));
    same!(keys(driver, "")?, ["new"]);
    let again = put(driver, "gone", b"4")?;
    check!(answers[1].is_some_and(|removal| removal < again), "a key comes back older than its removal");
    Ok(())
}

pub(crate) fn a_commit_without_operations_only_checks(driver: &dyn Driver) -> Outcome {
    let before = put(driver, "key", b"1")?;
    same!(done(driver, Commit::default())?.len(), 0);
    let asking = |expected| Commit { expect: vec![(VALUES, "key", expected)], ops: vec![] };
    same!(done(driver, asking(Expected::At(before)))?.len(), 0);
    same!(commit(driver, asking(Expected::Absent))?, Err(Conflict { key: "key".into(), current: Some(before) }));
    same!(read(driver, "key")?, Some((b"1".to_vec(), before)));
    Ok(())
}

pub(crate) fn expectations_that_hold_let_a_commit_pass(driver: &dyn Driver) -> Outcome {
    same!(attempt(driver, "absent", Expected::Absent)?, Ok(()));
    let there = put(driver, "there", b"1")?;
    same!(attempt(driver, "there", Expected::Present)?, Ok(()));
    same!(attempt(driver, "there", Expected::At(there))?, Ok(()));
    let of_itself =
        Commit { expect: vec![(VALUES, "there", Expected::At(there))], ops: vec![(VALUES, "there", storing(b"2"))] };
    check!(done(driver, of_itself)?[0].is_some_and(|revision| revision > there));
    check!(delete(driver, "there")?);
    same!(attempt(driver, "there", Expected::Absent)?, Ok(()));
    Ok(())
}

pub(crate) fn an_expectation_that_fails_names_key_and_revision(driver: &dyn Driver) -> Outcome {
    let old = put(driver, "there", b"1")?;
    let now = put(driver, "there", b"2")?;
    let conflict = |current| Err(Conflict { key: "there".into(), current });
    same!(attempt(driver, "there", Expected::Absent)?, conflict(Some(now)));
    same!(attempt(driver, "there", Expected::At(old))?, conflict(Some(now)));
    check!(delete(driver, "there")?);
    same!(attempt(driver, "there", Expected::Present)?, conflict(None));
    same!(attempt(driver, "there", Expected::At(now))?, conflict(None));
    same!(value(driver, "bystander")?, None);
    Ok(())
}

pub(crate) fn a_conflict_is_the_first_that_fails_and_changes_nothing(driver: &dyn Driver) -> Outcome {
    let here = put(driver, "here", b"1")?;
    let expect = vec![
        (VALUES, "here", Expected::Present),
        (VALUES, "missing", Expected::Present),
        (VALUES, "here", Expected::Absent),
    ];
    let ops = vec![
        (VALUES, "here", Op::Delete),
        (VALUES, "a", storing(b"2")),
        (VALUES, "b", storing(b"3")),
        (Space::Coordination, "c", storing(b"4")),
    ];
    let version = driver.version()?;
    let answer = commit(driver, Commit { expect, ops })?;
    same!(answer, Err(Conflict { key: "missing".into(), current: None }));
    same!(read(driver, "here")?, Some((b"1".to_vec(), here)));
    same!(keys(driver, "")?, ["here"]);
    same!(read_in(driver, Space::Coordination, "c")?, None);
    same!(driver.version()?, version);
    Ok(())
}

pub(crate) fn expectations_look_into_the_space_they_name(driver: &dyn Driver) -> Outcome {
    let held = driver.put(&OPEN, Space::Coordination, "key", b"", Lifetime::Forever)?;
    let expect = vec![(VALUES, "key", Expected::Absent), (Space::Coordination, "key", Expected::At(held))];
    done(driver, Commit { expect, ops: vec![(VALUES, "key", storing(b"1"))] })?;
    let expect = vec![(VALUES, "key", Expected::At(held))];
    check!(commit(driver, Commit { expect, ops: vec![] })?.is_err());
    Ok(())
}

pub(crate) fn the_most_operations_work_and_one_more_is_too_large(driver: &dyn Driver) -> Outcome {
    let names: Vec<String> = (0..=MAX_OPERATIONS).map(|number| format!("key {number}")).collect();
    let ops: Vec<_> = names.iter().map(|name| (VALUES, name.as_str(), storing(name.as_bytes()))).collect();
    refused!(TooLarge, commit(driver, Commit { expect: vec![], ops: ops.clone() }));
    check!(keys(driver, "")?.is_empty());
    let ops = ops[..MAX_OPERATIONS].to_vec();
    same!(done(driver, Commit { expect: vec![], ops })?.len(), MAX_OPERATIONS);
    same!(driver.count(&OPEN, VALUES, "")?, MAX_OPERATIONS as u64);
    for name in &names[..MAX_OPERATIONS] {
        same!(value(driver, name)?, Some(name.clone().into_bytes()));
    }
    let ops: Vec<_> = names[..MAX_OPERATIONS].iter().map(|name| (VALUES, name.as_str(), Op::Delete)).collect();
    check!(done(driver, Commit { expect: vec![], ops })?.iter().all(Option::is_some));
    check!(keys(driver, "")?.is_empty());
    Ok(())
}

pub(crate) fn a_commit_with_a_value_beyond_the_limit_does_nothing(driver: &dyn Driver) -> Outcome {
    put(driver, "kept", b"1")?;
    let huge = vec![0; MAX_VALUE_LEN + 1];
    let ops = vec![(VALUES, "small", storing(b"2")), (VALUES, "kept", Op::Delete), (VALUES, "huge", storing(&huge))];
    refused!(TooLarge, commit(driver, Commit { expect: vec![], ops }));
    same!(keys(driver, "")?, ["kept"]);
    Ok(())
}

pub(crate) fn of_many_who_expect_the_same_revision_one_wins(driver: &dyn Driver) -> Outcome {
    let mut now = put(driver, "prize", b"start")?;
    for _ in 0..50 {
        let attempts = together(8, |number| {
            let expect = vec![(VALUES, "prize", Expected::At(now))];
            let value = [number as u8];
            Ok(commit(driver, Commit { expect, ops: vec![(VALUES, "prize", storing(&value))] })?)
        })?;
        let winners: Vec<usize> = (0..8).filter(|&number| attempts[number].is_ok()).collect();
        same!(winners.len(), 1);
        let (value, revision) = read(driver, "prize")?.ok_or_else(|| Failure::new("the prize is lost"))?;
        same!(value, [winners[0] as u8]);
        check!(revision > now);
        now = revision;
    }
    Ok(())
}

pub(crate) fn of_many_who_expect_absence_one_wins(driver: &dyn Driver) -> Outcome {
    for round in 0..50 {
        let key = format!("new {}", round / 2);
        let wins = together(8, |_| {
            let expect = vec![(VALUES, key.as_str(), Expected::Absent)];
            Ok(commit(driver, Commit { expect, ops: vec![(VALUES, key.as_str(), storing(b"mine"))] })?.is_ok())
        })?;
        same!(wins.iter().filter(|won| **won).count(), 1);
        check!(delete(driver, &key)?);
    }
    Ok(())
}
