//! The committed region of format 1 is read for ever: by the library, and by a reader written from `docs/format.md`.
//!
//! The image was made by [`make_the_image`]; a new one is only made for a new format.
#![cfg(all(target_os = "linux", target_pointer_width = "64", not(shmsync_portable)))]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use common::{Place, assert_kind, assert_sound};
use serde::{Deserialize, Serialize};
use shmsync::{ErrorKind, FORMAT, Lifetime, Sync, Value};

const CAPACITY: u64 = 128 << 10;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Job {
    name: String,
    done: bool,
    steps: Vec<u32>,
}

fn job() -> Job {
    Job { name: "backup".into(), done: false, steps: vec![1, 2, 300] }
}

fn image() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/format-{FORMAT}.shm"))
}

/// A copy of the image in a place of its own.
fn copy(place: &Place) {
    fs::copy(image(), place.path()).unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
#[ignore = "makes tests/data/format-N.shm anew: only for a new format"]
fn make_the_image() {
    let place = Place::new();
    let store = Sync::options().capacity(CAPACITY).label("maker of the image").open(place.path()).unwrap();
    fill(&store);
    store.close().unwrap();
    assert!(!image().exists(), "{} is there; an image is never replaced by another one", image().display());
    let mut bytes = fs::read(place.path()).unwrap();
    // Also on this machine, before it boots again, the image is one of another boot.
    bytes[264..280].copy_from_slice(b"the maker's boot");
    fs::write(image(), bytes).unwrap();
    fs::set_permissions(image(), fs::Permissions::from_mode(0o644)).unwrap();
}

fn fill(store: &Sync) {
    store.set("null", &None::<i32>).unwrap();
    store.set("true", &true).unwrap();
    store.set("negative", &-7).unwrap();
    store.set("huge", &u64::MAX).unwrap();
    store.set("pi", &3.25).unwrap();
    store.set("text", "hello").unwrap();
    store.set("重庆", "unicode").unwrap();
    store.set_bytes("bytes", &[0, 255, 10]).unwrap();
    store.set("list", &[1, 2, 3]).unwrap();
    store.set("job", &job()).unwrap();
    store.set(&"k".repeat(300), "a long key").unwrap();
    store.set("large", &"x".repeat(10_000)).unwrap();
    let counter = store.integer("counter");
    for _ in 0..42 {
        counter.increment(1).unwrap();
    }
    let jobs = store.namespace("jobs");
    for number in 0..60 {
        jobs.set(&format!("{number:02}"), &number).unwrap();
    }
    store.transaction(|tx| tx.set("from", &1).and_then(|()| tx.set("to", &2))).unwrap();
    store.set("removed", "gone").unwrap();
    assert!(store.remove("removed").unwrap());
    store.get_or_insert_with("made", || "once".to_owned()).unwrap();
    store.set_with("for ten years", &1, Lifetime::Ttl(Duration::from_secs(10 * 365 * 86_400))).unwrap();
    store.set_with("while the maker lives", &1, Lifetime::Process).unwrap();
}

/// What is in the image and has no lifetime.
fn assert_all_there(store: &Sync) {
    assert_eq!(store.get::<Option<i32>>("null").unwrap(), Some(None));
    assert_eq!(store.get("true").unwrap(), Some(true));
    assert_eq!(store.get("negative").unwrap(), Some(-7));
    assert_eq!(store.get("huge").unwrap(), Some(u64::MAX));
    assert_eq!(store.get("pi").unwrap(), Some(3.25));
    assert_eq!(store.get::<String>("text").unwrap().as_deref(), Some("hello"));
    assert_eq!(store.get::<String>("重庆").unwrap().as_deref(), Some("unicode"));
    assert_eq!(store.get_bytes("bytes").unwrap(), Some(vec![0, 255, 10]));
    assert_eq!(store.get::<Vec<u8>>("list").unwrap(), Some(vec![1, 2, 3]));
    assert_eq!(store.get("job").unwrap(), Some(job()));
    assert_eq!(store.get::<String>(&"k".repeat(300)).unwrap().as_deref(), Some("a long key"));
    assert_eq!(store.get::<String>("large").unwrap().map(|large| large.len()), Some(10_000));
    assert_eq!(store.integer("counter").get().unwrap(), Some(42));
    let jobs: BTreeMap<String, u32> = store.namespace("jobs").read_all("").unwrap();
    assert_eq!(jobs, (0..60).map(|number| (format!("{number:02}"), number)).collect());
    assert_eq!((store.get("from").unwrap(), store.get("to").unwrap()), (Some(1), Some(2)));
    assert_eq!(store.get::<String>("made").unwrap().as_deref(), Some("once"));
    assert_eq!(store.get::<Value>("removed").unwrap(), None);
}

/// What had a lifetime ended with the boot in which the image was made.
fn assert_mortals_gone(store: &Sync) {
    assert_eq!(store.get::<Value>("for ten years").unwrap(), None);
    assert_eq!(store.get::<Value>("while the maker lives").unwrap(), None);
    assert_eq!(store.len().unwrap(), 60 + 16);
}

#[test]
fn the_image_of_another_boot_is_rebuilt_and_goes_on() {
    let place = Place::new();
    copy(&place);
    let store = place.open();
    assert_all_there(&store);
    assert_mortals_gone(&store);
    assert_sound(&store);
    assert_eq!(store.stats().unwrap().capacity_bytes, CAPACITY);
    assert_eq!(store.integer("counter").increment(1).unwrap(), 43);
    let newer = store.set("text", "changed").unwrap();
    store.close().unwrap();

    let again = place.open();
    let (text, revision) = again.get_versioned::<String>("text").unwrap().unwrap();
    assert_eq!((text.as_str(), revision), ("changed", newer));
    assert_sound(&again);
}

#[test]
fn the_image_is_read_without_any_right_to_write() {
    let place = Place::new();
    copy(&place);
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o444)).unwrap();
    let store = Sync::options().read_only(true).open(place.path()).unwrap();
    assert_all_there(&store);
    assert_mortals_gone(&store);
    assert_kind(store.set("text", "changed"), ErrorKind::Permission, "read-only");
    drop(store);
    assert_eq!(fs::read(place.path()).unwrap(), fs::read(image()).unwrap());
}

