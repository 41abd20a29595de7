//! Many threads at once, and long random runs beside a plain map.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::{
    conformance::{
        Failure, Outcome,
        failure::{check, same},
        tools::{Dice, OPEN, VALUES, commit, delete, keys, names, put, read, storing, together, value},
    },
    driver::{Commit, Driver, Expected, Lifetime, Op, Range, Revision},
};

const ACCOUNTS: u64 = 10;
const RICHES: u64 = 1_000;

fn account(number: u64) -> String {
    format!("account/{number}")
}

fn balance(bytes: &[u8]) -> Outcome<u64> {
    let bytes = bytes.try_into().map_err(|_| Failure::new(format_args!("a torn account: {bytes:?}")))?;
    Ok(u64::from_le_bytes(bytes))
}

fn open_accounts(driver: &dyn Driver) -> Outcome {
    for number in 0..ACCOUNTS {
        put(driver, &account(number), &RICHES.to_le_bytes())?;
    }
    Ok(())
}

/// Moves one coin from one account to another; tells whether nobody came between.
fn move_a_coin(driver: &dyn Driver, dice: &mut Dice) -> Outcome<bool> {
    let (from, to) = (dice.below(ACCOUNTS), dice.below(ACCOUNTS));
    if from == to {
        return Ok(false);
    }
    let (from, to) = (account(from), account(to));
    let (Some((rich, rich_at)), Some((poor, poor_at))) = (read(driver, &from)?, read(driver, &to)?) else {
        return Err(Failure::new("an account has disappeared"));
    };
    let (rich, poor) = (balance(&rich)?, balance(&poor)?);
    let Some(rest) = rich.checked_sub(1) else { return Ok(false) };
    let (rest, more) = (rest.to_le_bytes(), (poor + 1).to_le_bytes());
    let expect = vec![(VALUES, from.as_str(), Expected::At(rich_at)), (VALUES, to.as_str(), Expected::At(poor_at))];
    let ops = vec![(VALUES, from.as_str(), storing(&rest)), (VALUES, to.as_str(), storing(&more))];
    Ok(commit(driver, Commit { expect, ops })?.is_ok())
}

pub(crate) fn money_that_is_moved_is_neither_made_nor_lost(driver: &dyn Driver) -> Outcome {
    open_accounts(driver)?;
    let busy = AtomicUsize::new(4);
    together(6, |number| -> Outcome {
        if number < 4 {
            let mut dice = Dice::new(number as u64);
            let moved: Outcome = (0..500).try_for_each(|_| move_a_coin(driver, &mut dice).map(drop));
            busy.fetch_sub(1, Ordering::SeqCst);
            return moved;
        }
        while busy.load(Ordering::SeqCst) > 0 {
            let entries = driver.snapshot(&OPEN, VALUES, "account/")?;
            same!(entries.len() as u64, ACCOUNTS);
            let sum = entries.iter().map(|entry| balance(&entry.value)).sum::<Outcome<u64>>()?;
            same!(sum, ACCOUNTS * RICHES);
        }
        Ok(())
    })?;
    Ok(())
}

pub(crate) fn readers_never_see_half_a_value(driver: &dyn Driver) -> Outcome {
    let done = AtomicBool::new(false);
    put(driver, "torn", &[0; 100])?;
    together(4, |number| -> Outcome {
        if number == 0 {
            let mut dice = Dice::new(7);
            for round in 0..2_000_u32 {
                let length = dice.one(&[100, 101, 1_000, 9, 20_000]);
                put(driver, "torn", &vec![round as u8; length])?;
            }
            done.store(true, Ordering::SeqCst);
            return Ok(());
        }
        let mut last = None;
        while !done.load(Ordering::SeqCst) {
            let Some((bytes, revision)) = read(driver, "torn")? else {
                return Err(Failure::new("a key that is always there is not"));
            };
            check!(bytes.windows(2).all(|pair| pair[0] == pair[1]), "half of one value, half of another");
            check!(Some(revision) >= last, "a reader goes back in time: {revision} after {last:?}");
            last = Some(revision);
        }
        Ok(())
    })?;
    Ok(())
}

pub(crate) fn many_threads_each_keep_their_own_keys(driver: &dyn Driver) -> Outcome {
    together(16, |thread| -> Outcome {
        for number in 0..100 {
            put(driver, &format!("{thread}/{number}"), &[thread as u8, number])?;
        }
        for number in 0..100 {
            same!(value(driver, &format!("{thread}/{number}"))?, Some(vec![thread as u8, number]));
        }
        same!(driver.count(&OPEN, VALUES, &format!("{thread}/"))?, 100);
        Ok(())
    })?;
    same!(driver.count(&OPEN, VALUES, "")?, 1_600);
    Ok(())
}

