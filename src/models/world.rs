//! A region, processes on it, and the checker that tries what they can do to each other.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

use loom::thread::JoinHandle;

use super::{
    atomics::{self, Order},
    cells::{Cells, Image, Known, Missing, Region},
    death::{self, When},
    futex,
};
use crate::{
    broken::{self, Defect},
    driver::{Access, Driver, Lifetime, Revision, Shm, Space},
    primitive::allowance::Allowance,
    region::{
        header::Header,
        layout::Geometry,
        memory::Memory,
        participants::{Identity, LIVENESS, Name},
    },
    storage::{Change, Key, Life, Locked, Overwrite, Seized, Storage, To, Wanted},
    sys::robust,
};

/// How many processes a world has room for.
const PROCESSES: u32 = 5;

/// A region of one shard.
pub(super) const ONE_SHARD: u64 = 128 << 10;
/// A region of two shards.
pub(super) const TWO_SHARDS: u64 = 2 << 20;

/// A region and who may use it.
#[derive(Clone)]
pub(super) struct World {
    region: Arc<Region>,
    capacity: u64,
}

/// A process of a world: it sees the region through a mapping of its own, as processes do.
pub(super) struct Process {
    pub(super) storage: Arc<Storage>,
    pub(super) me: Name,
}

impl World {
    /// A world outside of models, in which one thing happens after another.
    pub(super) fn plain(capacity: u64, image: &Image) -> Self {
        Self { region: Region::new(image, false), capacity }
    }

    pub(super) fn process(&self, slot: u32) -> Process {
        let geometry = Geometry::new(self.capacity).expect("a capacity that is in range");
        let memory = Memory::modelled(Cells(Arc::clone(&self.region)), self.capacity).expect("/dev/null opens");
        let header = Header { geometry, seed: 1, created_ns: 0 };
        let storage = Arc::new(Storage::new(memory, &header, PathBuf::from(NOWHERE)));
        Process { storage, me: Name { slot, generation: 1 } }
    }

    /// Starts a process of a model.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        slot: u32,
        act: impl FnOnce(&Process) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let world = self.clone();
        let start = move || act(&world.process(slot));
        loom::thread::Builder::new().stack_size(STACK).spawn(start).expect("models can start threads")
    }

    pub(super) fn image(&self) -> Image {
        self.region.image()
    }
}

/// A path that leads to the file that the region has here.
const NOWHERE: &str = "/dev/null";

/// In words of eight bytes.
const STACK: usize = 32 << 10;

/// The contents of a region in which these processes live and that was prepared so.
pub(super) fn prepared(capacity: u64, prepare: impl FnOnce(&Process)) -> Image {
    let world = World::plain(capacity, &Image::new());
    let first = world.process(0);
    first.storage.first_values();
    for slot in 0..PROCESSES {
        let identity =
            Identity { pid: slot, start_time: 0, pid_namespace: 0, host: String::new(), command: String::new() };
        let name = first.storage.participants().take(slot, u64::from(slot) + 1, &identity, "");
        assert_eq!(name, Name { slot, generation: 1 });
        let liveness = first.storage.geometry.participant(slot) + LIVENESS;
        first.storage.memory.store32(liveness, (slot + 1) | robust::WAITERS, Relaxed);
    }
    prepare(&first);
    world.image()
}

/// A value that shows whether it is whole: the same number so many times.
fn value(number: u64, words: usize) -> Vec<u8> {
    number.to_ne_bytes().repeat(words)
}

fn number(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let same = words.windows(2).all(|pair| pair[0] == pair[1]);
    assert!(!words.is_empty() && rest.is_empty() && same, "torn: {bytes:?}");
    u64::from_ne_bytes(words[0])
}

/// The words of most values.
const WORDS: usize = 2;

