//! The smallest part of a history that no order explains.

use std::time::{Duration, Instant};

use super::{
    checker::{Verdict, check, parts},
    model::Model,
    operation::Operation,
};

/// For all of the search for it, and for one step.
const PATIENCE: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_secs(2);
/// Lines that are shown at most.
const LINES: usize = 40;

/// What to show of a history that no order explains.
pub fn window(model: Model, operations: &[Operation]) -> Vec<Operation> {
    let is_bad = |part: &[Operation]| check(model, part, STEP) == Verdict::Unexplained;
    let Some(part) = parts(model, operations).into_iter().find(|part| is_bad(part)) else { return Vec::new() };
    let end = Instant::now() + PATIENCE;
    let part = shortest(part, is_bad);
    let part = without_reads(part, is_bad, end);
    shown(part)
}

/// What was known at that moment: what was still under way may have happened.
fn until(part: &[Operation], end: u64) -> Vec<Operation> {
    let known = |operation: &Operation| match operation.end <= end {
        true => *operation,
        false => Operation { answer: None, end: u64::MAX, ..*operation },
    };
    part.iter().filter(|operation| operation.begin <= end).map(known).collect()
}

/// The shortest beginning that is bad. Whatever begins with it is bad, too.
fn shortest(part: Vec<Operation>, is_bad: impl Fn(&[Operation]) -> bool) -> Vec<Operation> {
    let mut ends: Vec<u64> = part.iter().map(|operation| operation.end).collect();
    ends.sort_unstable();
    let first = ends.partition_point(|end| !is_bad(&until(&part, *end)));
    ends.get(first).map_or_else(|| part.clone(), |end| until(&part, *end))
}

/// Without the reads that are not needed for it to be bad.
fn without_reads(mut part: Vec<Operation>, is_bad: impl Fn(&[Operation]) -> bool, end: Instant) -> Vec<Operation> {
    let mut size = part.len();
    while size > 0 {
        let mut from = 0;
        while from < part.len() && Instant::now() < end {
            let within = |index: usize| (from..from + size).contains(&index);
            let fewer: Vec<_> = part
                .iter()
                .enumerate()
                .filter(|(index, operation)| !(within(*index) && operation.is_read()))
                .map(|(_, operation)| *operation)
                .collect();
            if fewer.len() < part.len() && is_bad(&fewer) {
                part = fewer;
            } else {
                from += size;
            }
        }
        size /= 2;
    }
    part
}

/// From what the first read that is left may have seen, to the end.
fn shown(mut part: Vec<Operation>) -> Vec<Operation> {
    part.sort_by_key(|operation| operation.end);
    let first =
        part.iter().find(|operation| operation.is_read()).or(part.last()).map_or(0, |operation| operation.begin);
    let before = part.iter().filter(|operation| operation.end < first).count();
    part.drain(..before.saturating_sub(2).max(part.len().saturating_sub(LINES)));
    part
}
