//! Everything that can be done with a store, done to a damaged one. Any answer is fine; only panics, signals, delays
//! and greed are not.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use shmsync::{Error, Lifetime, Result, Sync, Value};

use super::{
    common::Dice,
    guard::{Progress, allocated_by},
    images::key,
};

/// What calls are given where they take a limit; they may take ten times as long.
const LIMIT: Duration = Duration::from_millis(200);
/// What calls without one may take: 5 s for a lock that is held, and some for a busy machine.
const NO_LIMIT: Duration = Duration::from_secs(8);

type Call = fn(&Sync, &mut Dice, &Progress) -> Result<()>;

/// Every call.
pub const CALLS: &[(&str, Call)] = &[
    ("get", |store, dice, _| store.get::<Value>(&any_key(dice)).map(drop)),
    ("get_versioned", |store, dice, _| store.get_versioned::<Value>(&any_key(dice)).map(drop)),
    ("contains", |store, dice, _| store.contains(&any_key(dice)).map(drop)),
    ("set", |store, dice, _| store.set(&any_key(dice), &dice.below(1000)).map(drop)),
    ("set_bytes", |store, dice, _| store.set_bytes(&any_key(dice), &any_bytes(dice)).map(drop)),
    ("set_with", |store, dice, _| {
        let lifetime = if dice.below(2) == 0 { Lifetime::Process } else { Lifetime::Ttl(Duration::from_millis(1)) };
        store.set_with(&any_key(dice), &1, lifetime).map(drop)
    }),
    ("many sets", |store, dice, _| {
        (0..30).try_for_each(|number| store.set_bytes(&key(number * 3), &any_bytes(dice)).map(drop))
    }),
    ("remove", |store, dice, _| store.remove(&any_key(dice)).map(drop)),
    ("many removes", |store, _, _| (0..90).try_for_each(|number| store.remove(&key(number)).map(drop))),
    ("increment", |store, dice, _| store.integer(&format!("n/{}", dice.below(8))).increment(1).map(drop)),
    ("update", |store, dice, _| {
        store.update(&any_key(dice), |number: Option<u64>| Some(number.unwrap_or(0).wrapping_add(1))).map(drop)
    }),
    ("transaction", transaction),
    ("keys", |store, _, _| store.keys("").map(|keys| _ = keys.count())),
    ("iter", |store, _, progress| {
        // Each entry is read by a call of its own.
        store.iter::<Value>("").map(|entries| entries.for_each(|_| progress.call_ends_within(NO_LIMIT)))
    }),
    ("len", |store, _, _| store.len().map(drop)),
    ("clear", |store, dice, _| if dice.below(4) == 0 { store.clear() } else { Ok(()) }),
    ("read_all", |store, _, _| store.read_all::<Value>("").map(drop)),
    ("replace_all", |store, dice, _| {
        let entries: BTreeMap<String, u64> = (0..dice.below(40)).map(|number| (key(number), number)).collect();
        store.replace_all("k/", &entries)
    }),
    ("watch", |store, dice, progress| {
        let mut watch = store.watch(&any_key(dice))?;
        progress.call_ends_within(LIMIT * 10);
        watch.next_timeout(Duration::ZERO)?;
        watch.next_timeout(LIMIT / 10).map(drop)
    }),
    ("watch_prefix", |store, _, progress| {
        let mut watch = store.watch_prefix("k/")?;
        progress.call_ends_within(LIMIT * 10);
        (0..3).try_for_each(|_| watch.next_timeout(LIMIT / 10).map(drop))
    }),
    ("exclusive", |store, dice, progress| {
        progress.call_ends_within(LIMIT * 10);
        let exclusive = store.exclusive_timeout(LIMIT)?;
        progress.call_ends_within(NO_LIMIT);
        exclusive.set(&any_key(dice), &1).map(drop)
    }),
    ("force_open", |store, _, _| store.force_open().map(drop)),
    ("verify", |store, _, _| store.verify().map(drop)),
    ("stats", |store, _, _| store.stats().map(drop)),
    ("participants", |store, _, _| store.participants().map(drop)),
];

/// Opening counts as a call too.
pub const OPEN: u64 = CALLS.len() as u64;

pub fn name(call: u64) -> &'static str {
    CALLS.get(call as usize).map_or("open", |call| call.0)
}

fn any_key(dice: &mut Dice) -> String {
    if dice.below(10) == 0 { "unknown".into() } else { key(dice.below(100)) }
}

fn any_bytes(dice: &mut Dice) -> Vec<u8> {
    let len = [10, 100, 1000, 6000, 70_000][dice.below(5) as usize];
    vec![5; dice.below(len) as usize]
}

fn transaction(store: &Sync, dice: &mut Dice, _: &Progress) -> Result<()> {
    let first = dice.below(80);
    store.transaction(|transaction| {
        for step in 0..5 {
            let key = key(first + step * 3);
            match step {
                0 => drop(transaction.get::<Value>(&key)?),
                1 => drop(transaction.remove(&key)?),
                _ => transaction.set(&key, &step)?,
            }
        }
        Ok(())
    })
}

/// How one case went.
#[derive(Debug, Default, Clone, Copy)]
pub struct Outcome {
    pub opened: bool,
    pub calls: u64,
    pub errors: u64,
    pub slow: u64,
}

/// Opens a store and does a dozen things with it.
pub fn exercise(path: &Path, dice: &mut Dice, progress: &Progress, most: usize) -> Outcome {
    let mut outcome = Outcome::default();
    let read_only = dice.below(8) == 0;
    let open = || Sync::options().access_limit(LIMIT).read_only(read_only).capacity(1 << 20).open(path);
    let Ok(store) = measured(OPEN, NO_LIMIT, progress, most, open) else { return outcome };
    outcome.opened = true;
    for _ in 0..4 + dice.below(10) {
        let number = dice.below(CALLS.len() as u64);
        let (_, call) = CALLS[number as usize];
        let start = Instant::now();
        let result: Result<(), Error> = measured(number, NO_LIMIT, progress, most, || call(&store, dice, progress));
        outcome.calls += 1;
        if let Err(error) = &result {
            outcome.errors += 1;
            assert!(!error.to_string().is_empty());
        }
        if start.elapsed() > Duration::from_secs(1) {
            outcome.slow += 1;
            break; // There is nothing more to learn from waiting again.
        }
    }
    measured(OPEN, NO_LIMIT, progress, most, || drop(store));
    outcome
}

fn measured<T>(call: u64, limit: Duration, progress: &Progress, most: usize, run: impl FnOnce() -> T) -> T {
    progress.begin_call(call, limit);
    let (result, allocated) = allocated_by(run);
    progress.end_call();
    assert!(allocated <= most, "{} allocates {allocated} bytes, more than {most}", name(call));
    result
}
