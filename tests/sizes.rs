//! Room: large values, growth, and stores that are full.
#![cfg(target_os = "linux")]

mod common;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use common::{Child, Dice, Place, assert_kind, assert_sound, hear, is_long, number, open, options, say};
use shmsync::{ErrorKind, Sync};

roles!(read_what_stays, fill_under_a_file_limit, open_under_an_address_limit);

fn pattern(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    for (at, byte) in bytes.chunks_mut(8).enumerate() {
        let word = (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed).to_le_bytes();
        byte.copy_from_slice(&word[..byte.len()]);
    }
    bytes
}

/// Issue 2, part 7: values from nothing to 64 MiB, and of 1 GiB with `SHMSYNC_LONG=1`.
#[test]
fn values_from_nothing_to_64_mebibytes_come_back() {
    let place = Place::new();
    let store = Sync::options().capacity(4 << 30).open(place.path()).unwrap();
    let mut sizes = vec![0, 1, 7, 8, 9, 1 << 10, (64 << 10) - 1, 64 << 10, (1 << 20) + 1, 5 << 20, 64 << 20];
    if is_long() {
        sizes.push((1 << 30) - 16);
    }
    for &size in &sizes {
        let bytes = pattern(size, size as u64);
        store.set_bytes("value", &bytes).unwrap();
        assert!(store.get_bytes("value").unwrap().as_ref() == Some(&bytes), "{size} bytes do not come back");
        store.set_bytes(&format!("kept {size}"), &bytes).unwrap();
    }
    store.remove("value").unwrap();
    for &size in &sizes {
        let kept = store.get_bytes(&format!("kept {size}")).unwrap();
        assert!(kept == Some(pattern(size, size as u64)), "{size} bytes were not kept");
    }
    // A large value is replaced by a large one again and again without eating the store.
    let large = *sizes.last().unwrap();
    for round in 0..6 {
        store.set_bytes("again", &pattern(large.min(64 << 20), round)).unwrap();
    }
    assert_kind(store.set_bytes("huge", &vec![0; (1 << 30) + 1]), ErrorKind::TooLarge, "huge");
    assert_sound(&store);
}

/// Reads the same keys until the store has grown, and finds them each time.
fn read_what_stays(arguments: &[String]) {
    let store = match arguments[1].as_str() {
        "read-only" => options().read_only(true).open(&arguments[0]).expect("a store"),
        _ => open(Path::new(&arguments[0])),
    };
    say("ready");
    let mut rounds = 0;
    while !store.contains("grown").expect("a look") {
        for number in 0..100_u64 {
            let found = store.get_bytes(&format!("stays/{number}")).expect("a get");
            assert!(found == Some(pattern(300, number)), "round {rounds}: key {number} is {found:?}");
        }
        for number in 0..20 {
            assert!(!store.contains(&format!("never/{number}")).expect("a look"));
        }
        rounds += 1;
    }
    say(rounds);
    hear();
}

/// Growth under readers: indexes double and extents are added, and nobody misses a key.
#[test]
fn readers_find_everything_while_the_store_grows() {
    let place = Place::new();
    let store = place.open();
    for number in 0..100 {
        store.set_bytes(&format!("stays/{number}"), &pattern(300, number)).unwrap();
    }
    let before = store.stats().unwrap().allocated_bytes;
    let mut readers: Vec<Child> =
        ["read-only", "writable", "read-only"].iter().map(|way| Child::on(&place, "read_what_stays", &[way])).collect();
    readers.iter_mut().for_each(|reader| reader.expect("ready"));
    let keys = number("SHMSYNC_GROWTH_KEYS", 100_000);
    for number in 0..keys {
        store.set(&format!("new/{number}"), &number).unwrap();
    }
    store.set_bytes("large", &pattern(30 << 20, 1)).unwrap();
    store.set("grown", &true).unwrap();
    for mut reader in readers {
        let rounds: u32 = reader.answer().expect("all keys each time").parse().unwrap();
        println!("{rounds} rounds of reading during growth");
        reader.tell("end");
        reader.finish();
    }
    assert!(store.stats().unwrap().allocated_bytes > before);
    assert_eq!(store.len().unwrap() as u64, keys + 102);
    assert_sound(&store);
}

