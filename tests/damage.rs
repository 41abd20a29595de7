//! Bytes of a region that once led astray, each the shortest way to what went wrong.
#![cfg(target_os = "linux")]

#[path = "bytes/layout.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
mod layout;

mod common;

use std::{
    fs,
    os::unix::fs::FileExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use common::{Child, Place, assert_kind, assert_sound, hear, say};
use layout::{Map, PARTICIPANT, PARTICIPANTS, index, record, word};
use shmsync::{Error, ErrorKind, Lifetime, Options, Sync, Value};

roles!(open_and_get, hold);

const SMALL: u64 = 1 << 20;

fn options() -> Options {
    Sync::options().capacity(SMALL).access_limit(Duration::from_millis(200))
}

/// A store with a few entries and its image, closed.
fn image(place: &Place) -> Vec<u8> {
    let store = options().open(place.path()).unwrap();
    (0..50).for_each(|number| assert!(store.set(&key(number), &number).is_ok()));
    drop(store);
    fs::read(place.path()).unwrap()
}

fn key(number: u64) -> String {
    format!("key/{number}")
}

/// Writes words into the file, behind everybody's back.
fn scribble(path: &Path, words: &[(u64, u64)]) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    words.iter().for_each(|(at, word)| file.write_all_at(&word.to_ne_bytes(), *at).unwrap());
}

/// A lock word that names a participant of the image who lives.
fn held_by_the_living(image: &[u8]) -> u64 {
    let at = |slot| PARTICIPANTS + slot * PARTICIPANT;
    let slot = (0..4).find(|slot| word(image, at(*slot)) as u32 == 1).unwrap();
    (slot + 1) | (word(image, at(slot)) >> 32) << 13
}

/// The result is `Corrupt`, and came soon.
#[track_caller]
fn assert_corrupt_soon<T>(run: impl FnOnce() -> Result<T, Error>) {
    let start = Instant::now();
    let result = run();
    let time = start.elapsed();
    assert_kind(result, ErrorKind::Corrupt, "damaged");
    assert!(time < Duration::from_secs(2), "it takes {time:?}");
}

/// Where shard 0 and the first slot in use of its values are, and what stands there.
fn first_slot(image: &[u8]) -> (u64, u64, u64) {
    let shard = Map::of(image).shard(0);
    let (offset, slots) = index(image, shard, 0);
    let at = (0..slots).map(|slot| offset + slot * 8).find(|at| word(image, *at) != 0).unwrap();
    (shard, at, word(image, at))
}

/// The key whose record a slot names.
fn key_of(image: &[u8], slot: u64) -> String {
    let at = record(slot).unwrap() as usize;
    let len = u16::from_ne_bytes([image[at + 12], image[at + 13]]) as usize + 1;
    String::from_utf8(image[at + 24..at + 24 + len].to_vec()).unwrap()
}

/// Attack 16: a committed record that says "not valid" is damage, not a race; it is told at once, not after 5 s.
#[test]
fn attack_16_a_record_without_a_version_is_damage_and_told_soon() {
    let place = Place::new();
    let image = image(&place);
    let (_, _, slot) = first_slot(&image);
    scribble(&place.path(), &[(record(slot).unwrap(), 0)]);
    let store = options().open(place.path()).unwrap();
    assert_corrupt_soon(|| store.get::<Value>(&key_of(&image, slot)));
    assert_corrupt_soon(|| store.read_all::<Value>(""));
    assert_corrupt_soon(|| store.watch(&key_of(&image, slot)).and_then(|mut w| w.next_timeout(Duration::from_secs(9))));
}

/// Attack 19: a length that reaches out of the file is not believed.
#[test]
fn attack_19_a_record_longer_than_the_file_is_damage() {
    let place = Place::new();
    let image = image(&place);
    let (_, _, slot) = first_slot(&image);
    scribble(&place.path(), &[(record(slot).unwrap() + 8, u64::from(u32::MAX))]);
    let store = options().open(place.path()).unwrap();
    assert_corrupt_soon(|| store.get::<Value>(&key_of(&image, slot)));
}

/// Attack 19: a thousand slots that name one record of 200 kB must not be read into 200 MB.
#[test]
fn attack_19_slots_that_name_one_record_are_no_huge_allocation() {
    let place = Place::new();
    let store = options().open(place.path()).unwrap();
    (0..700).for_each(|number| assert!(store.set(&key(number), &number).is_ok()));
    store.set_bytes("large", &vec![1; 200_000]).unwrap();
    drop(store);
    let image = fs::read(place.path()).unwrap();
    let (offset, slots) = index(&image, Map::of(&image).shard(0), 0);
    let all = (0..slots).map(|slot| offset + slot * 8);
    let large =
        all.clone().find(|at| record(word(&image, *at)).is_some_and(|at| word(&image, at + 8) as u32 > 200_000));
    let large = word(&image, large.unwrap());
    let words: Vec<_> = all.filter(|at| word(&image, *at) != 0).map(|at| (at, large)).collect();
    scribble(&place.path(), &words);
    let store = options().open(place.path()).unwrap();
    assert_corrupt_soon(|| store.read_all::<Value>(""));
    assert_corrupt_soon(|| store.keys(""));
    let start = Instant::now();
    assert!(!store.verify().unwrap().problems.is_empty());
    assert!(start.elapsed() < Duration::from_secs(2), "verify takes {:?}", start.elapsed());
}