#[test]
fn revisions_of_the_image_are_older_than_new_ones() {
    let place = Place::new();
    copy(&place);
    let reader = Sync::options().read_only(true).open(place.path()).unwrap();
    let old = reader.get_versioned::<String>("text").unwrap().unwrap().1;
    assert!(place.open().set("text", "newer").unwrap() > old);
}

#[test]
fn an_image_of_another_format_is_refused_and_left_alone() {
    let place = Place::new();
    let mut bytes = fs::read(image()).unwrap();
    bytes[12] = 99;
    fs::write(place.path(), &bytes).unwrap();
    let error = assert_kind(Sync::open(place.path()), ErrorKind::Version, "format 99");
    assert!(error.to_string().contains(&format!("format {FORMAT}")), "{error}");
    assert_eq!(fs::read(place.path()).unwrap(), bytes);
}

/// Everything that has no lifetime, as [`from_the_page`] finds it, is what the library finds.
#[test]
fn a_reader_written_from_the_page_finds_the_same() {
    let found = from_the_page::read(&fs::read(image()).unwrap());
    let place = Place::new();
    copy(&place);
    let store = place.open();
    let mut expected = BTreeMap::new();
    for key in store.keys("").unwrap() {
        let mut value = Vec::new();
        store.read_encoded(&key, &mut value).unwrap();
        expected.insert(key, value);
    }
    assert!(found == expected, "{:?}, not {:?}", found.keys(), expected.keys());
}

/// A reader that knows `docs/format.md` and nothing else. If it has to change, the page and the format have changed.
mod from_the_page {
    use std::collections::BTreeMap;

    use rapidhash::v3::{RapidSecrets, rapidhash_v3, rapidhash_v3_seeded};
    use twox_hash::XxHash3_64;

