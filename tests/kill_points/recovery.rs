//! Recovery itself: the victim of an operation is recovered by a process that is killed as well, at each of its points,
//! and whoever recovers that one is killed too.

use std::path::Path;

use super::{
    dice::Dice,
    explore::{Effort, Report, Site, points_of},
    image::Image,
    operations::{Operation, Others, RECOVERY},
};

/// The operations whose victims are recovered: one for each kind of unfinished work.
pub const NAMES: [&str; 12] = [
    "set, insert",
    "set, overwrite in another size",
    "set, overwrite where blocks of that size rest",
    "locks, taken, released and taken where blocks of that size rest",
    "set, the index grows",
    "set, the file grows",
    "set, burying the dead",
    "remove, the index shrinks",
    "transaction, two shards",
    "transaction, four shards where blocks rest",
    "transaction, five shards",
    "replace all",
];

/// How many points of each level: the victim's, its recoverer's, the recoverer's recoverer's.
struct Breadth([usize; 3]);

pub fn explore(operation: &Operation, folder: &Path, effort: Effort, long: bool) -> Report {
    let breadth = match (effort.all, long) {
        (true, _) => Breadth([usize::MAX; 3]),
        (_, true) => Breadth([60, usize::MAX, 10]),
        _ => Breadth([3, 16, 8]),
    };
    let mut report = Report::default();
    let site = Site::new(operation, folder);
    let (trace, points, _) = site.scan();
    let mut dice = Dice::new(effort.seed ^ 1);
    for k in some(&points_of(&trace, &points, effort), breadth.0[0], &mut dice) {
        let left = site.left_at(&trace, k);
        recover(&left, site.path.clone(), &format!("victim {k}"), &breadth.0[1..], effort, &mut dice, &mut report);
    }
    report
}

/// Kills the recoverer of what was left at some of its points; then those who recover after it.
fn recover(
    left: &Image,
    path: std::path::PathBuf,
    who: &str,
    breadth: &[usize],
    effort: Effort,
    dice: &mut Dice,
    report: &mut Report,
) {
    let operation = Operation { others: Others::Sometimes, ..RECOVERY };
    let site = Site { operation: &operation, path, template: left.clone() };
    let effort =
        Effort { all: false, random: 0, at_most: breadth[0], seed: effort.seed ^ dice.below(u64::MAX), ..effort };
    let found = site.explore(effort);
    report.instructions += found.instructions;
    report.points += found.points;
    report.kills += found.kills;
    report.strayed += found.strayed;
    report.failures.extend(found.failures.iter().map(|failure| format!("{who}, its recoverer: {failure}")));
    if breadth.len() < 2 {
        return;
    }
    let (trace, points, _) = site.scan();
    let wanted = if breadth[0] == usize::MAX { usize::MAX } else { 1 };
    for k in some(&points_of(&trace, &points, effort), wanted, dice) {
        let left = site.left_at(&trace, k);
        recover(&left, site.path.clone(), &format!("{who}, recoverer {k}"), &breadth[1..], effort, dice, report);
    }
}

/// So many of them.
fn some(points: &[usize], wanted: usize, dice: &mut Dice) -> Vec<usize> {
    let mut points = points.to_vec();
    while points.len() > wanted {
        points.swap_remove(dice.below(points.len() as u64) as usize);
    }
    points
}
