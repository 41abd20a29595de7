//! What everybody else must find after a death: nothing torn, nothing lost, nobody hanging, all room back.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    time::{Duration, Instant},
};

use shmsync::{ErrorKind, LockKind, LockState, Sync};

use super::{
    helper::Answer,
    operations::{Sees, open, options},
};

/// What a store holds, a line for each key, without what survivors themselves put there.
pub fn state(store: &Sync) -> Answer {
    let entries = store.read_all_encoded("").map_err(|error| format!("read_all: {error:?}"))?;
    let mut lines = String::new();
    for entry in entries.iter().filter(|entry| !entry.key.starts_with("probe/")) {
        let read = read(store, &entry.key)?;
        if read.as_ref() != Some(&entry.value) {
            return Err(format!("{} is {:?} in a snapshot and {read:?} alone", entry.key, entry.value));
        }
        let mut hasher = DefaultHasher::new();
        entry.value.hash(&mut hasher);
        let lifetime = format!("{:?}", entry.lifetime);
        let lifetime = lifetime.split('(').next().unwrap_or_default();
        lines += &format!("{} {} bytes {:016x} {lifetime}\n", entry.key, entry.value.len(), hasher.finish());
    }
    for lock in store.locks("").map_err(|error| format!("locks: {error:?}"))? {
        let state = match lock.state {
            LockState::Free => "free",
            LockState::Held(_) => "held",
            _ => "orphaned",
        };
        lines += &format!("{}:{} {state} {} {}\n", lock.kind, lock.name, lock.owners.len(), lock.waiters.len());
    }
    Ok(lines)
}

fn read(store: &Sync, key: &str) -> Result<Option<Vec<u8>>, String> {
    let mut value = Vec::new();
    let seen = store.read_encoded(key, &mut value).map_err(|error| format!("get {key}: {error:?}"))?;
    Ok(seen.map(|_| value))
}

/// What may be seen.
#[derive(Clone)]
pub struct Expected {
    pub before: String,
    pub after: String,
    pub sees: Sees,
}

impl Expected {
    fn check(&self, seen: &str) -> Result<(), String> {
        let fits = seen == self.before
            || seen == self.after
            || self.sees == Sees::Gone && seen.is_empty()
            || self.sees == Sees::EachOldOrNew && self.is_mixture(seen);
        let what = || format!("neither old nor new is seen, but\n{seen}old:\n{}new:\n{}", self.before, self.after);
        if fits { Ok(()) } else { Err(what()) }
    }

    fn is_mixture(&self, seen: &str) -> bool {
        let (seen, before, after) = (by_key(seen), by_key(&self.before), by_key(&self.after));
        let keys = seen.keys().chain(before.keys()).chain(after.keys());
        keys.into_iter().all(|key| seen.get(key) == before.get(key) || seen.get(key) == after.get(key))
    }
}

fn by_key(lines: &str) -> BTreeMap<&str, &str> {
    lines.lines().filter_map(|line| line.split_once(' ')).collect()
}

/// A survivor that was not there when it happened.
pub fn come_and_survive(path: &Path, expected: &Expected) -> Answer {
    let store = match expected.sees {
        Sees::Gone => options().capacity(256 << 10).open(path).map_err(|error| format!("open: {error:?}"))?,
        _ => open(path),
    };
    survive(&store, expected)
}

/// Everything that a survivor does and looks at; the bytes in use when all was cleared away.
pub fn survive(store: &Sync, expected: &Expected) -> Answer {
    let begun = Instant::now();
    let first = match state(store) {
        Err(_) if expected.sees == Sees::Gone && is_gone(store) => return Ok("0".to_owned()),
        first => first?,
    };
    expected.check(&first)?;
    match go_on(store) {
        Err(_) if expected.sees == Sees::Gone && is_gone(store) => return Ok("0".to_owned()),
        went => went?,
    }
    let second = state(store)?;
    if second != first {
        return Err(format!("what was seen changes by itself: first\n{first}then\n{second}"));
    }
    sound(store)?;
    be_told(store)?;
    let used = clear_away(store)?;
    if begun.elapsed() > Duration::from_secs(5) {
        return Err(format!("it takes {:?}", begun.elapsed()));
    }
    Ok(used.to_string())
}

/// Without a thread, a handle looks for its store's name once a second.
fn is_gone(store: &Sync) -> bool {
    (0..110).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        store.get::<u8>("a").is_err_and(|error| error.kind() == ErrorKind::Gone)
    })
}

fn sound(store: &Sync) -> Result<(), String> {
    let found = store.verify().map_err(|error| format!("verify: {error:?}"))?;
    if found.problems.is_empty() { Ok(()) } else { Err(format!("verify: {:#?}", found.problems)) }
}

