//! The kinds of storm: each makes other things happen often.

/// What a round of the storm is like.
#[derive(Debug)]
pub struct Round {
    pub name: &'static str,
    pub capacity: u64,
    pub workers: usize,
    /// Threads of a worker at most.
    pub threads: u64,
    /// Bytes of the longest value.
    pub longest: usize,
    /// Rows of the tables that are replaced at once.
    pub rows: u64,
    /// A new store all the time, so that files always grow.
    pub young: bool,
}

pub static ROUNDS: [Round; 5] = [
    Round { name: "wide", capacity: 64 << 20, workers: 6, threads: 1, longest: 20_000, rows: 60, young: false },
    Round { name: "one shard", capacity: 1 << 20, workers: 6, threads: 1, longest: 600, rows: 20, young: false },
    Round { name: "always full", capacity: 384 << 10, workers: 5, threads: 1, longest: 3000, rows: 30, young: false },
    Round { name: "many threads", capacity: 16 << 20, workers: 4, threads: 3, longest: 5000, rows: 40, young: false },
    Round { name: "always young", capacity: 256 << 20, workers: 5, threads: 1, longest: 600_000, rows: 0, young: true },
];