/// Sets keys of that size until there is no room; tells how many there are.
fn fill(store: &Sync, prefix: &str, size: usize) -> usize {
    for count in 0.. {
        match store.set_bytes(&format!("{prefix}{count}"), &pattern(size, count as u64)) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
                return count;
            }
        }
    }
    unreachable!()
}

fn assert_filled(store: &Sync, prefix: &str, size: usize, count: usize) {
    for number in 0..count {
        let found = store.get_bytes(&format!("{prefix}{number}")).unwrap();
        assert!(found == Some(pattern(size, number as u64)), "key {number} of {count} is lost");
    }
    assert!(!store.contains(&format!("{prefix}{count}")).unwrap());
}

/// A full store refuses without changing anything, still removes, and then takes new values of other kinds.
fn fill_and_empty(capacity: u64, sizes: &[usize]) {
    let place = Place::new();
    let store = Sync::options().capacity(capacity).open(place.path()).unwrap();
    let mut first = BTreeMap::new();
    for round in 0..3 {
        for &size in sizes {
            let count = fill(&store, "k", size);
            assert_filled(&store, "k", size, count);
            let earliest = *first.entry(size).or_insert(count);
            // What came before may leave the free extents in other runs, but it must not add up.
            assert!(count * 5 >= earliest * 4, "round {round}: {count} values of {size} bytes fit, once {earliest}");
            // Full is full for everything that needs room, and changes nothing.
            let version = store.get_versioned::<shmsync::Value>("k0").unwrap();
            assert_kind(store.set_bytes("large", &vec![0; capacity as usize]), ErrorKind::Full, "");
            let larger: BTreeMap<String, Vec<u8>> =
                (0..count + 50).map(|number| (format!("k{number}"), vec![1; size.max(4) * 2])).collect();
            assert_kind(store.replace_all("k", &larger), ErrorKind::Full, "");
            assert_eq!(store.get_versioned::<shmsync::Value>("k0").unwrap(), version);
            assert_eq!(store.len().unwrap(), count);
            assert_sound(&store);
            (0..count).for_each(|number| assert!(store.remove(&format!("k{number}")).unwrap()));
            assert_eq!(store.len().unwrap(), 0);
        }
    }
    println!("a store of {} KiB takes: {first:?}", capacity >> 10);
    assert_sound(&store);
}

/// Attack 38: full, emptied, filled again, at small capacities.
#[test]
fn attack_38_a_full_small_store_is_emptied_and_filled_again() {
    for capacity in [256 << 10, 300_000, 512 << 10, 1 << 20] {
        fill_and_empty(capacity, &[100, 10, 3_000, 100, 20_000, 1]);
    }
}

/// Attack 38 at a larger capacity, with several shards.
#[test]
fn attack_38_a_full_larger_store_is_emptied_and_filled_again() {
    fill_and_empty(4 << 20, &[1_000, 20_000, 300, 200_000]);
}

/// Attack 38: what is full can be emptied in one piece, and what is free then lies in one piece.
#[test]
fn attack_38_a_full_store_is_cleared_at_once() {
    for size in [1, 100, 3_000] {
        let place = Place::new();
        let store = Sync::options().capacity(1 << 20).open(place.path()).unwrap();
        let count = fill(&store, "k", size);
        store.clear().unwrap();
        // The first ones take the blocks that were used last, wherever these lie.
        for key in 0..100 {
            store.set_bytes(&format!("first {key}"), &vec![7; size]).unwrap();
        }
        store.set_bytes("large", &vec![7; 400 << 10]).unwrap();
        store.clear().unwrap();
        assert!(fill(&store, "k", size) * 10 >= count * 9);
        assert_sound(&store);
    }
}

/// Attack 39: a region for a 64 MiB `/dev/shm` holds at least 60 % payload in 100-byte records.
#[test]
fn attack_39_sixty_percent_of_a_small_region_are_payload() {
    let place = Place::new();
    let store = Sync::options().capacity(64 << 20).open(place.path()).unwrap();
    let count = fill(&store, "a key of 12 ", 100 - 3 - 16);
    let payload = count as u64 * 100;
    println!("{count} records, {} % of 64 MiB", payload * 100 / (64 << 20));
    assert!(payload * 100 >= 60 * (64 << 20), "only {} % are payload", payload * 100 / (64 << 20));
    assert_sound(&store);
}

