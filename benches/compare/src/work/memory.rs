//! What a record takes in RAM.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use crate::{
    bench::Bench,
    failure::Outcome,
    figures::Figures,
    keys::{Key, Keys, name},
    peer::{Lmdb, Ours, Peer, fill},
    report::Report,
    row::{Row, Target},
    value::Value,
};

pub(crate) fn memory(bench: &Bench, report: &mut Report) -> Outcome<()> {
    let (keys, mut value) = (bench.keys(bench.many), Value::small());
    let (ours, random, sorted) = (bench.fresh("ours")?, bench.fresh("lmdb")?, bench.fresh("lmdb-sorted")?);
    fill(&mut Ours::open(&ours)?, &keys, &mut value)?;
    fill(&mut Lmdb::open(&random)?, &keys, &mut value)?;
    // Its pages are fullest when keys come in their order.
    let mut lmdb = Lmdb::open(&sorted)?;
    for number in 0..bench.many {
        lmdb.set(Key { text: &name(number), number }, value.of(number as u64))?;
    }
    drop(lmdb);
    let of = |folder: &Path, file: &str| per_record(&folder.join(file), &keys);
    let us = of(&ours, "store")?;
    let random = (us.clone(), of(&random, "data.mdb")?);
    report.push(Row::new("memory", Lmdb::NAME, random, Target::Ratio(1.0)).of_bytes());
    let sorted = (us, of(&sorted, "data.mdb")?);
    report.push(Row::new("memory", "lmdb-sorted", sorted, Target::Reported).of_bytes());
    Ok(())
}

/// Blocks that the file has, not its length: it may have holes.
fn per_record(file: &Path, keys: &Keys) -> Outcome<Figures> {
    Ok(Figures::fixed(fs::metadata(file)?.blocks() as f64 * 512.0 / keys.len() as f64))
}
