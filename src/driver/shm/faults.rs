//! No room at every point at which a region takes some: the n-th system call that takes room fails, for each n.
//!
//! Whatever fails says so, changes nothing, and works as soon as there is room again.

use std::{collections::BTreeMap, fs, os::unix::fs::FileExt, path::Path};

use nix::errno::Errno;

use crate::{
    Error, ErrorKind, Lifetime, Options, Sync,
    region::layout::Geometry,
    sys::{
        faults::{Fault, during},
        testing::World,
    },
};

type All = BTreeMap<String, Vec<u8>>;

/// One kind of change, made again and again, so that it meets growth of all kinds.
struct Work {
    name: &'static str,
    capacity: u64,
    steps: u64,
    /// Does the change of that number; what the store then holds is changed only when that was done.
    step: fn(&Sync, u64, &mut All) -> Result<(), Error>,
}

const MIB: u64 = 1 << 20;

const WORKS: [Work; 6] = [
    Work {
        name: "set, with the index growing",
        capacity: MIB,
        steps: 2500,
        step: |store, number, all| put(store, all, format!("key/{number}"), vec![1; (number % 7) as usize * 60]),
    },
    Work {
        name: "set, overwriting with larger values",
        capacity: 4 * MIB,
        steps: 60,
        step: |store, number, all| put(store, all, format!("key/{}", number % 4), vec![2; number as usize * 700]),
    },
    Work {
        name: "set, filled outside the lock",
        capacity: 8 * MIB,
        steps: 6,
        step: |store, number, all| put(store, all, format!("key/{number}"), vec![3; 300_000 + number as usize * 9000]),
    },
    Work { name: "transaction", capacity: 4 * MIB, steps: 40, step: transaction },
    Work { name: "replace all", capacity: 4 * MIB, steps: 12, step: replace_all },
    Work { name: "update", capacity: 2 * MIB, steps: 40, step: update },
];

fn put(store: &Sync, all: &mut All, key: String, value: Vec<u8>) -> Result<(), Error> {
    store.set_with(&key, &value, Lifetime::Forever)?;
    all.insert(key, value);
    Ok(())
}

fn transaction(store: &Sync, number: u64, all: &mut All) -> Result<(), Error> {
    let pairs = (0..4).map(|step| (format!("key/{number}/{step}"), vec![step as u8; 900 + step as usize * 800]));
    let pairs: Vec<(String, Vec<u8>)> = pairs.collect();
    store.transaction(|transaction| pairs.iter().try_for_each(|(key, value)| transaction.set(key, value)))?;
    all.extend(pairs);
    Ok(())
}

fn replace_all(store: &Sync, number: u64, all: &mut All) -> Result<(), Error> {
    let rows = (number + 1) * 12;
    let new: All = (0..rows).map(|row| (format!("row/{row}"), vec![number as u8; 100 + row as usize * 11])).collect();
    store.replace_all("row/", &new)?;
    *all = new;
    Ok(())
}

fn update(store: &Sync, number: u64, all: &mut All) -> Result<(), Error> {
    let (key, value) = (format!("key/{}", number % 20), vec![9; number as usize * 400]);
    store.update(&key, |_: Option<Vec<u8>>| Some(value.clone()))?;
    all.insert(key, value);
    Ok(())
}

fn options(capacity: u64) -> Options {
    Sync::options().capacity(capacity).liveness_thread(false)
}

/// Faults at that call: one call alone, those behind it too (growing by less is tried then), half done and undone.
fn faults_at(first: u32) -> impl Iterator<Item = Fault> {
    let kinds = [
        (Errno::ENOSPC, 1, false),
        (Errno::ENOSPC, 1, true),
        (Errno::ENOSPC, u32::MAX, true),
        (Errno::EDQUOT, u32::MAX, false),
        (Errno::ENOMEM, u32::MAX, false),
        (Errno::EIO, u32::MAX, false),
        (Errno::EINTR, 1, false),
        (Errno::EINTR, u32::MAX, false),
    ];
    kinds.into_iter().map(move |(errno, calls, half)| Fault { first, calls, errno, half })
}

/// How many failed calls must still come to nothing worse than a delay.
fn is_harmless(fault: Fault) -> bool {
    fault.errno == Errno::EINTR && fault.calls == 1
}

fn expected(errno: Errno) -> ErrorKind {
    match errno {
        Errno::ENOSPC | Errno::EDQUOT | Errno::ENOMEM => ErrorKind::Full,
        _ => ErrorKind::Io,
    }
}

#[track_caller]
fn assert_holds(store: &Sync, all: &All, when: &str) {
    assert_eq!(&store.read_all::<Vec<u8>>("").unwrap(), all, "{when}");
    let problems = store.verify().unwrap().problems;
    assert!(problems.is_empty(), "{when}: {problems:#?}");
}

/// What is left of a fault, counted from the beginning of a work, after so many calls.
fn later(fault: Fault, calls: u32) -> Option<Fault> {
    let first = match fault.first.checked_sub(calls) {
        // Where room was found without growing, those that last wait for the next time.
        None if fault.calls == u32::MAX => 0,
        first => first?,
    };
    Some(Fault { first, ..fault })
}

