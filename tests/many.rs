//! Many keys: a million, and twenty million with `SHMSYNC_LONG=1` (3 GiB of shared memory).

mod common;

use std::time::Instant;

use common::{Place, assert_sound};
use shmsync::Sync;

#[test]
fn a_million_keys_are_put_found_listed_and_removed() {
    let count: u64 = if std::env::var("SHMSYNC_LONG").is_ok_and(|long| long == "1") { 20_000_000 } else { 1_000_000 };
    let place = Place::new();
    let store = Sync::options().open(place.path()).unwrap();
    let start = Instant::now();
    for n in 0..count {
        store.set(&format!("key/{n:09}"), &n).unwrap();
    }
    let stats = store.stats().unwrap();
    println!("{count} keys in {:?}, {} bytes each", start.elapsed(), stats.allocated_bytes / count);
    assert_eq!(store.len().unwrap() as u64, count);
    for n in (0..count).step_by(7) {
        assert_eq!(store.get::<u64>(&format!("key/{n:09}")).unwrap(), Some(n));
    }
    assert_eq!(store.get::<u64>("key/none").unwrap(), None);
    assert_eq!(store.keys("key/0000001").unwrap().count(), 100);
    assert_sound(&store);
    store.clear().unwrap();
    assert_eq!((store.len().unwrap(), store.keys("").unwrap().next()), (0, None));
    assert_sound(&store);
}
