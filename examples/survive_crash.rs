//! Writers are killed again and again in the middle of their work. What they had finished is there, nothing half is,
//! and nobody has to repair anything.
//!
//! Run without arguments it starts itself as the writer that it kills.

use std::{env, path::PathBuf, process::Command, thread, time::Duration};

use shmsync::{Result, Sync};

/// Writes for ever: two keys that belong together, and a large value that must never be seen half.
fn write(path: &str) -> Result<()> {
    let store = Sync::open(path)?;
    loop {
        let number = store.transaction(|tx| {
            let number = tx.increment("left", 1)?;
            tx.set("right", &-number)?;
            Ok(number)
        })?;
        store.set("large", &vec![number; 5_000])?;
    }
}

/// What must hold at every moment; tells how far the writers are.
fn check(store: &Sync) -> Result<i64> {
    let (left, right) = store.transaction(|tx| Ok((tx.get("left")?.unwrap_or(0), tx.get("right")?.unwrap_or(0))))?;
    assert_eq!(left + right, 0, "half a transaction");
    let large = store.get_or("large", vec![0_i64; 5_000])?;
    assert!(large.len() == 5_000 && large.windows(2).all(|pair| pair[0] == pair[1]), "half a value");
    Ok(left)
}

/// Looks again and again while somebody writes, until so much was done.
fn watch(store: &Sync, enough: i64) -> Result<()> {
    while check(store)? < enough {
        thread::sleep(Duration::from_micros(300));
    }
    Ok(())
}

fn main() -> Result<()> {
    if let Some(path) = env::args().nth(1) {
        return write(&path);
    }
    let folder = PathBuf::from("/dev/shm");
    let folder = if folder.is_dir() { folder } else { env::temp_dir() };
    let path = folder.join(format!("example-survive-crash-{}", std::process::id()));
    let store = Sync::open(&path)?;
    let mut before = 0;
    for round in 0..20 {
        let mut writer = Command::new(env::current_exe().expect("this program")).arg(&path).spawn().expect("a writer");
        let watched = watch(&store, before + 10);
        thread::sleep(Duration::from_micros(137 * round));
        writer.kill().expect("a writer to kill");
        writer.wait().expect("a writer that ends");
        watched?;
        let now = check(&store)?;
        assert!(now >= before + 10, "work that was finished is lost");
        before = now;
    }
    let found = store.verify()?;
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    println!("20 writers killed, {before} transactions, {} recoveries, nothing lost", store.stats()?.recoveries);
    store.destroy()
}
