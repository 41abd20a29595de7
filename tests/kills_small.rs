//! Killed while there is hardly any room: allocation, growth, giving back and finding it full, under the knife.
#![cfg(target_os = "linux")]

mod common;

use std::{thread, time::Duration};

use common::{Dice, Forked, Place, assert_sound, assert_whole, fork, number, work};
use shmsync::Sync;

/// Attacks 24, 25, 37 and 38 together: five writers in a store of that size, killed one after the other.
fn kill_in_a_store_of(capacity: u64) {
    let mut dice = Dice::roll(&format!("small store of {capacity}"));
    let place = Place::new();
    let store = Sync::options().capacity(capacity).open(place.path()).unwrap();
    let kills = number("SHMSYNC_KILLS", 600);
    let mut writers: Vec<Forked> = vec![];
    for kill in 0..kills {
        while writers.len() < 5 {
            let seed = dice.below(u64::MAX);
            writers.push(fork(|| work(&store, seed)));
        }
        thread::sleep(Duration::from_micros(dice.below(2_500)));
        let victim = writers.swap_remove(dice.below(5) as usize);
        assert!(!victim.has_ended(), "a writer has failed");
        victim.kill();
        if kill % 20 == 0 {
            assert_whole(&store);
        }
        if kill % 60 == 59 {
            writers.drain(..).for_each(Forked::kill);
            assert_whole(&store);
            assert_sound(&store);
        }
    }
    writers.into_iter().for_each(Forked::kill);
    assert_whole(&store);
    assert_sound(&store);
    let stats = store.stats().unwrap();
    println!(
        "{kills} kills in {} KiB, {} recoveries, {} of {} bytes used",
        capacity >> 10,
        stats.recoveries,
        stats.used_bytes,
        stats.capacity_bytes
    );
    assert!(stats.recoveries > kills / 10, "only {} recoveries: that means nothing", stats.recoveries);
    // Nothing has leaked: empty, it takes as much as a new one.
    for key in store.keys("").unwrap() {
        store.remove(&key).unwrap();
    }
    assert_eq!(store.len().unwrap(), 0);
    let fresh_place = Place::new();
    let fresh = Sync::options().capacity(capacity).open(fresh_place.path()).unwrap();
    let fit =
        |store: &Sync| (0..).take_while(|number| store.set_bytes(&format!("fit/{number}"), &[0; 300]).is_ok()).count();
    let (used, new) = (fit(&store), fit(&fresh));
    assert!(used * 10 >= new * 9, "{used} values fit after all this, {new} into a new store");
    assert_sound(&store);
}

#[test]
fn killed_in_a_store_of_256_kibibytes_nothing_leaks() {
    kill_in_a_store_of(256 << 10);
}

#[test]
fn killed_in_a_store_of_one_mebibyte_nothing_leaks() {
    kill_in_a_store_of(1 << 20);
}

#[test]
fn killed_in_a_store_of_four_mebibytes_nothing_leaks() {
    kill_in_a_store_of(4 << 20);
}
