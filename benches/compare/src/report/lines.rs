//! The lines as they come.

use super::text::{figure, percent, ratio, target, verdict};
use crate::row::Row;

/// All rows, each of them printed when it is known.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    /// Works and the peers that could not take part in them.
    pub(crate) not_installed: Vec<(&'static str, &'static str)>,
}

impl Report {
    pub(crate) fn heading(&self) {
        println!(
            "{:<18} {:<11} {:>9} {:>7} {:>9} {:>7} {:>7}  {:<14} {:<7} {:>9} {:>9}",
            "work", "beside", "shmsync", "±", "peer", "±", "ratio", "target", "", "p99", "peer p99"
        );
    }

    pub(crate) fn push(&mut self, row: Row) {
        let p99 = |figures: &crate::figures::Figures| figures.p99().map_or("".into(), |p99| figure(p99, row.unit));
        println!(
            "{:<18} {:<11} {:>9} {:>7} {:>9} {:>7} {:>7}  {:<14} {:<7} {:>9} {:>9}",
            row.work,
            row.peer,
            figure(row.ours.median(), row.unit),
            percent(row.ours.spread()),
            figure(row.theirs.median(), row.unit),
            percent(row.theirs.spread()),
            ratio(row.ratio()),
            target(row.target),
            verdict(&row),
            p99(&row.ours),
            p99(&row.theirs),
        );
        self.rows.push(row);
    }

    pub(crate) fn not_installed(&mut self, work: &'static str, peer: &'static str) {
        println!("{work:<18} {peer:<11} not installed");
        self.not_installed.push((work, peer));
    }

    /// How many targets there are, and how many of them were missed.
    pub(crate) fn targets(&self) -> (usize, usize) {
        let verdicts: Vec<bool> = self.rows.iter().filter_map(Row::reached).collect();
        (verdicts.len(), verdicts.iter().filter(|&&reached| !reached).count())
    }
}
