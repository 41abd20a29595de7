//! A region of any bytes: opened, used in all ways, closed. Errors are fine; panics, signals, greed and delays are not.
//!
//! The first byte says what follows: the bytes of a whole region, or changes of a real one (`tests/data`), each of a
//! place, a length and bytes; then, in both cases, what is done with it. Places are taken by 4 bytes, so that the fuzzer
//! need not find out where words begin.
#![no_main]

use std::{collections::BTreeMap, fs, path::PathBuf, sync::LazyLock, time::Duration};

use libfuzzer_sys::fuzz_target;
use shmsync::{Lifetime, Result, Sync, Value};

const REAL: &[u8] = include_bytes!("../../tests/data/format-1.shm");
/// Where the boot stands in which lock words mean anything.
const BOOT: usize = 264;

static PATH: LazyLock<PathBuf> = LazyLock::new(|| {
    // Jobs of one run are processes of their own.
    let folder = std::env::var_os("FUZZ_FOLDER").map_or_else(|| PathBuf::from("/dev/shm"), PathBuf::from);
    folder.join(format!("shmsync-fuzz-{}", std::process::id()))
});

static THIS_BOOT: LazyLock<Option<[u8; 16]>> = LazyLock::new(|| {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = text.trim().chars().filter(|letter| *letter != '-').collect();
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
});

/// What is left of the input.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn word(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte()?, self.byte()?]))
    }
}

/// The bytes of the region; `None` when there is too little input to be worth a try.
fn image(input: &mut Input<'_>, kind: u8) -> Option<Vec<u8>> {
    if kind & 1 == 1 {
        let cut = input.0.len().checked_sub(16)?;
        let (image, rest) = input.0.split_at(cut);
        input.0 = rest;
        return Some(image.to_vec());
    }
    let mut image = REAL.to_vec();
    if kind & 2 == 0
        && let Some(boot) = *THIS_BOOT
    {
        image[BOOT..BOOT + 16].copy_from_slice(&boot);
    }
    for _ in 0..input.byte()? & 31 {
        let at = usize::from(input.word()?) * 4 % image.len();
        let len = usize::from(input.byte()? & 15) + 1;
        for at in at..(at + len).min(image.len()) {
            image[at] = input.byte()?;
        }
    }
    Some(image)
}

fn act(store: &Sync, what: u8, with: u8) -> Result<()> {
    let key = format!("k/{}", with % 40);
    match what % 22 {
        0 => store.get::<Value>(&key).map(drop),
        1 => store.get_versioned::<Value>(&key).map(drop),
        2 => store.contains(&key).map(drop),
        3 => store.set(&key, &u32::from(with)).map(drop),
        4 => store.set_bytes(&key, &vec![with; usize::from(with) * 150]).map(drop),
        5 => store.set_with(&key, &1, Lifetime::Process).map(drop),
        6 => store.set_with(&key, &1, Lifetime::Ttl(Duration::from_millis(1))).map(drop),
        7 => store.remove(&key).map(drop),
        8 => store.integer(&key).increment(1).map(drop),
        9 => store.update(&key, |value: Option<Value>| value).map(drop),
        10 => store.transaction(|tx| {
            tx.remove(&key)?;
            (0..4).try_for_each(|number| tx.set(&format!("k/{number}"), &with))
        }),
        11 => store.keys("").map(|keys| _ = keys.count()),
        12 => store.iter::<Value>("").map(|entries| _ = entries.count()),
        13 => store.len().map(drop),
        14 => store.clear(),
        15 => store.read_all::<Value>("").map(drop),
        16 => {
            let entries: BTreeMap<String, u8> = (0..with % 40).map(|number| (format!("k/{number}"), with)).collect();
            store.replace_all("k/", &entries)
        }
        17 => store.watch_prefix("k/").and_then(|mut watch| watch.next_timeout(Duration::ZERO).map(drop)),
        18 => store.exclusive_timeout(Duration::from_millis(5)).and_then(|inside| inside.set(&key, &1).map(drop)),
        19 => store.verify().map(drop),
        20 => store.stats().map(drop),
        _ => store.participants().map(drop),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let Some(kind) = input.byte() else { return };
    let Some(image) = image(&mut input, kind) else { return };
    fs::write(&*PATH, image).expect("room for a region");
    let options = Sync::options().capacity(1 << 20).access_limit(Duration::from_millis(5)).liveness_thread(false);
    if let Ok(store) = options.read_only(kind & 4 != 0).open(&*PATH) {
        let everything = [19, 15, 12, 20, 21, 3, 4, 10, 8, 7, 16, 14, 19];
        let asked = std::iter::from_fn(|| Some((input.byte()?, input.byte()?))).take(24);
        let default = everything.into_iter().map(|what| (what, 7));
        for (what, with) in asked.collect::<Vec<_>>().into_iter().chain(default) {
            if let Err(error) = act(&store, what, with) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
    let _ = fs::remove_file(&*PATH);
});
