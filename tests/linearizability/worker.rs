//! A process that is recorded: asks for things and writes down what it asked for and what was answered.

use std::{collections::BTreeMap, path::PathBuf, sync::atomic::Ordering::SeqCst, time::Duration};

use shmsync::{ChangeKind, Result, Revision, Sync};

use super::{
    dice::Dice,
    log::{Lane, Log},
    model::Model,
    operation::{ACCOUNTS, Answer, Call},
    setting::Setting,
};

/// Watchers are the last lanes.
const WATCHERS: usize = 2;
/// Keys that stay where others come and go.
const STAYING: u64 = 3;

/// Who is to be recorded.
pub struct Worker {
    pub log: &'static Log,
    pub setting: &'static Setting,
    pub path: PathBuf,
    pub lane: usize,
    pub dice: Dice,
}

/// A worker at work.
pub(super) struct Work<'a> {
    pub(super) worker: &'a mut Worker,
    pub(super) store: Sync,
    pub(super) lane: &'static Lane,
}

pub(super) fn name(key: usize) -> String {
    format!("key/{key}")
}

fn account(number: usize) -> String {
    format!("account/{number}")
}

/// Puts in what a store begins with.
pub fn found(setting: &Setting, path: &PathBuf) -> Result<()> {
    let store = Sync::options().capacity(setting.capacity).open(path)?;
    let accounts = if setting.model == Model::Accounts { ACCOUNTS } else { 0 };
    (0..accounts).try_for_each(|number| store.set(&account(number), &super::model::BALANCE).map(drop))?;
    (0..STAYING).try_for_each(|number| store.set(&format!("staying/{number}"), &number).map(drop))
}

impl Worker {
    /// Works until it is over, or somebody kills it.
    pub fn run(mut self) {
        let setting = self.setting;
        let watches = setting.model == Model::Watched && self.lane + WATCHERS >= setting.workers;
        let mut work = self.start();
        if watches {
            return work.watch();
        }
        while !work.is_over() {
            work.one_thing();
            if !setting.hot && work.dice().below(5) == 0 {
                std::thread::sleep(Duration::from_micros(50 + work.dice().below(300)));
            }
        }
    }

    /// What comes last: every key is written once more, so that watches end, and looked at.
    pub fn finish(mut self) {
        let setting = self.setting;
        let mut work = self.start();
        for key in 0..setting.keys {
            match setting.model {
                Model::Register => work.get(key),
                Model::Watched => {
                    let last = work.fresh() + LAST;
                    work.set(key, last);
                }
                Model::Integer => work.integer(key, Call::Get),
                Model::Versioned => drop(work.get_versioned(key)),
                Model::Accounts => work.read_all(Call::Snapshot),
                Model::Lock | Model::Leader => work.take_turn(key, None),
            }
        }
    }

    fn start(&mut self) -> Work<'_> {
        let lane = &self.log.lanes[self.lane];
        let store = Sync::options().capacity(self.setting.capacity).open(&self.path);
        let store = store.unwrap_or_else(|error| panic!("open: {error:?}"));
        Work { worker: self, store, lane }
    }
}

/// Added to the values that come last.
const LAST: i64 = 1 << 60;

