//! What writers do while they may be killed, and what must hold whatever they did.

use std::{collections::BTreeMap, time::Duration};

use shmsync::{ErrorKind, Lifetime, Result, Sync};

use super::Dice;

/// A value that tells whether it is whole: all bytes are the same, and so is its length.
fn value(dice: &mut Dice, most: u64) -> Vec<u8> {
    let length = dice.below(most);
    vec![length as u8; length as usize]
}

fn is_whole(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == bytes.len() as u8)
}

/// One step of somebody who may be killed in it; that there is no room is no failure.
fn step(store: &Sync, dice: &mut Dice) -> Result<()> {
    let key = format!("k/{}", dice.below(300));
    let most = [50, 50, 300, 1_500, 9_000, 60_000][dice.below(6) as usize];
    match dice.below(24) {
        0..=9 => store.set_bytes(&key, &value(dice, most)).map(drop),
        10..=14 => store.remove(&key).map(drop),
        15..=16 => store.transaction(|tx| {
            tx.increment("pair/left", 1)?;
            tx.increment("pair/right", -1)?;
            tx.remove(&key).map(drop)
        }),
        17 => {
            let ttl = Lifetime::Ttl(Duration::from_millis(dice.below(20) + 1));
            store.set_with(&key.replace('k', "mortal"), &dice.below(100), ttl).map(drop)
        }
        18 => store.set_with(&key.replace('k', "mine"), &dice.below(100), Lifetime::Process).map(drop),
        19 => {
            let number = dice.below(1_000);
            let size = dice.below(60) + 1;
            let map = (0..size).map(|key| (format!("whole/{key}"), (size, number)));
            store.replace_all("whole/", &map.collect::<BTreeMap<_, _>>())
        }
        20 => store.namespace("many").clear(),
        _ => (0..30).try_for_each(|_| store.set(&format!("many/{}", dice.below(3_000)), &1_u8).map(drop)),
    }
}

/// Step after step, for ever.
pub fn work(store: &Sync, seed: u64) {
    let mut dice = Dice::new(seed);
    loop {
        match step(store, &mut dice) {
            Err(error) if error.kind() != ErrorKind::Full => panic!("seed {seed}: {error:?}"),
            _ => {}
        }
    }
}

/// Nothing half is there, whoever was killed.
pub fn assert_whole(store: &Sync) {
    for entry in store.iter::<shmsync::Value>("k/").unwrap() {
        let (key, value) = entry.unwrap();
        let bytes = value.as_slice().unwrap_or_else(|| panic!("{key} is {value}"));
        assert!(is_whole(bytes), "half of {key}");
    }
    let pair = store.transaction(|tx| Ok((tx.get::<i64>("pair/left")?, tx.get::<i64>("pair/right")?))).unwrap();
    assert_eq!(pair.0.unwrap_or(0) + pair.1.unwrap_or(0), 0, "half of a transaction");
    let whole = store.read_all::<(u64, u64)>("whole/").unwrap();
    let first = whole.values().next().copied();
    assert!(whole.values().all(|one| Some(*one) == first), "a mix of replacements: {whole:?}");
    assert!(whole.is_empty() || first.is_some_and(|(size, _)| size == whole.len() as u64), "a part: {whole:?}");
}
