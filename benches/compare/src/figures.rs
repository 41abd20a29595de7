//! What several runs of one side come to.

use crate::tape::Tape;

/// One number per run, and all samples.
#[derive(Default, Clone)]
pub(crate) struct Figures {
    runs: Vec<f64>,
    samples: Vec<f32>,
}

impl Figures {
    pub(crate) fn add(&mut self, tape: Tape) {
        self.runs.push(tape.mean());
        self.samples.extend(tape.samples);
    }

    /// A run of which only its result is known.
    pub(crate) fn add_run(&mut self, result: f64, p99: f64) {
        self.runs.push(result);
        self.samples.push(p99 as f32);
    }

    /// A run of which nothing else is told.
    pub(crate) fn add_result(&mut self, result: f64) {
        self.runs.push(result);
    }

    /// A limit or another number that was not measured.
    pub(crate) fn fixed(number: f64) -> Self {
        Self { runs: vec![number], samples: vec![] }
    }

    pub(crate) fn median(&self) -> f64 {
        let mut runs = self.runs.clone();
        runs.sort_by(f64::total_cmp);
        match runs.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => runs[odd / 2],
            even => (runs[even / 2 - 1] + runs[even / 2]) / 2.0,
        }
    }

    /// How far the runs are from their median, as a share of it: the farther of the fastest and the slowest.
    pub(crate) fn spread(&self) -> f64 {
        let median = self.median();
        self.runs.iter().map(|run| (run - median).abs() / median).fold(0.0, f64::max)
    }

    /// Of a hundred samples, ninety-nine are not larger.
    pub(crate) fn p99(&self) -> Option<f64> {
        quantile(&self.samples, 0.99)
    }
}

/// Of all samples, this share is not larger.
pub(crate) fn quantile(samples: &[f32], share: f64) -> Option<f64> {
    let mut samples = samples.to_vec();
    let place = ((samples.len() as f64 * share).ceil() as usize).clamp(1, samples.len().max(1)) - 1;
    (place < samples.len()).then(|| f64::from(*samples.select_nth_unstable_by(place, f32::total_cmp).1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples_and_the_median_is_in_the_middle() {
        let hundred: Vec<f32> = (1..=100).rev().map(|number| number as f32).collect();
        assert_eq!(quantile(&hundred, 0.99), Some(99.0));
        assert_eq!(quantile(&hundred, 1.0), Some(100.0));
        assert_eq!(quantile(&hundred, 0.0), Some(1.0));
        assert_eq!(quantile(&[], 0.5), None);
        let mut figures = Figures::default();
        [5.0, 1.0, 2.0].into_iter().for_each(|run| figures.add_run(run, run));
        assert_eq!((figures.median(), figures.spread(), figures.p99()), (2.0, 1.5, Some(5.0)));
    }
}