/// Attack 25: a note in the journal that names the number of notes made undoing endless.
#[test]
fn attack_25_a_journal_that_names_itself_comes_to_an_end() {
    let place = Place::new();
    let image = image(&place);
    let (shard, ..) = first_slot(&image);
    let notes = [(shard + 160, 5), (shard + 1024, shard + 160), (shard + 1032, 64), (shard + 128, 4)];
    scribble(&place.path(), &notes);
    let store = options().open(place.path()).unwrap();
    assert_corrupt_soon(|| store.set("a", &1));
}

/// A journal may put back what is its shard's, not the header of the region.
#[test]
fn a_journal_that_names_the_header_is_not_obeyed() {
    let place = Place::new();
    let image = image(&place);
    let (shard, ..) = first_slot(&image);
    scribble(&place.path(), &[(shard + 160, 1), (shard + 1024, 24), (shard + 1032, 0), (shard + 128, 4)]);
    let store = options().open(place.path()).unwrap();
    assert_corrupt_soon(|| store.set("a", &1));
    assert_eq!(fs::read(place.path()).unwrap()[..256], image[..256], "the header changes");
}

/// Attack 24: counts and places of a transaction's part are looked at before they are followed.
#[test]
fn attack_24_a_part_of_a_transaction_that_is_garbage_is_damage() {
    let place = Place::new();
    let image = image(&place);
    let (shard, _, slot) = first_slot(&image);
    for part in [u64::MAX, 8, shard, record(slot).unwrap(), 1 << 40] {
        fs::write(place.path(), &image).unwrap();
        scribble(&place.path(), &[(shard + 168, part), (shard + 128, 3)]);
        let store = options().open(place.path()).unwrap();
        let start = Instant::now();
        let _ = store.set("a", &1);
        assert!(start.elapsed() < Duration::from_secs(2), "a part at {part} takes {:?}", start.elapsed());
    }
}

/// Attack 43: a clock at its end would give revision 0, which means "not valid".
#[test]
fn attack_43_a_clock_of_garbage_is_damage_and_not_a_lost_write() {
    let place = Place::new();
    let image = image(&place);
    let (shard, ..) = first_slot(&image);
    for clock in [u64::MAX, u64::MAX >> 6, (1 << 58) - 1] {
        fs::write(place.path(), &image).unwrap();
        scribble(&place.path(), &[(shard + 16, clock)]);
        let store = options().open(place.path()).unwrap();
        assert_corrupt_soon(|| store.set("key/1", &2));
        assert_eq!(store.get::<u64>("key/1").unwrap(), Some(1), "clock {clock:x}");
    }
}

/// Numbers of records that no index could have led to an overflow, and to an index that never had room.
#[test]
fn counts_larger_than_the_index_are_damage() {
    let place = Place::new();
    let image = image(&place);
    let (shard, ..) = first_slot(&image);
    for (live, used) in [(u64::MAX, u64::MAX), (u64::MAX / 2, 50), (50, 1 << 40), (51, 50)] {
        fs::write(place.path(), &image).unwrap();
        scribble(&place.path(), &[(shard + 192, live), (shard + 208, used)]);
        let store = options().open(place.path()).unwrap();
        assert_corrupt_soon(|| store.set("new", &1));
        let _ = store.len();
        let _ = store.stats();
    }
}

/// An index said to be larger than the file is not walked, slot by slot, by whoever makes room.
#[test]
fn an_index_larger_than_the_file_is_damage_for_whoever_buries() {
    let place = Place::new();
    let image = image(&place);
    let (shard, ..) = first_slot(&image);
    let at = Map::of(&image).root(shard);
    let root = word(&image, at) & !(63 << 34) | 28 << 34;
    scribble(&place.path(), &[(at, root), (shard + 224, 1)]);
    let store = options().open(place.path()).unwrap();
    assert_corrupt_soon(|| store.set_bytes("a", &vec![0; 2_000_000]));
}

