//! A live set that stays the same must not need more and more room, however long it is written to and whoever dies.

use std::{
    path::Path,
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use shmsync::Sync;

use super::{
    board::Board,
    dice::Dice,
    helper::elsewhere,
    process::{fork, kill},
};

const KEYS: u64 = 2000;
const WRITERS: usize = 2;
const CAPACITY: u64 = 64 << 20;

/// Bytes that the store has taken after so many operations, the file's and those in use.
#[derive(Debug)]
#[allow(dead_code, reason = "printed")]
pub struct Taken {
    pub operations: u64,
    pub allocated: u64,
    pub used: u64,
}

/// Writes `few` operations, then up to `many`, killing writers all the time. The room taken after each.
pub fn steady(
    board: &'static Board,
    folder: &Path,
    few: u64,
    many: u64,
    dice: &mut Dice,
) -> Result<[Taken; 2], String> {
    let path = folder.join("steady");
    let base = board.operations();
    let mut pids = [0; WRITERS];
    let mut taken = Vec::new();
    for goal in [few, many] {
        let (mut killed, mut begun) = (Instant::now(), 0);
        while board.operations() - base < goal {
            for (number, pid) in pids.iter_mut().enumerate() {
                if *pid == 0 {
                    let (path, seed) = (path.clone(), dice.below(u64::MAX));
                    *pid = fork(move || write(board, &path, number, seed));
                    begun += 1;
                }
            }
            std::thread::sleep(Duration::from_millis(2));
            if killed.elapsed() > Duration::from_millis(40) {
                let number = dice.below(WRITERS as u64) as usize;
                kill(std::mem::take(&mut pids[number]));
                killed = Instant::now();
            }
            if begun > 1_000_000 {
                return Err("writers end by themselves".to_owned());
            }
        }
        pids.iter_mut().map(std::mem::take).filter(|pid| *pid != 0).for_each(kill);
        taken.push(measure(&path, board.operations() - base)?);
    }
    let _ = std::fs::remove_file(path);
    taken.try_into().map_err(|_| "two measurements".to_owned())
}

fn measure(path: &Path, operations: u64) -> Result<Taken, String> {
    let text = elsewhere(|| {
        let store = Sync::open(path).map_err(|error| error.to_string())?;
        let problems = store.verify().map_err(|error| error.to_string())?.problems;
        let stats = store.stats().map_err(|error| error.to_string())?;
        if problems.is_empty() {
            Ok(format!("{} {}", stats.allocated_bytes, stats.used_bytes))
        } else {
            Err(format!("verify: {problems:#?}"))
        }
    })?;
    let mut numbers = text.split(' ').map(|number| number.parse().unwrap_or(0));
    let (allocated, used) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    Ok(Taken { operations, allocated, used })
}

/// Overwrites, removes and puts again, all sizes mixed, in all ways.
fn write(board: &Board, path: &Path, number: usize, seed: u64) {
    let store = Sync::options().capacity(CAPACITY).open(path).expect("a store");
    let mut dice = Dice::new(seed);
    loop {
        let key = |dice: &mut Dice| format!("key/{}", dice.below(KEYS));
        let len = 16 + dice.below(4000) as usize;
        let name = key(&mut dice);
        match dice.below(20) {
            0 => {
                store.remove(&name).expect("a removal");
                store.set_bytes(&name, &vec![1; len]).expect("a set");
            }
            1 => {
                let other = key(&mut dice);
                let text = "x".repeat(len);
                let both = store.transaction(|tx| {
                    tx.set(&name, &text)?;
                    tx.set(&other, &text)
                });
                both.expect("a transaction");
            }
            _ => assert!(store.set_bytes(&name, &vec![1; len]).is_ok(), "a set"),
        }
        board.lanes[number].operations.fetch_add(1, SeqCst);
    }
}