pub(crate) fn a_commit_is_seen_by_single_reads_in_one_piece(driver: &dyn Driver) -> Outcome {
    let pair = |bytes: &[u8; 8]| -> Outcome {
        let ops = vec![(VALUES, "first", storing(bytes)), (VALUES, "second", storing(bytes))];
        check!(commit(driver, Commit { expect: vec![], ops })?.is_ok());
        Ok(())
    };
    pair(&0_u64.to_le_bytes())?;
    let done = AtomicBool::new(false);
    together(3, |number| -> Outcome {
        if number == 0 {
            for round in 1..2_000_u64 {
                pair(&round.to_le_bytes())?;
            }
            done.store(true, Ordering::SeqCst);
            return Ok(());
        }
        while !done.load(Ordering::SeqCst) {
            // Read in this order, the second can only be newer.
            let first = balance(&value(driver, "first")?.unwrap_or_default())?;
            let second = balance(&value(driver, "second")?.unwrap_or_default())?;
            check!(first <= second, "the first key shows commit {first}, later the second shows {second}");
        }
        Ok(())
    })?;
    Ok(())
}

/// A plain map that the driver must agree with.
#[derive(Default)]
struct Model(BTreeMap<String, (Vec<u8>, Option<Revision>)>);

impl Model {
    fn store(&mut self, key: &str, value: &[u8], revision: Option<Revision>) {
        self.0.insert(key.to_owned(), (value.to_vec(), revision));
    }

    fn below(&self, prefix: &str) -> Vec<String> {
        self.0.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }
}

fn random_commit(driver: &dyn Driver, model: &mut Model, dice: &mut Dice, names: &[String]) -> Outcome {
    let key = names[dice.below(names.len() as u64) as usize].as_str();
    let value = vec![dice.below(256) as u8; dice.below(300) as usize];
    let current = model.0.get(key).map(|(_, revision)| *revision);
    let expected = match (current, dice.below(2)) {
        (Some(Some(revision)), 0) => Expected::At(revision),
        (_, 1) => Expected::Present,
        _ => Expected::Absent,
    };
    let holds = match expected {
        Expected::Absent => current.is_none(),
        Expected::Present | Expected::At(_) => current.is_some(),
    };
    let other = names.iter().find(|name| name.as_str() != key).map_or("other", String::as_str);
    let ops = vec![(VALUES, key, storing(&value)), (VALUES, other, Op::Delete)];
    let answer = commit(driver, Commit { expect: vec![(VALUES, key, expected)], ops })?;
    same!(answer.is_ok(), holds);
    if let Ok(revisions) = answer {
        model.store(key, &value, revisions[0]);
        same!(revisions[1].is_some(), model.0.remove(other).is_some());
    }
    Ok(())
}

fn random_step(driver: &dyn Driver, model: &mut Model, dice: &mut Dice, all: &[String]) -> Outcome {
    let key = all[dice.below(all.len() as u64) as usize].as_str();
    match dice.below(20) {
        0..=6 => {
            let value = vec![dice.below(256) as u8; dice.below(2_000) as usize];
            let revision = put(driver, key, &value)?;
            model.store(key, &value, Some(revision));
        }
        7..=9 => same!(delete(driver, key)?, model.0.remove(key).is_some()),
        10..=14 => same!(value(driver, key)?, model.0.get(key).map(|(value, _)| value.clone())),
        15..=17 => random_commit(driver, model, dice, all)?,
        18 => {
            let prefix = dice.one(&["", "k/", "k/1", "k/33", "x"]);
            same!(keys(driver, prefix)?, model.below(prefix));
            let limit = dice.below(20) as usize;
            let range = Range { after: Some(key), limit, ..Range::keys(VALUES, prefix) };
            let mut expected = model.below(prefix);
            expected.retain(|name| name.as_str() > key);
            expected.truncate(limit);
            same!(names(driver.range(&OPEN, range)?), expected);
        }
        _ => {
            let prefix = dice.one(&["k/1", "k/7", "k/22"]);
            let entries = [(format!("{prefix} new"), vec![9; 9], Lifetime::Forever)];
            driver.replace(&OPEN, VALUES, prefix, &entries)?;
            model.0.retain(|name, _| !name.starts_with(prefix));
            model.store(&entries[0].0, &entries[0].1, None);
        }
    }
    Ok(())
}

pub(crate) fn random_operations_agree_with_a_plain_map(driver: &dyn Driver) -> Outcome {
    let all: Vec<String> = (0..60).map(|number| format!("k/{number}")).collect();
    for seed in 0..4 {
        let (mut model, mut dice) = (Model::default(), Dice::new(seed));
        for step in 0..1_500 {
            random_step(driver, &mut model, &mut dice, &all)
                .map_err(|failure| Failure::new(format_args!("seed {seed}, step {step}: {failure}")))?;
        }
        let entries = driver.snapshot(&OPEN, VALUES, "")?;
        same!(entries.len(), model.0.len());
        for (entry, (key, (value, _))) in entries.iter().zip(&model.0) {
            same!((&entry.key, &entry.value), (key, value));
        }
        driver.replace(&OPEN, VALUES, "", &[])?;
    }
    Ok(())
}