/// Attack 32: two bits make a header say "unfinished". What was in use is then not made anew, let alone cut short under
/// its users.
#[test]
fn attack_32_a_used_store_that_says_unfinished_is_not_made_anew() {
    let place = Place::new();
    let store = options().open(place.path()).unwrap();
    store.set("kept", &1).unwrap();
    fs::OpenOptions::new().write(true).open(place.path()).unwrap().write_all_at(&1_u32.to_ne_bytes(), 8).unwrap();
    Child::on(&place, "open_and_get", &["kept"]).expect("Corrupt");
    assert_eq!(store.get::<u64>("kept").unwrap(), Some(1));
    drop(store);
    Child::on(&place, "open_and_get", &["kept"]).expect("Corrupt");
    fs::OpenOptions::new().write(true).open(place.path()).unwrap().write_all_at(&2_u32.to_ne_bytes(), 8).unwrap();
    assert_eq!(options().open(place.path()).unwrap().get::<u64>("kept").unwrap(), Some(1));
}

fn open_and_get(arguments: &[String]) {
    match options().open(&arguments[0]).and_then(|store| store.get::<Value>(&arguments[1])) {
        Ok(value) => say(value.map_or("nothing".into(), |value| value.to_string())),
        Err(error) => say(format!("{:?}", error.kind())),
    }
}

/// Attack 6: a newcomer does not get a living participant's slot, whatever the table says of the last one in use.
#[test]
fn attack_6_a_slot_of_the_living_is_not_given_away() {
    let place = Place::new();
    let store = options().open(place.path()).unwrap();
    store.set_with("mine", &1, Lifetime::Process).unwrap();
    scribble(&place.path(), &[(288, 0)]);
    Child::on(&place, "open_and_get", &["mine"]).expect("1");
    let mut other = Child::on(&place, "hold", &[]);
    other.expect("open");
    let pids: Vec<u32> = store.participants().unwrap().iter().map(|participant| participant.pid).collect();
    assert!(pids.contains(&std::process::id()) && pids.contains(&other.pid()), "{pids:?}");
    assert_eq!(store.get::<u64>("mine").unwrap(), Some(1));
}

fn hold(arguments: &[String]) {
    let _store = options().open(&arguments[0]).unwrap();
    say("open");
    hear();
}

/// Attack 4: a lock word that names a living participant who does not know of it is `Locked` after 5 s; closing the
/// gate, which has a limit, does not take longer than that.
#[test]
fn attack_4_a_lock_word_that_names_the_living_is_locked_within_the_limit() {
    let place = Place::new();
    let image = image(&place);
    let (shard, ..) = first_slot(&image);
    let store = options().open(place.path()).unwrap();
    let image = fs::read(place.path()).unwrap();
    let damaged = word(&image, shard) >> 32 << 32;
    scribble(&place.path(), &[(shard, damaged | held_by_the_living(&image))]);
    let start = Instant::now();
    assert_kind(store.exclusive_timeout(Duration::from_millis(200)), ErrorKind::Locked, "in the middle of a change");
    assert!(store.try_exclusive().unwrap().is_none(), "whoever only tries is told to come later");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_kind(store.set("a", &1), ErrorKind::Locked, "in the middle of a change");
    let time = start.elapsed();
    assert!((5..9).contains(&time.as_secs()), "{time:?}");
    assert_eq!(store.get::<u64>("key/1").unwrap(), Some(1));
    assert_eq!(store.get::<u64>("a").unwrap(), None, "nothing was changed");
    scribble(&place.path(), &[(shard, damaged)]);
    store.set("a", &1).unwrap();
    assert_sound(&store);
}

/// Locks of which each is given back soon are waited for together no longer than one.
#[test]
fn several_locks_are_waited_for_no_longer_than_one() {
    let place = Place::new();
    let store = options().capacity(16 << 20).open(place.path()).unwrap();
    (0..200).for_each(|number| assert!(store.set(&key(number), &number).is_ok()));
    let image = fs::read(place.path()).unwrap();
    let map = Map::of(&image);
    let owner = held_by_the_living(&image);
    let free: Vec<(u64, u64)> =
        (0..map.shards).map(|shard| (map.shard(shard), word(&image, map.shard(shard)))).collect();
    let held: Vec<(u64, u64)> = free.iter().map(|(at, word)| (*at, word >> 32 << 32 | owner)).collect();
    assert_eq!(free.len(), 16);
    type Run<'a> = &'a (dyn Fn() -> Result<(), Error> + core::marker::Sync);
    let time_until_locked = |pause: Duration, run: Run<'_>| {
        scribble(&place.path(), &held);
        let start = Instant::now();
        thread::scope(|scope| {
            let locked = scope.spawn(|| {
                assert_kind(run(), ErrorKind::Locked, "in the middle of a change");
                start.elapsed()
            });
            free.iter().for_each(|lock| {
                thread::sleep(pause);
                scribble(&place.path(), &[*lock]);
            });
            locked.join().unwrap()
        })
    };
    let limit = Duration::from_millis(200);
    let time = time_until_locked(Duration::from_millis(80), &|| store.exclusive_timeout(limit).map(drop));
    assert!(time < Duration::from_millis(800), "{time:?}");
    let change_all = || store.transaction(|all| (0..200).try_for_each(|number| all.set(&key(number), &0)));
    let time = time_until_locked(Duration::from_millis(500), &|| change_all().map(drop));
    assert!((4..7).contains(&time.as_secs()), "{time:?}");
    change_all().unwrap();
    assert_sound(&store);
}

