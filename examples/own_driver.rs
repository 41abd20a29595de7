//! A driver of one's own: a map behind a mutex. It passes the suite that the drivers of this crate pass.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    thread,
    time::Duration,
};

use shmsync::{Error, ErrorKind, Result, conformance, driver::*};

#[derive(Default)]
pub(crate) struct Toy(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    entries: BTreeMap<(u8, String), (Vec<u8>, Head)>,
    clock: u64,
    gone: bool,
}

const ME: OwnerId = OwnerId(1);

impl Shelf {
    fn live(&self, space: Space, key: &str) -> Option<&(Vec<u8>, Head)> {
        let entry = self.entries.get(&(space as u8, key.to_owned()))?;
        (!entry.1.remaining.is_over()).then_some(entry)
    }

    fn revision(&self, space: Space, key: &str) -> Option<Revision> {
        self.live(space, key).map(|(_, head)| head.revision)
    }

    fn tick(&mut self) -> Revision {
        self.clock += 1;
        Revision::new(self.clock).expect("a clock that ticks is not zero")
    }

    fn put(&mut self, space: Space, key: &str, value: &[u8], lifetime: Lifetime) -> Revision {
        let remaining = lifetime.begin(ME, self.live(space, key).map(|(_, head)| head.remaining));
        let head = Head { revision: self.tick(), remaining, state: State::Live };
        self.entries.insert((space as u8, key.to_owned()), (value.to_vec(), head));
        head.revision
    }

    fn delete(&mut self, space: Space, key: &str) -> Option<Revision> {
        let was_there = self.live(space, key).is_some();
        self.entries.remove(&(space as u8, key.to_owned()));
        was_there.then(|| self.tick())
    }
}

impl Toy {
    fn shelf(&self) -> Result<MutexGuard<'_, Shelf>> {
        let shelf = self.0.lock().expect("nobody panics with the lock");
        if shelf.gone { Err(Error::new(ErrorKind::Gone, "the toy store was destroyed")) } else { Ok(shelf) }
    }
}

impl Driver for Toy {
    fn capabilities(&self) -> Capabilities {
        Capabilities::least("toy")
    }

    fn get(&self, _: &Access, space: Space, key: &str, into: &mut Vec<u8>) -> Result<Option<Revision>> {
        let shelf = self.shelf()?;
        into.clear();
        let found = shelf.live(space, key);
        into.extend(found.iter().flat_map(|(value, _)| value));
        Ok(found.map(|(_, head)| head.revision))
    }

    fn head(&self, _: &Access, space: Space, key: &str) -> Result<Option<Head>> {
        Ok(self.shelf()?.live(space, key).map(|(_, head)| *head))
    }

    fn range(&self, _: &Access, range: Range<'_>) -> Result<Vec<Entry>> {
        let shelf = self.shelf()?;
        let below = |space: u8, key: &str| space == range.space as u8 && key.starts_with(range.prefix);
        let keys = shelf.entries.keys().filter(|(space, key)| below(*space, key)).map(|(_, key)| key);
        let after = keys.filter(|key| range.after.is_none_or(|after| key.as_str() > after));
        let live = after.filter_map(|key| shelf.live(range.space, key).map(|entry| (key.clone(), entry)));
        let value = |value: &Vec<u8>| if range.values { value.clone() } else { vec![] };
        Ok(live.map(|(key, (bytes, head))| Entry { key, value: value(bytes), head: *head }).take(range.limit).collect())
    }

    fn commit(&self, _: &Access, commit: &Commit<'_>) -> Result<Committed> {
        commit.check()?;
        let mut shelf = self.shelf()?;
        if let Some(conflict) = commit.conflict(|space, key| shelf.revision(space, key)) {
            return Ok(Err(conflict));
        }
        let answers = commit.ops.iter().map(|(space, key, op)| match op {
            Op::Put { value, lifetime } => Some(shelf.put(*space, key, value, *lifetime)),
            Op::Delete => shelf.delete(*space, key),
        });
        Ok(Ok(answers.collect()))
    }

    fn add(&self, _: &Access, space: Space, key: &str, delta: i64) -> Result<(i64, Revision)> {
        let mut shelf = self.shelf()?;
        let (sum, bytes) = add_encoded(key, shelf.live(space, key).map(|(value, _)| value.as_slice()), delta)?;
        Ok((sum, shelf.put(space, key, &bytes, Lifetime::Keep)))
    }

    fn snapshot(&self, access: &Access, space: Space, prefix: &str) -> Result<Vec<Entry>> {
        self.range(access, Range { values: true, ..Range::keys(space, prefix) })
    }

    fn replace(&self, _: &Access, space: Space, prefix: &str, new: &[(String, Vec<u8>, Lifetime)]) -> Result<()> {
        new.iter().try_for_each(|(key, value, _)| check_value(key, value))?;
        let mut shelf = self.shelf()?;
        shelf.tick();
        shelf.entries.retain(|(of, key), _| *of != space as u8 || !key.starts_with(prefix));
        for (key, value, lifetime) in new {
            shelf.put(space, key, value, *lifetime);
        }
        Ok(())
    }

    fn wait(&self, keys: &[(Space, &str, Option<Revision>)], patience: Patience<'_>) -> Result<bool> {
        let changed = |shelf: &Shelf| keys.iter().any(|(space, key, seen)| shelf.revision(*space, key) != *seen);
        // A toy may look every millisecond; a driver for use sleeps until it is woken.
        while !changed(&*self.shelf()?) {
            let Some(time) = patience.sleep(Duration::from_millis(1))? else { return Ok(false) };
            thread::sleep(time);
        }
        Ok(true)
    }

    fn version(&self) -> Result<u64> {
        Ok(self.shelf()?.clock)
    }

    fn owner(&self) -> Result<OwnerId> {
        Ok(ME)
    }

    fn destroy(&self) -> Result<()> {
        self.shelf()?.gone = true;
        Ok(())
    }
}

fn main() {
    let report = conformance::run_all(Toy::default);
    print!("{report}");
    assert!(report.passed());
}
