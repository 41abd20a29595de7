//! What a disk keeps over a restart of the machine: locks, deadlines and owners of another boot mean nothing, pages may
//! be of different moments, and whoever opens first may be killed while it puts things in order.
#![cfg(target_os = "linux")]

#[path = "bytes/layout.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
mod layout;

mod common;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::FileExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use common::{Child, Dice, Place, assert_sound, is_long, parsed, say};
use layout::{BOOT_ID, Map, PAGE, index};
use shmsync::{Lifetime, Options, Sync};

roles!(fill_mortals, open_and_say, churn);

fn options() -> Options {
    Sync::options().capacity(4 << 20)
}

fn key(number: u64) -> String {
    format!("key/{number}")
}

/// What a key may have at some moment: it says itself which key and moment that was.
fn value(number: u64, round: u64) -> (u64, u64, Vec<u8>) {
    (number, round, vec![(number ^ round) as u8; (number * 37 % 3000) as usize])
}

/// As if the machine had been started again.
fn start_another_boot(path: &Path) {
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all_at(&[7; 16], BOOT_ID as u64).unwrap();
}

fn fill_mortals(arguments: &[String]) {
    let store = options().open(&arguments[0]).unwrap();
    for number in 0..300 {
        let lifetime = match number % 3 {
            0 => Lifetime::Process,
            1 => Lifetime::Ttl(Duration::from_secs(3600)),
            _ => Lifetime::Forever,
        };
        store.set_with(&key(number), &number, lifetime).unwrap();
    }
    say("filled");
    thread::sleep(Duration::from_secs(600));
}

/// Attack 42, promise 7: deadlines, owners and locks of another boot are past; the rest stays.
#[test]
fn attack_42_in_another_boot_only_what_has_no_lifetime_is_left() {
    let place = Place::on_disk();
    let mut child = Child::on(&place, "fill_mortals", &[]);
    child.expect("filled");
    child.kill();
    let image = fs::read(place.path()).unwrap();
    start_another_boot(&place.path());
    let reader = options().read_only(true).open(place.path()).unwrap();
    assert_eq!(reader.keys("").unwrap().count(), 100, "a handle that only reads sees the same");
    let store = options().open(place.path()).unwrap();
    for number in 0..300 {
        let expected = (number % 3 == 2).then_some(number);
        assert_eq!(store.get::<u64>(&key(number)).unwrap(), expected, "{number}");
    }
    assert_eq!(store.len().unwrap(), 100);
    assert_sound(&store);
    let used = store.stats().unwrap().used_bytes;
    drop(store);
    // Locks that name somebody are nobody's.
    fs::write(place.path(), image).unwrap();
    start_another_boot(&place.path());
    let image = fs::read(place.path()).unwrap();
    let map = Map::of(&image);
    let file = fs::OpenOptions::new().write(true).open(place.path()).unwrap();
    (0..map.shards).for_each(|shard| file.write_all_at(&[1, 32, 0, 0], map.shard(shard)).unwrap());
    file.write_all_at(&[1, 32, 0, 0], 4096).unwrap();
    let start = Instant::now();
    let store = options().open(place.path()).unwrap();
    store.set("new", &1).unwrap();
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(store.len().unwrap(), 101);
    assert!(store.stats().unwrap().used_bytes <= used + 64 * PAGE);
}

fn open_and_say(arguments: &[String]) {
    say("opening");
    let store = options().open(&arguments[0]).unwrap();
    say(store.len().unwrap());
}

/// Attack 25: whoever opens first in a boot puts everything in order; killed in the middle, it has lost nothing.
#[test]
fn attack_25_killed_while_it_puts_a_store_of_another_boot_in_order_it_loses_nothing() {
    let place = Place::on_disk();
    let store = options().open(place.path()).unwrap();
    for number in 0..1500 {
        store.set(&key(number), &value(number, 0)).ok();
    }
    let expected = store.len().unwrap();
    assert!(expected > 500);
    drop(store);
    start_another_boot(&place.path());
    let mut dice = Dice::roll("killed while putting in order");
    let mut unfinished = 0;
    for _ in 0..if is_long() { 2000 } else { 60 } {
        let mut child = Child::on(&place, "open_and_say", &[]);
        child.expect("opening");
        thread::sleep(Duration::from_micros(300 + dice.below(25_000)));
        child.kill();
        let image = fs::read(place.path()).unwrap();
        unfinished += u32::from(image[BOOT_ID..BOOT_ID + 16] == [7; 16]);
        start_another_boot(&place.path());
    }
    println!("{unfinished} openings were killed before their end");
    let store = options().open(place.path()).unwrap();
    assert_eq!(store.len().unwrap(), expected);
    for number in 0..1500 {
        if let Some(found) = store.get::<(u64, u64, Vec<u8>)>(&key(number)).unwrap() {
            assert_eq!(found, value(number, 0));
        }
    }
    assert_sound(&store);
}