/// Who has waited for a shard's lock, and then needs that of the extents too, waits for it only as long as is left.
#[test]
fn a_lock_within_a_lock_is_waited_for_no_longer_than_one() {
    const SPACE_LOCK: u64 = 4096;
    let place = Place::new();
    let before = image(&place);
    let (shard, ..) = first_slot(&before);
    let store = options().open(place.path()).unwrap();
    let image = fs::read(place.path()).unwrap();
    let owner = held_by_the_living(&image);
    let [free, space_free] = [shard, SPACE_LOCK].map(|at| word(&image, at));
    scribble(&place.path(), &[(shard, free >> 32 << 32 | owner), (SPACE_LOCK, space_free >> 32 << 32 | owner)]);
    let start = Instant::now();
    thread::scope(|scope| {
        let set = scope.spawn(|| store.set_bytes("of a class that has no room yet", &[1; 2000]));
        thread::sleep(Duration::from_secs(3));
        scribble(&place.path(), &[(shard, free)]);
        assert_kind(set.join().unwrap(), ErrorKind::Locked, "in the middle of a change");
    });
    let time = start.elapsed();
    assert!((4..7).contains(&time.as_secs()), "{time:?}");
    scribble(&place.path(), &[(SPACE_LOCK, space_free)]);
    store.set_bytes("of a class that has no room yet", &[1; 2000]).unwrap();
    assert_sound(&store);
}

/// A change that was made is told as made, although what it frees cannot be given back, because somebody stands still with
/// the lock of the extents. Who comes next changes nothing; and no number of them does any damage.
#[test]
fn a_change_is_no_failure_because_its_room_is_not_free_yet() {
    const SPACE_LOCK: u64 = 4096;
    let place = Place::new();
    let store = options().open(place.path()).unwrap();
    // More than rest: each removal from the 17th on frees one that has rested.
    (0..30).for_each(|number| assert!(store.set_bytes(&key(number), &[1; 5_000]).is_ok()));
    (0..18).for_each(|number| assert!(store.remove(&key(number)).unwrap()));
    let image = fs::read(place.path()).unwrap();
    let free = word(&image, SPACE_LOCK);
    scribble(&place.path(), &[(SPACE_LOCK, free >> 32 << 32 | held_by_the_living(&image))]);
    assert!(store.remove(&key(18)).unwrap());
    assert_eq!(store.get_bytes(&key(18)).unwrap(), None);
    assert_kind(store.remove(&key(19)), ErrorKind::Locked, "in the middle of a change");
    assert!(store.get_bytes(&key(19)).unwrap().is_some(), "nothing was changed");
    scribble(&place.path(), &[(SPACE_LOCK, free)]);
    (19..30).for_each(|number| assert!(store.remove(&key(number)).unwrap()));
    assert_sound(&store);
}

/// A gate that changes each time one looks does not keep a reader for ever.
#[test]
fn a_gate_that_never_rests_is_locked_at_the_limit() {
    let place = Place::new();
    image(&place);
    let store = options().open(place.path()).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for gate in 0_u64.. {
                scribble(&place.path(), &[(320, gate << 31)]);
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
            }
        });
        for _ in 0..20 {
            let start = Instant::now();
            let read = store.read_all::<Value>("");
            assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
            assert!(read.is_ok_and(|read| read.len() == 50) || start.elapsed() >= Duration::from_millis(200));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// A mark without a transaction: readers look through it, writers looked past it, and `update` raced with itself.
#[test]
fn attack_23_a_mark_without_a_transaction_is_damage_for_writers_too() {
    let place = Place::new();
    let image = image(&place);
    let (shard, at, slot) = first_slot(&image);
    let key = key_of(&image, slot);
    // An entry of a prepared transaction in a record's value, and its home's word.
    let free = Map::of(&image).data_at + 15 * 4096;
    let (tag, mark) = (5 << 6, (slot >> 36 << 36) | (1 << 34) | (free / 8));
    scribble(&place.path(), &[(free, at), (free + 8, slot), (free + 16, slot), (free + 24, tag)]);
    scribble(&place.path(), &[(shard + 80, 5 << 2 | 1), (at, mark)]);
    let store = options().open(place.path()).unwrap();
    assert!(store.get::<u64>(&key).unwrap().is_some(), "a reader looks through the mark");
    assert_corrupt_soon(|| store.update(&key, |old: Option<u64>| Some(old.unwrap_or(0) + 1)));
}
