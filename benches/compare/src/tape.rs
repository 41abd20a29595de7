//! The time that operations take.

use crate::{clock, failure::Outcome};

/// Records one run: its whole, and parts of it for the tail.
#[derive(Default)]
pub(crate) struct Tape {
    /// Operations per sample.
    batch: usize,
    pub(crate) count: usize,
    pub(crate) nanoseconds: u64,
    /// Nanoseconds per operation.
    pub(crate) samples: Vec<f32>,
}

impl Tape {
    pub(crate) fn new(batch: usize) -> Self {
        Self { batch, ..Self::default() }
    }

    /// Times so many operations, at least one, rounded up to whole batches. The clock is read once per batch.
    #[inline]
    pub(crate) fn operations(&mut self, count: usize, mut operation: impl FnMut() -> Outcome<()>) -> Outcome<()> {
        self.samples.reserve(count.div_ceil(self.batch));
        let mut left = count.div_ceil(self.batch);
        let more = |_| {
            left -= 1;
            left > 0
        };
        self.batches(more, &mut operation)
    }

    /// Times operations until that moment, one batch at least.
    #[inline]
    pub(crate) fn until(&mut self, end: u64, mut operation: impl FnMut() -> Outcome<()>) -> Outcome<()> {
        self.batches(|now| now < end, &mut operation)
    }

    #[inline]
    fn batches(
        &mut self,
        mut go_on: impl FnMut(u64) -> bool,
        operation: &mut impl FnMut() -> Outcome<()>,
    ) -> Outcome<()> {
        let start = clock::now();
        let mut last = start;
        loop {
            for _ in 0..self.batch {
                operation()?;
            }
            let now = clock::now();
            self.samples.push((now - last) as f32 / self.batch as f32);
            self.count += self.batch;
            last = now;
            if !go_on(now) {
                break;
            }
        }
        self.nanoseconds += last - start;
        Ok(())
    }

    /// Times one operation as a whole that counts as so many.
    pub(crate) fn whole<T>(&mut self, count: usize, operation: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        let start = clock::now();
        let result = operation()?;
        let took = clock::now() - start;
        self.samples.push(took as f32 / count as f32);
        self.count += count;
        self.nanoseconds += took;
        Ok(result)
    }

    /// Nanoseconds per operation.
    pub(crate) fn mean(&self) -> f64 {
        self.nanoseconds as f64 / self.count.max(1) as f64
    }
}