    struct Region<'a>(&'a [u8]);

    impl Region<'_> {
        fn u32(&self, at: usize) -> u64 {
            u64::from(u32::from_ne_bytes(self.0[at..at + 4].try_into().unwrap()))
        }

        fn u64(&self, at: usize) -> u64 {
            u64::from_ne_bytes(self.0[at..at + 8].try_into().unwrap())
        }
    }

    /// Bits `low..=high` of a word.
    fn bits(word: u64, low: u32, high: u32) -> u64 {
        word << (63 - high) >> (63 - high + low)
    }

    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

    fn folded(a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    }

    fn up(offset: u64) -> u64 {
        offset.next_multiple_of(4096)
    }

    pub(super) fn read(file: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let region = Region(file);
        // Fixed block.
        assert_eq!(&file[..8], b"SHMSYNC\n");
        assert_eq!((region.u32(8), region.u32(12), region.u32(16), region.u32(20)), (2, 1, 0x0102_0304, 1));
        assert_eq!(region.u32(248), u64::from(crc32c::crc32c(&file[12..248])));
        let (capacity, seed) = (region.u64(24), region.u64(32));
        // The map.
        let shards = 1u64 << (capacity >> 20).clamp(1, 64).ilog2();
        let participants = (capacity / 4096).min(4096);
        assert_eq!((region.u32(48), region.u32(52)), (shards, participants));
        let shards_at = up(20_480 + 256 * participants);
        let table_at = shards_at + 4160 * shards;
        let data_at = up(table_at + 4 * (capacity / 4096));
        let secrets = RapidSecrets::seed(seed);
        let mut found = BTreeMap::new();
        for shard in 0..shards {
            let at = (shards_at + 4160 * shard) as usize;
            // Nobody holds it, and nothing is under way.
            assert_eq!((region.u32(at), region.u32(at + 4), region.u64(at + 8) & 1), (0, 0, 0));
            assert_eq!((region.u64(at + 80), region.u64(at + 128), region.u64(at + 160)), (0, 0, 0));
            let clock = region.u64(at + 16);
            let mut records = 0;
            let mut used = 0;
            let mut mortals = 0;
            let root = region.u64(1024 + shard as usize * 16);
            let (table, slots) = (bits(root, 0, 33) * 8, 1u64 << bits(root, 34, 39));
            assert!(table >= data_at && slots >= 64);
            for number in 0..slots {
                let slot = region.u64((table + number * 8) as usize);
                used += u64::from(slot != 0);
                if bits(slot, 0, 33) == 0 {
                    assert!(slot == 0 || slot == 1 << 35, "empty or a grave");
                    continue;
                }
                assert_eq!(bits(slot, 34, 34), 0, "no transaction is under way");
                records += 1;
                let offset = (bits(slot, 0, 33) * 8) as usize;
                check_place(&region, table_at, shard, offset);
                let (version, shape) = (region.u64(offset), region.u64(offset + 8));
                assert!(version & 63 == shard && version >> 6 <= clock);
                let (value_len, key_len) = (bits(shape, 0, 31) as usize, bits(shape, 32, 47) as usize + 1);
                let (lifetime, space) = (bits(shape, 48, 49), bits(shape, 50, 50));
                assert_eq!((space, lifetime != 0), (0, bits(slot, 35, 35) == 1));
                mortals += u64::from(lifetime != 0);
                let key_at = offset + if lifetime == 0 { 24 } else { 40 };
                let value_at = key_at + key_len.next_multiple_of(8);
                let (key, value) = (&file[key_at..key_at + key_len], &file[value_at..value_at + value_len]);
                let hash = rapidhash_v3_seeded(key, &secrets);
                let value_hash = if value_len < 4096 { rapidhash_v3(value) } else { XxHash3_64::oneshot(value) };
                let mut sum = folded(value_hash ^ hash.rotate_left(32) ^ version, shape ^ ODD);
                if lifetime != 0 {
                    sum = folded(sum ^ region.u64(offset + 24), region.u64(offset + 32) ^ ODD);
                }
                assert_eq!(region.u64(offset + 16), sum);
                assert_eq!((bits(hash, 58, 63) & (shards - 1), bits(hash, 30, 57)), (shard, bits(slot, 36, 63)));
                check_row(&region, table, slots, bits(hash, 30, 57), number);
                if lifetime == 0 {
                    found.insert(String::from_utf8(key.to_vec()).unwrap(), value.to_vec());
                }
            }
            let counted = (region.u64(at + 192), region.u64(at + 208), region.u64(at + 224));
            assert_eq!(counted, (records, used, mortals));
        }
        found
    }

    /// The search for a hash leads past no empty slot to the slot.
    fn check_row(region: &Region<'_>, table: u64, slots: u64, hash: u64, number: u64) {
        let mut at = hash >> (28 - slots.ilog2());
        while at % slots != number {
            assert_ne!(region.u64((table + at % slots * 8) as usize), 0);
            at += 1;
        }
    }

    /// A record begins a run, or a taken block of a span, of its own shard.
    fn check_place(region: &Region<'_>, table_at: u64, shard: u64, offset: usize) {
        let word = |extent: usize| region.u32(table_at as usize + extent * 4);
        let extent = offset / 4096;
        let first = if word(extent) & 7 == 2 { extent - bits(word(extent), 9, 31) as usize } else { extent };
        assert_eq!(bits(word(first), 3, 8), shard);
        match word(first) & 7 {
            3 => assert_eq!(offset % 4096, 0),
            1 => {
                let size = sizes()[bits(word(first), 9, 31) as usize];
                let block = offset - first * 4096 - 64;
                assert_eq!(block % size, 0);
                let taken = region.u64(first * 4096 + block / size / 64 * 8);
                assert_eq!(taken >> (block / size % 64) & 1, 1);
            }
            kind => panic!("a record in an extent of kind {kind}"),
        }
    }

    fn sizes() -> Vec<usize> {
        let steps = [
            (32, 64, 16),
            (72, 128, 8),
            (144, 256, 16),
            (288, 512, 32),
            (576, 1024, 64),
            (1152, 2048, 128),
            (2304, 4096, 256),
        ];
        steps.into_iter().flat_map(|(from, to, step)| (from..=to).step_by(step)).collect()
    }
}
