//! Linearizability during faults: connections are cut, slowed down, swallowed; members stand still; one is killed. What was not
//! answered may have happened, then or later.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use shmsync::{ErrorKind, Lifetime, Result, Revision, Sync};

use crate::{
    common::{Dice, is_long},
    linear::{
        checker::{Verdict, check},
        model::{BALANCE, Model},
        operation::{ACCOUNTS, Answer, Call, Operation},
        window::window,
    },
    proxy::{Proxy, Way},
    server::{Server, answered},
};

const WORKERS: usize = 4;
/// Longer than any fault: nobody loses its session.
const OPTIONS: &str = "session=60s&timeout=2s&connect=2s";
const PATIENCE: Duration = Duration::from_secs(60);

/// What all workers share.
struct Recording {
    model: Model,
    begun: Instant,
    is_over: AtomicBool,
    value: AtomicI64,
    owner: AtomicU32,
    operations: Mutex<Vec<Operation>>,
}

/// One of those who use the cluster.
struct Worker<'a> {
    recording: &'a Recording,
    store: Sync,
    lane: usize,
    dice: Dice,
}

impl Recording {
    fn now(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }
}

impl Worker<'_> {
    /// Does something between two looks at the clock. `None`: nobody knows whether it was done.
    fn record(&self, call: Call, act: impl FnOnce(&Sync) -> Result<Answer>) -> Option<Answer> {
        let begin = self.recording.now();
        let answer = match act(&self.store) {
            Ok(answer) => Some(answer),
            Err(error) if error.kind() == ErrorKind::Unreachable => None,
            Err(error) => panic!("{call:?}: {error}"),
        };
        let end = if answer.is_some() { self.recording.now() } else { u64::MAX };
        self.add(Operation { lane: self.lane, key: 0, call, answer, begin, end });
        answer
    }

    fn add(&self, operation: Operation) {
        if operation.answer.is_some() || !operation.is_read() {
            self.recording.operations.lock().unwrap().push(operation);
        }
    }

    fn work(&mut self) {
        while !self.recording.is_over.load(SeqCst) {
            match self.recording.model {
                Model::Register => self.use_register(),
                Model::Integer => self.use_integer(),
                Model::Versioned => self.use_versioned(),
                Model::Accounts => self.use_accounts(),
                _ => self.use_lock(),
            }
            // So that an undecided operation overlaps few others: each doubles what has to be searched.
            thread::sleep(Duration::from_millis(self.dice.below(20)));
        }
    }

    fn fresh(&self) -> i64 {
        self.recording.value.fetch_add(1, SeqCst)
    }

    fn use_register(&mut self) {
        let value = self.fresh();
        match self.dice.below(10) {
            0..4 => drop(self.record(Call::Set(value), |store| store.set("k", &value).map(|_| Answer::Done))),
            4 => drop(self.record(Call::Remove, |store| store.remove("k").map(Answer::Was))),
            _ => drop(self.record(Call::Get, |store| store.get("k").map(Answer::Value))),
        }
    }

    fn use_integer(&mut self) {
        let by = 1 + self.dice.below(3) as i64;
        match self.dice.below(10) {
            0..6 => drop(self.record(Call::Increment(by), |store| {
                store.integer("k").increment(by).map(|sum| Answer::Value(Some(sum)))
            })),
            _ => drop(self.record(Call::Get, |store| store.integer("k").get().map(Answer::Value))),
        }
    }

    fn use_versioned(&mut self) {
        let seen = self.record(Call::GetVersioned, |store| {
            let found = store.get_versioned::<i64>("k")?;
            Ok(Answer::Versioned(found.map(|(value, revision)| (value, revision.get()))))
        });
        let Some(Answer::Versioned(seen)) = seen else { return };
        let (value, expected) = (self.fresh(), seen.map_or(0, |(_, revision)| revision));
        self.record(Call::CompareAndSet { expected, value }, |store| {
            let stored = store.compare_and_set("k", Revision::new(expected), &value)?;
            Ok(stored.map_or(Answer::Conflict, |revision| Answer::Stored(revision.get())))
        });
    }

    fn use_accounts(&mut self) {
        let from = self.dice.below(ACCOUNTS as u64) as usize;
        let to = (from + 1 + self.dice.below(ACCOUNTS as u64 - 1) as usize) % ACCOUNTS;
        let amount = 1 + self.dice.below(9) as i64;
        if self.dice.below(2) == 0 {
            self.record(Call::Snapshot, |store| {
                let found: BTreeMap<String, i64> = store.read_all("account/")?;
                Ok(Answer::All(std::array::from_fn(|number| found[&account(number)])))
            });
        } else {
            self.record(Call::Move { from, to, amount }, |store| {
                store.transaction(|tx| {
                    let a = tx.increment(&account(from), -amount)? + amount;
                    let b = tx.increment(&account(to), amount)? - amount;
                    Ok(Answer::Moved(a, b))
                })
            });
        }
    }

    fn use_lock(&mut self) {
        let (owner, mut guard) = (self.recording.owner.fetch_add(1, SeqCst), None);
        let taken = self.record(Call::Take { owner }, |store| {
            guard = match store.lock("k")?.acquire_timeout(Duration::from_secs(5)) {
                Err(error) if error.kind() == ErrorKind::Timeout => return Ok(Answer::Conflict),
                taken => Some(taken?),
            };
            Ok(Answer::Stored(guard.as_ref().map_or(0, |guard| guard.token().get())))
        });
        if taken.is_none() {
            // Whatever came of it is given back behind our back, at some time.
            let begin = self.recording.now();
            self.add(Operation {
                lane: self.lane,
                key: 0,
                call: Call::Die { owner },
                answer: None,
                begin,
                end: u64::MAX,
            });
        }
        let Some(guard) = guard else { return };
        let token = guard.token().get();
        self.record(Call::Holds(token), |_| guard.is_held().map(Answer::Was));
        self.record(Call::Release(token), |_| guard.release().map(Answer::Was));
    }
}