/// All of a work in a new store; how many calls took room, and how many changes failed.
fn run(work: &Work, path: &Path, fault: Option<Fault>) -> (u32, u32) {
    let _ = fs::remove_file(path);
    let store = options(work.capacity).open(path).unwrap();
    let (mut all, mut calls, mut failed) = (All::new(), 0, 0);
    for number in 0..work.steps {
        let ahead = fault.filter(|_| failed == 0).and_then(|fault| later(fault, calls));
        let (result, made) = during(ahead, || (work.step)(&store, number, &mut all));
        let Err(error) = result else {
            calls += made;
            continue;
        };
        let (fault, when) = (fault.expect("no fault, no failure"), format!("{}, {fault:?}: {error:?}", work.name));
        assert_eq!(error.kind(), expected(fault.errno), "{when}");
        assert!(!is_harmless(fault), "{when}");
        assert_holds(&store, &all, &when);
        (work.step)(&store, number, &mut all).unwrap_or_else(|error| panic!("{when}; with room again: {error:?}"));
        failed += 1;
    }
    assert_holds(&store, &all, work.name);
    store.clear().unwrap();
    assert_holds(&store, &All::new(), work.name);
    (calls, failed)
}

/// Promise 6, attacks 35 and 37: at each call by which a file grows, for each kind of change.
#[test]
fn attack_35_no_room_at_any_point_of_growth_is_an_error_that_changes_nothing() {
    let world = World::new();
    let path = world.folder.path().join("store");
    for work in &WORKS {
        let (calls, failed) = run(work, &path, None);
        assert!(calls >= 3 && failed == 0, "{}: only {calls} calls take room", work.name);
        let (mut runs, mut failures) = (0, 0);
        for fault in (0..calls).flat_map(faults_at) {
            let failed = run(work, &path, Some(fault)).1;
            assert!(failed <= 1, "{}, {fault:?}", work.name);
            // Later on, the room that was freed meanwhile may do, and so may half of what was asked for.
            let must_fail = fault.first == 0 && fault.calls > 1 && !fault.half;
            assert!(failed == 1 || !must_fail, "{}, {fault:?}: nobody notices", work.name);
            (runs, failures) = (runs + 1, failures + failed);
        }
        assert!(failures > calls, "{}: only {failures} failures", work.name);
        println!("{}: {calls} calls take room, {runs} runs with a fault, {failures} failures", work.name);
    }
}

/// Each call by which a store is made.
#[test]
fn attack_32_no_room_at_any_point_of_creation_leaves_nothing_behind() {
    let world = World::new();
    let path = world.folder.path().join("store");
    let (store, calls) = during(None, || options(MIB).open(&path).unwrap());
    store.destroy().unwrap();
    assert!(calls >= 4, "{calls} calls take room");
    for fault in (0..calls).flat_map(faults_at) {
        match during(Some(fault), || options(MIB).open(&path)).0 {
            Ok(store) => {
                assert!(fault.errno == Errno::EINTR, "{fault:?}: nobody notices");
                store.destroy().unwrap();
            }
            Err(error) => {
                assert_eq!(error.kind(), expected(fault.errno), "{fault:?}: {error:?}");
                assert!(!path.exists(), "{fault:?}: something is left behind");
            }
        }
        let store = options(MIB).open(&path).unwrap();
        store.set("a", &1).unwrap();
        store.destroy().unwrap();
    }
}

/// Pages of zeros become holes.
fn make_sparse(path: &Path) {
    let bytes = fs::read(path).unwrap();
    let file = fs::File::create(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (page, bytes) in bytes.chunks(4096).enumerate().filter(|(_, bytes)| bytes.iter().any(|byte| *byte != 0)) {
        file.write_all_at(bytes, page as u64 * 4096).unwrap();
    }
}

/// Each call by which a sparse copy gets its blocks when it is attached to.
#[test]
fn attack_36_no_room_at_any_point_of_filling_holes_is_an_error_that_changes_nothing() {
    let world = World::new();
    let path = world.folder.path().join("store");
    let store = options(MIB).open(&path).unwrap();
    let mut all = All::new();
    (0..9).try_for_each(|key| put(&store, &mut all, format!("{key}"), vec![0; 20_000])).unwrap();
    drop(store);
    make_sparse(&path);
    let copy = fs::read(&path).unwrap();
    let (_, calls) = during(None, || options(MIB).open(&path).unwrap());
    assert_eq!(calls, 2);
    for fault in (0..calls).flat_map(faults_at) {
        fs::write(&path, &copy).unwrap();
        make_sparse(&path);
        let result = during(Some(fault), || options(MIB).open(&path)).0;
        match result {
            Ok(store) => assert!(is_harmless(fault) && store.len().unwrap() == 9, "{fault:?}: nobody notices"),
            Err(error) => assert_eq!(error.kind(), expected(fault.errno), "{fault:?}: {error:?}"),
        }
        assert_holds(&options(MIB).open(&path).unwrap(), &all, "with room again");
    }
}

/// The layout that the works above are meant for: all begin with few extents and end far behind them.
#[test]
fn works_outgrow_a_new_file() {
    let first = |capacity| Geometry::new(capacity).unwrap().first_extent() + 16;
    assert!(WORKS.iter().all(|work| first(work.capacity) * 4096 < work.capacity / 2));
}