impl Process {
    pub(super) fn key<'a>(&self, name: &'a str) -> Key<'a> {
        self.storage.key(Space::Values, name.as_bytes())
    }

    pub(super) fn get(&self, name: &str) -> Option<u64> {
        let mut bytes = Vec::new();
        let seen = self.storage.read(&self.key(name), &mut bytes).expect("what is there can be read");
        seen.map(|_| number(&bytes))
    }

    pub(super) fn put(&self, name: &str, number: u64) {
        self.put_words(name, number, WORDS);
    }

    /// Stores a value of so many words, so that its block is as large as another kind of block.
    pub(super) fn put_words(&self, name: &str, number: u64, words: usize) {
        let (key, value) = (self.key(name), value(number, words));
        let at_once = |seized: Seized<'_>| match seized.find(&key) {
            Some(found) => seized.overwrite(found, &key, &value),
            None => seized.insert(&key, &value),
        };
        self.change(&key, at_once, |locked| {
            locked.put(&key, &value, Life::Forever).expect("there is room");
        });
    }

    pub(super) fn remove(&self, name: &str) {
        let key = self.key(name);
        let at_once = |seized: Seized<'_>| seized.remove(seized.find(&key)?, &key);
        self.change(&key, at_once, |locked| {
            locked.delete(&key).expect("what is there can be removed");
        });
    }

    /// The short way, or the long one where that does not lead on, as a driver goes them.
    fn change(
        &self,
        key: &Key<'_>,
        at_once: impl FnOnce(Seized<'_>) -> Option<u64>,
        thoroughly: impl FnOnce(&Locked<'_>),
    ) {
        let allowance = Allowance::full();
        let locked = match self.storage.seize(self.me, key) {
            Some(seized) if seized.is_sound() && at_once(seized).is_some() => return seized.release(),
            Some(seized) => seized.into_locked(self.me, &allowance),
            None => self.storage.shard(key.shard).lock(self.me, &allowance),
        };
        thoroughly(&locked.expect("a lock is given within its bound"));
    }

    /// Changes several keys at once; `None` removes.
    pub(super) fn transact(&self, changes: &[(&str, Option<u64>)]) {
        let values: Vec<Vec<u8>> = changes.iter().map(|(_, to)| value(to.unwrap_or(0), WORDS)).collect();
        let mut changes: Vec<Change<'_>> = changes
            .iter()
            .zip(&values)
            .enumerate()
            .map(|(number, ((name, to), value))| {
                let to = if to.is_some() { To::Value(value, Life::Forever) } else { To::Nothing };
                Change { key: self.key(name), to, number }
            })
            .collect();
        changes.sort_by_key(|change| change.key.shard);
        if self.overwrite_together(&changes) {
            return;
        }
        let shards = changes.iter().fold(0, |shards, change| shards | 1 << change.key.shard);
        let allowance = Allowance::full();
        let locks = self.storage.lock_shards(self.me, shards, &allowance).expect("locks are given within their bound");
        self.storage.transact(&locks, &changes).expect("there is room");
    }

    /// The short way, as a driver goes it.
    fn overwrite_together(&self, changes: &[Change<'_>]) -> bool {
        if changes.windows(2).any(|two| two[0].key.shard == two[1].key.shard) {
            return false;
        }
        let mut overwrites = Vec::new();
        for Change { key, to, number } in changes.iter().copied() {
            let To::Value(value, _) = to else { return false };
            overwrites.push(Overwrite { key, value, expected: None, number });
        }
        self.storage.overwrite_together(self.me, &overwrites, |_| true).is_some()
    }

    /// All keys and their numbers, as of one moment.
    pub(super) fn snapshot(&self) -> BTreeMap<String, u64> {
        let shards = self.storage.all_shards();
        let wanted = Wanted { space: Space::Values, prefix: b"", values: true, shards };
        let found =
            self.storage.snapshot(&wanted, &Allowance::full(), || Ok(self.me)).expect("what is there can be read");
        found.iter().map(|copied| (String::from_utf8_lossy(&copied.key).into_owned(), number(&copied.value))).collect()
    }

    /// The same process, as whoever holds a handle sees it.
    pub(super) fn handle(&self) -> Handle {
        Handle(Some(Shm::modelled(Arc::clone(&self.storage), self.me).expect("the system has what a process needs")))
    }

    /// Takes every lock once, so that whatever the dead left is recovered, and looks at every byte.
    pub(super) fn verify(&self) {
        let report = self.storage.verify(self.me).expect("whatever was left can be recovered");
        assert!(report.problems.is_empty(), "{:?}", report.problems);
    }

    /// Does something that ends by death before store number `stores`; whether it came so far.
    pub(super) fn dying_at(&self, stores: u64, act: impl FnOnce(&Self)) -> bool {
        self.dying(When::Store(stores), act)
    }

    /// Does something that ends by death then; whether it came so far.
    pub(super) fn dying(&self, when: When, act: impl FnOnce(&Self)) -> bool {
        let died = death::dying(when, || act(self)).is_none();
        if died {
            self.report_death();
        }
        died
    }

    /// What the kernel does once a process is dead.
    fn report_death(&self) {
        let at = self.storage.geometry.participant(self.me.slot) + LIVENESS;
        let memory = &self.storage.memory;
        let alive = memory.load32(at, Relaxed);
        let _ = memory.exchange32(at, alive, alive | robust::OWNER_DIED);
        if let Some(word) = memory.futex(at) {
            futex::wake(word, u32::MAX >> 1);
        }
    }
}

/// A handle on a store. Its end is that of its process: nothing more is written.
pub(super) struct Handle(Option<Shm>);

impl Handle {
    pub(super) fn driver(&self) -> &Shm {
        self.0.as_ref().expect("it is there until the end")
    }

    pub(super) fn put(&self, access: &Access, name: &str, number: u64) -> crate::Result<Revision> {
        self.driver().put(access, Space::Values, name, &value(number, WORDS), Lifetime::Forever)
    }

    /// A key's number and revision.
    pub(super) fn get(&self, access: &Access, name: &str) -> Option<(u64, Revision)> {
        let mut bytes = Vec::new();
        let revision = self.driver().get(access, Space::Values, name, &mut bytes).expect("what is there can be read");
        revision.map(|revision| (number(&bytes), revision))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let shm = self.0.take();
        if !std::thread::panicking() {
            death::dying(When::Store(0), || drop(shm));
        }
    }
}

/// A world and how thoroughly it is explored.
#[derive(Clone)]
pub(super) struct Model {
    capacity: u64,
    image: Image,
    preemptions: usize,
    naps_end: bool,
    order: Order,
}

impl Model {
    pub(super) fn new(capacity: u64, prepare: impl FnOnce(&Process)) -> Self {
        Self { capacity, image: prepared(capacity, prepare), preemptions: 2, naps_end: true, order: Order::None }
    }

    /// The same world after somebody has died in that, before that store. What is rehearsed there leaves nothing behind
    /// but the words that it touched, so that they need not be found out by trying.
    pub(super) fn after_death(
        &self,
        (slot, stores): (u32, u64),
        act: impl FnOnce(&Process),
        rehearse: impl FnOnce(&World),
    ) -> Self {
        let world = World::plain(self.capacity, &self.image);
        world.process(slot).dying_at(stores, act);
        let mut image = world.image();
        let rehearsal = World::plain(self.capacity, &image);
        rehearse(&rehearsal);
        for (at, content) in rehearsal.image() {
            image.entry(at).or_insert(content.emptied());
        }
        Self { image, ..self.clone() }
    }

    /// How sequentially consistent accesses get one order; without it, less is promised than really is.
    pub(super) fn ordered(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// How often a thread is interrupted at most where it could go on.
    pub(super) fn preemptions(mut self, preemptions: usize) -> Self {
        self.preemptions = preemptions;
        self
    }

    /// Short sleeps do not end by themselves, though they do.
    pub(super) fn endless_naps(mut self) -> Self {
        self.naps_end = false;
        self
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(super) fn image(&self) -> &Image {
        &self.image
    }

    /// Every interleaving goes well.
    pub(super) fn holds(&self, run: impl Fn(&World) + Send + core::marker::Sync + 'static) {
        if let Err(problem) = self.explore(Arc::new(run)) {
            panic!("{problem}");
        }
    }

    /// With that defect, some interleaving goes wrong, in that way.
    pub(super) fn finds(
        &self,
        defect: Option<Defect>,
        expected: &str,
        run: impl Fn(&World) + Send + core::marker::Sync + 'static,
    ) {
        assert!(self.fails(defect, expected, run), "no execution shows {defect:?}");
    }

    /// Whether, with that defect, some interleaving goes wrong. In no other way than that.
    pub(super) fn fails(
        &self,
        defect: Option<Defect>,
        expected: &str,
        run: impl Fn(&World) + Send + core::marker::Sync + 'static,
    ) -> bool {
        broken::set(defect);
        let result = self.explore(Arc::new(run));
        broken::set(None);
        result.is_err_and(|problem| {
            assert!(problem.contains(expected), "{defect:?} shows otherwise: {problem}");
            true
        })
    }

    /// How many stores something does where it is alone, wakes included.
    pub(super) fn stores_of(&self, act: impl FnOnce(&Process)) -> u64 {
        let process = World::plain(self.capacity, &self.image).process(1);
        death::stores_of(|| act(&process))
    }

    fn explore(&self, run: Arc<dyn Fn(&World) + Send + core::marker::Sync>) -> Result<u64, String> {
        let (mut image, mut known) = (self.image.clone(), Known::default());
        let start = std::time::Instant::now();
        loop {
            let executions = Arc::new(AtomicU64::new(0));
            let (result, count) = (self.explore_known(&image, &run, &executions), || executions.load(SeqCst));
            match result {
                Ok(()) => {
                    eprintln!("{} executions in {:.1} s", count(), start.elapsed().as_secs_f64());
                    return Ok(count());
                }
                Err(payload) => match payload.downcast::<Missing>() {
                    Ok(missing) => known.learn(&mut image, &missing),
                    Err(payload) => {
                        eprintln!("found in execution {} after {:.1} s", count(), start.elapsed().as_secs_f64());
                        return Err(message(&*payload));
                    }
                },
            }
        }
    }

    fn explore_known(
        &self,
        image: &Image,
        run: &Arc<dyn Fn(&World) + Send + core::marker::Sync>,
        executions: &Arc<AtomicU64>,
    ) -> Result<(), Box<dyn std::any::Any + Send>> {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(self.preemptions);
        builder.max_branches = 200_000;
        let (image, run, executions) = (image.clone(), Arc::clone(run), Arc::clone(executions));
        let (capacity, naps_end) = (self.capacity, self.naps_end);
        atomics::set_order(self.order);
        let result = catch_unwind(AssertUnwindSafe(|| {
            builder.check(move || {
                executions.fetch_add(1, SeqCst);
                atomics::set_inside(true);
                futex::boot(naps_end);
                let world = World { region: Region::new(&image, true), capacity };
                run(&world);
                futex::shut_down();
            });
        }));
        atomics::set_inside(false);
        futex::shut_down();
        death::clear();
        result
    }
}

fn message(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "something that is no text".into())
}
