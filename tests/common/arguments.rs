//! The command line of a test without the usual harness.
#![allow(dead_code, reason = "each program uses a part of it")]

use std::time::{SystemTime, UNIX_EPOCH};

/// Words that were not asked for yet: what is asked for is taken out.
pub struct Arguments(Vec<String>);

impl Arguments {
    pub fn of_this_process() -> Self {
        Self(std::env::args().skip(1).collect())
    }

    /// Whether `--name` was given.
    pub fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|word| word != name);
        self.0.len() < before
    }

    /// What stands behind `--name`.
    pub fn value(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|word| word == name)?;
        self.0.remove(at);
        (at < self.0.len()).then(|| self.0.remove(at))
    }

    /// The number behind `--name`.
    ///
    /// # Panics
    /// When there is no number: a run with another seed than the one meant would mislead.
    pub fn number(&mut self, name: &str) -> Option<u64> {
        self.value(name).map(|text| text.parse().unwrap_or_else(|_| panic!("{name} needs a number, not {text:?}")))
    }

    /// The number behind `--seed`, else one that nobody had before.
    pub fn seed(&mut self) -> u64 {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
        self.number("--seed").unwrap_or_else(now)
    }

    /// What is left but flags, of which cargo passes some to every test.
    pub fn names(self) -> Vec<String> {
        self.0.into_iter().filter(|word| !word.starts_with('-')).collect()
    }
}