/// Random sizes at the edge of full: what was acknowledged stays, what was refused changes nothing.
#[test]
fn a_store_that_is_always_nearly_full_keeps_its_promises() {
    let place = Place::new();
    let store = Sync::options().capacity(1 << 20).open(place.path()).unwrap();
    let (mut dice, mut model) = (Dice::roll("nearly full"), BTreeMap::new());
    let mut full = 0;
    for step in 0..20_000_u64 {
        let key = format!("k{}", dice.below(400));
        if dice.below(5) == 0 {
            assert_eq!(store.remove(&key).unwrap(), model.remove(&key).is_some());
            continue;
        }
        let size = match dice.below(20) {
            0 => dice.below(60_000),
            1..=4 => dice.below(9_000),
            _ => dice.below(1_500),
        };
        match store.set_bytes(&key, &pattern(size as usize, step)) {
            Ok(_) => drop(model.insert(key, (size as usize, step))),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{error:?}");
                let old = model.get(&key).map(|&(size, seed)| pattern(size, seed));
                assert!(store.get_bytes(&key).unwrap() == old, "step {step}: a refused write changes {key}");
                full += 1;
            }
        }
    }
    println!("{full} of 20,000 steps found the store full, {} keys at the end", model.len());
    assert!(full > 100, "it was full only {full} times");
    assert_eq!(store.len().unwrap(), model.len());
    for (key, &(size, seed)) in &model {
        assert!(store.get_bytes(key).unwrap() == Some(pattern(size, seed)), "{key} is lost");
    }
    assert_sound(&store);
}

/// Attack 40: entries that expired and were never touched again make room for new ones.
#[test]
fn attack_40_expired_entries_give_their_room_back() {
    let place = Place::new();
    let store = Sync::options().capacity(512 << 10).open(place.path()).unwrap();
    for round in 0..30 {
        for number in 0..500 {
            let lifetime = shmsync::Lifetime::Ttl(std::time::Duration::from_millis(20));
            store.set_with(&format!("{round}/{number}"), &vec![number; 100], lifetime).unwrap();
        }
        thread::sleep(std::time::Duration::from_millis(30));
    }
    assert_eq!(store.len().unwrap(), 0);
    assert_sound(&store);
}

/// Attack 40, where nothing else is written than what needs the least: a value over one of the same size, while blocks of
/// that size rest. (The records that expire are as large: their deadlines take 16 bytes.)
#[test]
fn attack_40_who_only_overwrites_buries_too() {
    let place = Place::new();
    let store = Sync::options().capacity(128 << 10).open(place.path()).unwrap();
    store.set_bytes("key", &[0; 56]).unwrap();
    let before = store.verify().unwrap().records;
    for number in 100..200 {
        let lifetime = shmsync::Lifetime::Ttl(std::time::Duration::from_millis(20));
        store.set_with(&format!("{number}"), &pattern(38, number), lifetime).unwrap();
    }
    (0..32).for_each(|number| assert!(store.set_bytes("key", &[number; 56]).is_ok()));
    thread::sleep(std::time::Duration::from_millis(30));
    let unburied = store.verify().unwrap().records;
    assert!(unburied > before + 50, "{before} before, {unburied} now");
    // Two slots for each of 256 writes are more than the index has.
    (0..=255).for_each(|number| assert!(store.set_bytes("key", &[number; 56]).is_ok()));
    assert_eq!(store.verify().unwrap().records, before);
    assert_sound(&store);
}

/// Threads that all find the store full at once, while others remove.
#[test]
fn many_who_find_it_full_at_once_go_on_when_there_is_room() {
    let place = Place::new();
    let store = Sync::options().capacity(512 << 10).open(place.path()).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 0..3_u64 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                let (mut dice, mut full) = (Dice::new(thread), 0);
                while full < 300 {
                    let key = format!("{thread}/{}", dice.below(200));
                    match store.set_bytes(&key, &pattern(dice.below(5_000) as usize, thread)) {
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::Full => full += 1,
                        Err(error) => panic!("{error:?}"),
                    }
                }
                done.store(true, Ordering::Relaxed);
            });
        }
        scope.spawn(|| {
            let mut dice = Dice::new(99);
            while !done.load(Ordering::Relaxed) {
                store.remove(&format!("{}/{}", dice.below(3), dice.below(200))).expect("a removal");
                thread::sleep(std::time::Duration::from_micros(200));
            }
        });
    });
    for key in store.keys("").unwrap() {
        assert!(store.remove(&key).unwrap());
    }
    store.set_bytes("large", &pattern(100_000, 1)).unwrap();
    assert_sound(&store);
}