fn account(number: usize) -> String {
    format!("account/{number}")
}

/// What happens to a cluster while it is used; in the end all is well again.
fn disturb(servers: &[Server], ways: &[Proxy], dice: &mut Dice, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        let member = dice.below(ways.len() as u64) as usize;
        let pause = Duration::from_millis(100 + dice.below(1_500));
        match dice.below(5) {
            0 => {
                servers[member].pause();
                thread::sleep(pause);
                servers[member].resume();
            }
            fault => {
                ways[member].set([Way::Slow, Way::Swallow, Way::Deaf, Way::Cut][fault as usize - 1]);
                thread::sleep(pause);
                ways[member].set(Way::Open);
            }
        }
        thread::sleep(Duration::from_millis(dice.below(300)));
    }
}

fn record(servers: &[Server], model: Model, dice: &mut Dice, time: Duration) -> Vec<Operation> {
    let ways: Vec<Proxy> = servers.iter().map(|server| Proxy::to(server.port)).collect();
    let prefix = format!("{model:?}-{}", dice.below(u64::MAX));
    let open = |first: usize| {
        let hosts: Vec<String> =
            (0..ways.len()).map(|at| format!("127.0.0.1:{}", ways[(first + at) % ways.len()].port)).collect();
        answered(|| Sync::open(format!("etcd://{}/{prefix}?{OPTIONS}", hosts.join(","))))
    };
    let stores: Vec<Sync> = (0..WORKERS).map(open).collect();
    for number in 0..ACCOUNTS {
        answered(|| stores[0].integer(&account(number)).set(BALANCE));
    }
    let recording = Recording {
        model,
        begun: Instant::now(),
        is_over: AtomicBool::new(false),
        value: AtomicI64::new(1),
        owner: AtomicU32::new(1),
        operations: Mutex::default(),
    };
    thread::scope(|scope| {
        for (lane, store) in stores.into_iter().enumerate() {
            let dice = Dice::new(dice.below(u64::MAX));
            scope.spawn({
                let recording = &recording;
                move || Worker { recording, store, lane, dice }.work()
            });
        }
        disturb(servers, &ways, dice, time);
        recording.is_over.store(true, SeqCst);
    });
    recording.operations.into_inner().unwrap()
}

