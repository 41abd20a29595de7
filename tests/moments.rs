//! Consistent moments while many write.
#![cfg(target_os = "linux")]

mod common;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use common::{Child, Dice, Place, assert_sound, number, open, options, parsed, say};
use shmsync::{ErrorKind, Sync};

roles!(move_amounts, overwrite_without_pause, replace_all_accounts);

const ACCOUNTS: u64 = 1_000;
const EACH: i64 = 100;

fn account(number: u64) -> String {
    format!("account/{number:04}")
}

fn fresh_accounts() -> BTreeMap<String, i64> {
    (0..ACCOUNTS).map(|number| (account(number), EACH)).collect()
}

/// Moves amounts between accounts until it is killed.
fn move_amounts(arguments: &[String]) {
    let (store, mut dice) = (open(Path::new(&arguments[0])), Dice::new(parsed(arguments, 1)));
    say("ready");
    loop {
        let (from, to) = (account(dice.below(ACCOUNTS)), account(dice.below(ACCOUNTS)));
        let amount = dice.below(30) as i64;
        store
            .transaction(|tx| {
                tx.increment(&from, -amount)?;
                tx.increment(&to, amount)
            })
            .expect("a transaction");
    }
}

/// Puts everything back to its beginning, again and again.
fn replace_all_accounts(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    say("ready");
    loop {
        store.replace_all("account/", &fresh_accounts()).expect("a replacement");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn sum_of(store: &Sync) -> shmsync::Result<i64> {
    let all = store.read_all::<i64>("account/")?;
    assert_eq!(all.len() as u64, ACCOUNTS);
    Ok(all.values().sum())
}

/// B6, attacks 23 and 29: `read_all` sees one moment, always the same sum, and ends however busy the writers are.
#[test]
fn b6_read_all_sees_constant_sums_while_five_write() {
    let place = Place::new();
    let store = place.open();
    store.replace_all("account/", &fresh_accounts()).unwrap();
    let reader = options().read_only(true).open(place.path()).unwrap();
    let mut writers: Vec<Child> =
        (0..4).map(|number| Child::on(&place, "move_amounts", &[&number.to_string()])).collect();
    writers.push(Child::on(&place, "replace_all_accounts", &[]));
    writers.iter_mut().for_each(|writer| writer.expect("ready"));
    let (begun, time) = (Instant::now(), Duration::from_secs(number("SHMSYNC_MOMENTS_S", 5)));
    let (mut whole, mut read_only, mut locked, mut moved) = (0, 0, 0, 0);
    while begun.elapsed() < time {
        assert_eq!(sum_of(&store).expect("all of it"), ACCOUNTS as i64 * EACH);
        whole += 1;
        match sum_of(&reader) {
            Ok(sum) => {
                assert_eq!(sum, ACCOUNTS as i64 * EACH);
                read_only += 1;
            }
            // Those who cannot take locks may give up at their limit.
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Locked, "{error:?}");
                locked += 1;
            }
        }
        // A transaction sees two accounts of one moment as well; here it looks at all of them.
        if whole % 10 == 0 {
            let sum = store.transaction(|tx| {
                let amounts = (0..100).map(|number| tx.get::<i64>(&account(number)));
                amounts.collect::<shmsync::Result<Vec<_>>>().map(|amounts| amounts.into_iter().flatten().sum::<i64>())
            });
            moved += i32::from(sum.expect("a sum") != 100 * EACH);
        }
    }
    println!(
        "{whole} reads, {read_only} by a read-only handle, which gave up {locked} times; {moved} sums of a part had moved"
    );
    assert!(whole > 5, "only {whole} reads of everything in {time:?}");
    for writer in writers {
        writer.kill();
    }
    assert_eq!(sum_of(&store).unwrap(), ACCOUNTS as i64 * EACH);
    assert_sound(&store);
}

/// Overwrites one large value without any pause, until it is killed.
fn overwrite_without_pause(arguments: &[String]) {
    let store = open(Path::new(&arguments[0]));
    store.set_bytes("hot", &[0; HOT]).unwrap();
    say("ready");
    for number in (0..=u8::MAX).cycle() {
        store.set_bytes("hot", &[number; HOT]).unwrap();
    }
}

const HOT: usize = 64 << 10;

/// Attack 21: whoever reads a value of 64 KiB that another one overwrites without pause gets it, whole, each time, and
/// soon: what was freed last is not used again first.
#[test]
fn attack_21_readers_of_a_hot_large_value_get_it() {
    let place = Place::new();
    let store = place.open();
    let mut child = Child::on(&place, "overwrite_without_pause", &[]);
    child.expect("ready");
    let (mut seen, mut longest) = (std::collections::BTreeSet::new(), Duration::ZERO);
    for _ in 0..3000 {
        let start = Instant::now();
        let value = store.get_bytes("hot").expect("a read").expect("it is always there");
        longest = longest.max(start.elapsed());
        assert!(value.len() == HOT && value.iter().all(|byte| *byte == value[0]), "a torn value");
        seen.insert(value[0]);
    }
    assert!(seen.len() > 20, "nobody overwrites it: {} values are seen", seen.len());
    assert!(longest < Duration::from_secs(5), "a read takes {longest:?}");
    child.kill();
    assert_sound(&store);
}