/// Fills a store under RLIMIT_FSIZE.
fn fill_under_a_file_limit(arguments: &[String]) {
    let limit = libc::rlimit { rlim_cur: 8 << 20, rlim_max: 8 << 20 };
    // SAFETY: the limit is a valid structure; it holds for this process only.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }, 0);
    let store = open(Path::new(&arguments[0]));
    let count = fill(&store, "k", 10_000);
    assert_filled(&store, "k", 10_000, count);
    store.remove("k0").expect("a removal");
    store.set_bytes("k0", &pattern(10_000, 0)).expect("room for one");
    say(count);
    hear();
}

/// Attack 35: a limit on file sizes is `Full`, not a signal that kills.
#[test]
fn attack_35_a_limit_on_file_sizes_is_full_and_kills_nobody() {
    let place = Place::new();
    let mut child = Child::on(&place, "fill_under_a_file_limit", &[]);
    let count: usize = child.answer().expect("it lives").parse().unwrap();
    assert!(count > 300, "only {count} values of 10,000 bytes fit into 8 MiB");
    child.tell("end");
    child.finish();
    // Without the limit it goes on.
    let store = place.open();
    assert_filled(&store, "k", 10_000, count);
    store.set_bytes("more", &pattern(10 << 20, 1)).unwrap();
    assert_sound(&store);
}

/// Opens a store that needs more addresses than RLIMIT_AS gives.
fn open_under_an_address_limit(arguments: &[String]) {
    let limit = libc::rlimit { rlim_cur: 1 << 30, rlim_max: 1 << 30 };
    // SAFETY: the limit is a valid structure; it holds for this process only.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
    let error = assert_kind(Sync::open(Path::new(&arguments[0])), ErrorKind::Full, "capacity");
    assert!(error.to_string().contains("RLIMIT_AS") || error.to_string().contains("ulimit"), "{error}");
    assert!(!Path::new(&arguments[0]).exists(), "a store that could not be opened was created");
    let store = Sync::options().capacity(64 << 20).open(&arguments[0]).expect("a smaller store");
    store.set("key", &1).expect("a set");
    say("done");
    hear();
}

/// A limit on addresses is an error that names the option.
#[test]
fn a_limit_on_addresses_is_an_error_that_names_the_option() {
    let place = Place::new();
    let mut child = Child::on(&place, "open_under_an_address_limit", &[]);
    child.expect("done");
    child.tell("end");
    child.finish();
    assert_eq!(place.open().get::<i32>("key").unwrap(), Some(1));
}

/// Blocks that rest after their removal keep their spans in use, which is no leak: as long as blocks of one size come and
/// go, the same 16 turn; blocks of another size push them out; and where room is short, they are taken.
#[test]
fn what_rests_keeps_few_spans_in_use_and_gives_way() {
    let place = Place::new();
    let store = Sync::options().capacity(256 << 10).open(place.path()).unwrap();
    let used = || store.stats().unwrap().used_bytes;
    let stir = |len: usize| {
        for number in 0..100 {
            store.set_bytes("stirred", &vec![number; len]).unwrap();
            store.remove("stirred").unwrap();
        }
    };
    stir(1);
    stir(300);
    stir(1);
    let least = used();
    // Three spans of the same class; what is removed last lies in the first one and in the last one.
    (0..200).for_each(|key| assert!(store.set(&format!("k/{key:03}"), &1).is_ok()));
    let last = (0..8).flat_map(|key| [key, 199 - key]);
    (8..192).chain(last).for_each(|key| assert!(store.remove(&format!("k/{key:03}")).unwrap()));
    stir(1);
    assert!(used() > least, "nothing rests in two spans: the test shows nothing");
    stir(300);
    stir(1);
    assert_eq!(used(), least);
    assert_sound(&store);
}