/// Some order explains what was recorded during the faults.
fn explained<const N: usize>(model: Model) {
    let Some(servers) = Server::start_many::<N>() else { return };
    let mut dice = Dice::roll("faults");
    let seconds = if is_long() { 120 } else { 8 };
    let operations = record(&servers, model, &mut dice, Duration::from_secs(seconds));
    let unknown = operations.iter().filter(|operation| operation.answer.is_none()).count();
    println!("{model:?}: {} operations, {unknown} without an answer", operations.len());
    assert!(operations.len() > 100, "too few to mean anything");
    let verdict = check(model, &operations, PATIENCE);
    assert_eq!(verdict, Verdict::Explained, "{:#?}", window(model, &operations));
}

#[test]
fn a_register_is_one_during_faults() {
    explained::<3>(Model::Register);
}

#[test]
fn an_integer_is_one_during_faults() {
    explained::<1>(Model::Integer);
}

#[test]
fn compare_and_set_is_during_faults() {
    explained::<3>(Model::Versioned);
}

#[test]
fn money_is_neither_made_nor_lost_during_faults() {
    explained::<3>(Model::Accounts);
}

#[test]
fn a_lock_has_one_holder_during_faults() {
    explained::<3>(Model::Lock);
}

#[test]
fn a_lock_that_nobody_wants_takes_one_round_trip() {
    let Some(server) = Server::start() else { return };
    let way = Proxy::to(server.port);
    let store = Sync::open(format!("etcd://127.0.0.1:{}/x?session=600s", way.port)).unwrap();
    let lock = store.lock("k").unwrap();
    assert!(lock.acquire().unwrap().release().unwrap());
    let before = way.requests();
    let guard = lock.acquire().unwrap();
    assert_eq!(way.requests() - before, 1, "taking it");
    assert!(guard.release().unwrap());
    assert_eq!(way.requests() - before, 2, "giving it back");
    store.set("v", &0).unwrap();
    let before = way.requests();
    store.set("v", &1).unwrap();
    assert_eq!(way.requests() - before, 1, "a set");
    assert_eq!(store.get::<i32>("v").unwrap(), Some(1));
    assert_eq!(way.requests() - before, 2, "a get");
    let count = store.integer("n");
    count.increment(1).unwrap();
    let before = way.requests();
    count.increment(1).unwrap();
    assert_eq!(way.requests() - before, 1, "an increment");
    // What others made of it is seen, also where it was removed, or is no number any more.
    let other = Sync::open(server.name("x")).unwrap();
    let number = other.integer("n");
    assert_eq!(number.increment(5).unwrap(), 7);
    assert_eq!(count.increment(1).unwrap(), 8);
    number.set(i64::MAX - 1).unwrap();
    assert_eq!(count.increment(1).unwrap(), i64::MAX);
    assert_eq!(count.increment(1).unwrap_err().kind(), ErrorKind::Overflow);
    other.remove("n").unwrap();
    assert_eq!(count.increment(3).unwrap(), 3);
    other.set("n", "text").unwrap();
    assert_eq!(count.increment(1).unwrap_err().kind(), ErrorKind::TypeMismatch);
    other.set_with("n", &1, Lifetime::Ttl(Duration::from_millis(50))).unwrap();
    assert_eq!(count.increment(1).unwrap(), 2);
    // Each counts the time from when it has seen the entry first.
    crate::common::until("it ends", || store.get::<i64>("n").unwrap().is_none());
    assert_eq!(count.increment(1).unwrap(), 1);
}