/// Attack 38: a store that was full is opened in another boot although there is no room for anything. Its index takes whole
/// extents, or is one block among others.
#[test]
fn attack_38_a_full_store_of_another_boot_opens() {
    open_full_in_another_boot(&[5]);
    open_full_in_another_boot(&[8000, 380]);
}

/// Fills a store with values of these sizes, one after the other.
fn open_full_in_another_boot(sizes: &[usize]) {
    let place = Place::on_disk();
    let full = || Sync::options().capacity(256 << 10).open(place.path()).unwrap();
    let store = full();
    let mut count = 0;
    for len in sizes {
        while store.set_bytes(&key(count), &vec![1; *len]).is_ok() {
            count += 1;
        }
    }
    drop(store);
    // Also where an index has lost its place in the table of extents and has to be made anew.
    for homeless in [false, true] {
        start_another_boot(&place.path());
        if homeless {
            let image = fs::read(place.path()).unwrap();
            let map = Map::of(&image);
            let (offset, _) = index(&image, map.shard(0), 0);
            let file = fs::OpenOptions::new().write(true).open(place.path()).unwrap();
            file.write_all_at(&[0; 4], map.table_at + offset / PAGE * 4).unwrap();
        }
        let store = full();
        assert_eq!(store.len().unwrap() as u64, count, "{sizes:?}, homeless: {homeless}");
        assert_sound(&store);
    }
}

/// Changes a store without pause: each value says which key and round it is of.
fn churn(arguments: &[String]) {
    let store = options().open(&arguments[0]).unwrap();
    let mut dice = Dice::new(parsed(arguments, 1));
    say("churning");
    for round in 1_u64.. {
        let number = dice.below(200);
        let result = match dice.below(6) {
            0 => store.remove(&key(number)).map(drop),
            1 => store.transaction(|transaction| {
                (number..number + 4).try_for_each(|number| transaction.set(&key(number), &value(number, round)))
            }),
            _ => store.set(&key(number), &value(number, round)).map(drop),
        };
        result.unwrap();
    }
}

/// Copies a file while it changes, page by page: what a disk may have after power was lost.
fn torn_copy(path: &Path, older: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut image = fs::read(path).unwrap();
    for page in 1..image.len().min(older.len()) / PAGE as usize {
        let range = page * PAGE as usize..(page + 1) * PAGE as usize;
        if dice.below(4) == 0 {
            image[range.clone()].copy_from_slice(&older[range]);
        }
    }
    image
}

/// Attack 20, promise 7: pages of two moments mixed. Records may be missing; what is returned was stored under that key.
#[test]
fn attack_20_a_torn_disk_image_of_another_boot_gives_no_garbage() {
    let place = Place::on_disk();
    let mut dice = Dice::roll("torn");
    let seed = dice.below(1 << 40).to_string();
    let mut child = Child::on(&place, "churn", &[&seed]);
    child.expect("churning");
    thread::sleep(Duration::from_millis(50));
    let (mut kept, mut images) = (0, 0);
    let (torn, end) = (place.file("torn"), Instant::now() + Duration::from_secs(if is_long() { 600 } else { 8 }));
    while Instant::now() < end {
        let older = fs::read(place.path()).unwrap();
        thread::sleep(Duration::from_micros(dice.below(30_000)));
        fs::write(&torn, torn_copy(&place.path(), &older, &mut dice)).unwrap();
        start_another_boot(&torn);
        // Damage costs a reader 0.1 s each time, so not always.
        if images % 5 == 0 {
            look(&options().read_only(true).open(&torn).unwrap());
        }
        let store = options().open(&torn).unwrap_or_else(|error| panic!("{error:?}"));
        let after = look(&store);
        kept += after.expect("a store in order").len();
        images += 1;
        assert_sound(&store);
        for number in 0..200 {
            store.set(&key(number), &value(number, 0)).unwrap();
        }
        assert_sound(&store);
        drop(store);
        fs::remove_file(&torn).unwrap();
    }
    child.kill();
    println!("{images} torn images, {kept} records kept");
    assert!(images > 3 && kept > images * 10);
}

/// What a store returns, all of it looked at; nothing where it is damaged.
fn look(store: &Sync) -> Option<BTreeMap<u64, u64>> {
    let mut found = BTreeMap::new();
    for number in 0..204 {
        if let Ok(Some((of, round, bytes))) = store.get::<(u64, u64, Vec<u8>)>(&key(number)) {
            assert_eq!((of, &bytes), (number, &value(number, round).2), "garbage");
            found.insert(number, round);
        }
    }
    let all = store.read_all::<(u64, u64, Vec<u8>)>("").ok()?;
    for (name, (number, round, bytes)) in &all {
        assert_eq!((name, bytes), (&key(*number), &value(*number, *round).2), "garbage");
    }
    Some(found)
}