impl Work<'_> {
    fn is_over(&self) -> bool {
        self.worker.log.over.load(SeqCst) != 0 || self.worker.log.is_full()
    }

    pub(super) fn dice(&mut self) -> &mut Dice {
        &mut self.worker.dice
    }

    fn key(&mut self) -> usize {
        let keys = self.worker.setting.keys as u64;
        self.dice().below(keys) as usize
    }

    /// A value that nobody else writes.
    pub(super) fn fresh(&self) -> i64 {
        (self.worker.lane as i64 + 1) << 40 | (self.lane.serial.fetch_add(1, SeqCst) + 1) as i64
    }

    /// Does something between two looks at the clock, both written down.
    pub(super) fn record(&mut self, key: usize, call: Call, act: impl FnOnce(&Sync) -> Result<Answer>) -> Answer {
        let at = self.lane.len();
        self.lane.begin(at, key, call);
        let answer = act(&self.store).unwrap_or_else(|error| Answer::Failed(error.kind()));
        self.lane.end(at, answer);
        answer
    }

    fn one_thing(&mut self) {
        let (setting, key) = (self.worker.setting, self.key());
        match setting.model {
            Model::Register if setting.keys == 1 && self.worker.lane > 0 => self.follow(),
            Model::Register if setting.keys == 1 => self.replace_all(),
            Model::Register | Model::Watched => self.use_register(key),
            Model::Integer => self.use_integer(key),
            Model::Versioned => self.use_versioned(key),
            Model::Accounts => self.use_accounts(),
            Model::Lock | Model::Leader => self.use_turns(key),
        }
    }

    fn use_register(&mut self, key: usize) {
        // Where values are long, none is ever absent.
        let removals = if self.worker.setting.longest > 100 { 0 } else { 1 };
        match self.dice().below(9 + removals) {
            0..4 => {
                let value = self.fresh();
                self.set(key, value);
            }
            9 => drop(self.record(key, Call::Remove, |store| Ok(Answer::Was(store.remove(&name(key))?)))),
            _ => self.get(key),
        }
    }

    fn set(&mut self, key: usize, value: i64) {
        let setting = self.worker.setting;
        self.record(key, Call::Set(value), |store| {
            if setting.model == Model::Watched {
                store.set(&name(key), &value)?;
            } else {
                store.set_bytes(&name(key), &bytes(value, setting))?;
            }
            Ok(Answer::Done)
        });
    }

    fn get(&mut self, key: usize) {
        let setting = self.worker.setting;
        self.record(key, Call::Get, |store| {
            if setting.model == Model::Watched {
                return Ok(Answer::Value(store.get(&name(key))?));
            }
            let found = store.get_bytes(&name(key))?;
            Ok(found.map_or(Answer::Value(None), |bytes| value(&bytes, setting)))
        });
    }

    fn use_integer(&mut self, key: usize) {
        let call = match self.dice().below(20) {
            0..10 => Call::Increment(1 + self.dice().below(3) as i64),
            10 => Call::Set(self.dice().below(1000) as i64),
            11 => Call::Remove,
            _ => Call::Get,
        };
        self.integer(key, call);
    }

    fn integer(&mut self, key: usize, call: Call) {
        self.record(key, call, |store| {
            let integer = store.integer(&name(key));
            Ok(match call {
                Call::Increment(by) => Answer::Value(Some(integer.increment(by)?)),
                Call::Set(value) => integer.set(value).map(|()| Answer::Done)?,
                Call::Remove => Answer::Was(integer.remove()?),
                _ => Answer::Value(integer.get()?),
            })
        });
    }

    fn use_versioned(&mut self, key: usize) {
        let seen = self.get_versioned(key);
        let value = self.fresh();
        match (self.dice().below(12), seen) {
            (0, _) => {
                let set = |store: &Sync| Ok(Answer::Stored(store.set(&name(key), &value)?.get()));
                self.record(key, Call::Set(value), set);
            }
            (1, _) => drop(self.record(key, Call::Remove, |store| Ok(Answer::Was(store.remove(&name(key))?)))),
            (2..10, Some(seen)) => {
                let expected = seen.map_or(0, Revision::get);
                self.record(key, Call::CompareAndSet { expected, value }, |store| {
                    let stored = store.compare_and_set(&name(key), seen, &value)?;
                    Ok(stored.map_or(Answer::Conflict, |revision| Answer::Stored(revision.get())))
                });
            }
            _ => {}
        }
    }

    /// The revision that was seen; none where nothing could be seen.
    fn get_versioned(&mut self, key: usize) -> Option<Option<Revision>> {
        let answer = self.record(key, Call::GetVersioned, |store| {
            let found = store.get_versioned::<i64>(&name(key))?;
            Ok(Answer::Versioned(found.map(|(value, revision)| (value, revision.get()))))
        });
        let Answer::Versioned(seen) = answer else { return None };
        Some(seen.and_then(|(_, revision)| Revision::new(revision)))
    }

    fn use_accounts(&mut self) {
        let from = self.dice().below(ACCOUNTS as u64) as usize;
        match self.dice().below(10) {
            0..4 => {
                let to = (from + 1 + self.dice().below(ACCOUNTS as u64 - 1) as usize) % ACCOUNTS;
                let amount = 1 + self.dice().below(9) as i64;
                self.record(0, Call::Move { from, to, amount }, |store| {
                    let (a, b) = store.transaction(|tx| {
                        let (a, b) =
                            (tx.get::<i64>(&account(from))?.unwrap_or(0), tx.get::<i64>(&account(to))?.unwrap_or(0));
                        tx.set(&account(from), &(a - amount))?;
                        tx.set(&account(to), &(b + amount))?;
                        Ok((a, b))
                    })?;
                    Ok(Answer::Moved(a, b))
                });
            }
            4 => self.read_all(Call::ReadInside),
            5 => self.read_all(Call::Snapshot),
            _ => {
                self.record(0, Call::Look(from), |store| Ok(Answer::Value(store.get(&account(from))?)));
            }
        }
    }

    fn read_all(&mut self, call: Call) {
        self.record(0, call, |store| {
            let mut all = [0; ACCOUNTS];
            if call == Call::Snapshot {
                let found: BTreeMap<String, i64> = store.read_all("account/")?;
                all.iter_mut().zip(found.values()).for_each(|(account, found)| *account = *found);
            } else {
                all = store.transaction(|tx| {
                    for (number, balance) in all.iter_mut().enumerate() {
                        *balance = tx.get(&account(number))?.unwrap_or(0);
                    }
                    Ok(all)
                })?;
            }
            Ok(Answer::All(all))
        });
    }

    /// Follows one key until its last value.
    fn watch(&mut self) {
        let key = self.worker.lane % self.worker.setting.keys;
        let mut watch = self.store.watch(&name(key)).unwrap_or_else(|error| panic!("watch: {error:?}"));
        let mut told = None;
        loop {
            let at = self.lane.len();
            self.lane.begin(at, key, Call::Next(told));
            let change = watch.next_timeout(Duration::from_secs(20));
            let answer = match change {
                Ok(Some(change)) => match change.kind {
                    ChangeKind::Set(value) => Answer::Value(value.as_i64()),
                    ChangeKind::Removed(_) => Answer::Value(None),
                },
                // The last value comes far sooner.
                Ok(None) => Answer::Failed(shmsync::ErrorKind::Timeout),
                Err(error) => Answer::Failed(error.kind()),
            };
            self.lane.end(at, answer);
            match answer {
                Answer::Value(value) if value.is_none_or(|value| value < LAST) => told = Some(value),
                _ => return,
            }
        }
    }
}

/// Bytes that say their number, and whether they belong together.
pub(super) fn bytes(value: i64, setting: &Setting) -> Vec<u8> {
    let shorter = if setting.even { 0 } else { (value as u64).wrapping_mul(0x9E37_79B9) % setting.longest };
    value.to_le_bytes().repeat((setting.longest - shorter) as usize)
}

pub(super) fn value(found: &[u8], setting: &Setting) -> Answer {
    let first = found.first_chunk::<8>().map(|first| i64::from_le_bytes(*first));
    match first {
        Some(value) if bytes(value, setting) == found => Answer::Value(Some(value)),
        _ => Answer::Torn,
    }
}