/// Writes in every shard, in all ways. In a full store that only needs some room.
fn go_on(store: &Sync) -> Result<(), String> {
    let failed = |what: &str, error| format!("{what}: {error:?}");
    let everywhere: BTreeMap<String, u32> = (0..24).map(|key| (format!("probe/{key}"), key)).collect();
    match store.replace_all("probe/", &everywhere) {
        Err(error) if error.kind() == ErrorKind::Full => {
            // One key at a time, until nothing more fits.
            for key in everywhere.keys() {
                match store.set(key, &1) {
                    Err(error) if error.kind() != ErrorKind::Full => return Err(failed("set", error)),
                    _ => {}
                }
            }
        }
        Err(error) => return Err(failed("replace_all", error)),
        Ok(()) => {
            store.integer("probe/0").increment(1).map_err(|error| failed("increment", error))?;
            store.set_bytes("probe/1", &[7; 100]).map_err(|error| failed("set", error))?;
        }
    }
    take_turns(store)?;
    let inside = store.exclusive_timeout(Duration::from_secs(5)).map_err(|error| failed("exclusive", error))?;
    drop(inside);
    store.replace_all::<u8>("probe/", &BTreeMap::new()).map_err(|error| failed("replace_all", error))
}

/// Nobody is kept from a lock.
fn take_turns(store: &Sync) -> Result<(), String> {
    let failed = |error| format!("lock: {error:?}");
    let guard = match store.lock("probe").map_err(failed)?.acquire_timeout(Duration::from_secs(5)) {
        Err(error) if error.kind() == ErrorKind::Full => return Ok(()),
        guard => guard.map_err(failed)?,
    };
    if guard.release().map_err(failed)? { Ok(()) } else { Err("a lock that is held cannot be released".to_owned()) }
}

/// Whoever holds or held something does so no longer.
fn free_all(store: &Sync) -> Result<(), String> {
    let failed = |error| format!("force: {error:?}");
    for lock in store.locks("").map_err(failed)? {
        match lock.kind {
            LockKind::Semaphore => {
                let semaphore = store.semaphore(&lock.name, lock.permits).map_err(failed)?;
                semaphore.force_release().map_err(failed)?
            }
            LockKind::Leader => store.leader(&lock.name).map_err(failed)?.force_resign().map_err(failed)?,
            _ => store.lock(&lock.name).map_err(failed)?.force_release().map_err(failed)?,
        };
    }
    // A semaphore stays, for the sake of its permits.
    let is_left = |lock: &&shmsync::LockInfo| lock.kind != LockKind::Semaphore || !lock.owners.is_empty();
    match store.locks("").map_err(failed)?.iter().find(is_left) {
        Some(left) => Err(format!("it cannot be freed: {left:?}")),
        None => Ok(()),
    }
}

/// Watches are told of what changes.
fn be_told(store: &Sync) -> Result<(), String> {
    let failed = |error| format!("watch: {error:?}");
    let mut watches = [store.watch("probe/watched").map_err(failed)?, store.watch_prefix("probe/").map_err(failed)?];
    match store.set("probe/watched", &1) {
        Err(error) if error.kind() == ErrorKind::Full => return Ok(()),
        set => set.map_err(failed)?,
    };
    for watch in &mut watches {
        if watch.next_timeout(Duration::from_secs(2)).map_err(failed)?.is_none() {
            return Err("a watch is not told of a change".to_owned());
        }
    }
    Ok(())
}

/// Removes everything and stirs until what rested is what was put away last, so that all room in use is comparable.
///
/// Blocks of one size would only turn in the ring of those that rest: each set takes the one that the next removal puts
/// back, and a span stays in use for the sake of a single one of them. Blocks of another size push them out.
fn clear_away(store: &Sync) -> Result<u64, String> {
    let failed = |error| format!("clearing away: {error:?}");
    match store.clear() {
        // All at once needs some room itself; without any, one key after the other goes.
        Err(error) if error.kind() == ErrorKind::Full => {
            for key in store.keys("").map_err(failed)? {
                store.remove(&key).map_err(failed)?;
            }
        }
        cleared => cleared.map_err(failed)?,
    }
    free_all(store)?;
    let shards = store.stats().map_err(failed)?.shards;
    // Every slot is looked at in passing, and 16 blocks rest.
    for len in [1, 300, 1] {
        for number in 0..64 * shards {
            let key = format!("probe/{number}");
            store.set_bytes(&key, &vec![1; len]).map_err(failed)?;
            store.remove(&key).map_err(failed)?;
        }
    }
    sound(store)?;
    Ok(store.stats().map_err(failed)?.used_bytes)
}
