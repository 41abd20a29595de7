//! One operation: stepped through once, then killed at every point that counts.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use shmsync::Sync;

use super::{
    dice::Dice,
    helper::{Answer, Helper, elsewhere},
    image::{Eye, Image},
    operations::{Operation, Others, Sees, open, options},
    survivor::{Expected, come_and_survive, state, survive},
    trace::{Step, Trace, Tracee, is_system_call},
};

/// How thorough to be.
#[derive(Clone, Copy)]
pub struct Effort {
    /// Kill after every instruction.
    pub all: bool,
    /// Kills at instructions of no significance.
    pub random: usize,
    /// Kills within one loop.
    pub in_loops: usize,
    /// Kills of one operation; `usize::MAX` but where operations are many.
    pub at_most: usize,
    pub seed: u64,
}

/// What came of it.
#[derive(Default)]
pub struct Report {
    pub instructions: usize,
    /// Instructions after which region or kernel were not as before.
    pub points: usize,
    pub kills: usize,
    /// Kills that did not come to where they were meant for.
    pub strayed: usize,
    pub failures: Vec<String>,
}

/// An operation on a place of its own.
pub struct Site<'a> {
    pub operation: &'a Operation,
    pub path: PathBuf,
    pub template: Image,
}

impl<'a> Site<'a> {
    /// Fills a region as the operation wants it.
    pub fn new(operation: &'a Operation, folder: &Path) -> Self {
        let path = folder.join("store");
        Image::nothing().put(&path);
        if let Some(before) = operation.before {
            let filled = elsewhere(|| {
                let store = options().capacity(operation.capacity).open(&path).map_err(|error| error.to_string())?;
                before(&store);
                Ok(String::new())
            });
            assert!(filled.is_ok(), "{}: {filled:?}", operation.name);
        }
        Self { operation, template: Image::of(&path), path }
    }

    pub fn start(&self) -> (Tracee, Option<Sync>) {
        let inherited = (self.operation.others == Others::Parent).then(|| open(&self.path));
        let tracee = Tracee::start(|| (self.operation.prepare)(&self.path, inherited.clone()));
        (tracee, inherited)
    }

    fn state(&self) -> Answer {
        let exists = self.path.exists();
        elsewhere(|| if exists { state(&open(&self.path)) } else { Ok(String::new()) })
    }

    /// Steps through it once. The trace, the points that count, whether the file grew.
    pub fn scan(&self) -> (Trace, Vec<usize>, bool) {
        self.template.put(&self.path);
        let size = || std::fs::metadata(&self.path).map_or(0, |meta| meta.len());
        let before = size();
        let _bystander = (self.operation.others == Others::Always).then(|| self.bystander(None));
        let (mut tracee, _inherited) = self.start();
        let (mut trace, mut seen, mut points) = (Trace::default(), HashMap::new(), Vec::new());
        let mut eye = Eye::on(&self.path);
        trace.push(tracee.pc(), &mut seen);
        loop {
            let call = is_system_call(*trace.pcs.last().expect("one at least"));
            let Step::At(pc) = tracee.step() else { break };
            trace.push(pc, &mut seen);
            let changed_file = call && eye.look_at_file(&self.path);
            if eye.look_at_bytes() || changed_file || call {
                points.push(trace.pcs.len() - 1);
            }
        }
        tracee.kill();
        (trace, points, size() > before)
    }

    /// A process that is attached all along.
    fn bystander(&self, expected: Option<Expected>) -> Helper {
        let path = self.path.clone();
        Helper::start(
            move || open(&path),
            move |store| expected.map_or(Ok(String::new()), |expected| survive(&store, &expected)),
        )
    }

    /// Old state, new state, and the most bytes that may be in use in the end.
    pub fn expectations(&self) -> Result<(Expected, u64), String> {
        self.template.put(&self.path);
        let before = self.state()?;
        self.template.put(&self.path);
        let (mut tracee, inherited) = self.start();
        tracee.complete();
        tracee.kill();
        drop(inherited);
        let after_image = Image::of(&self.path);
        let expected = Expected { before, after: self.state()?, sees: self.operation.sees };
        let mut most = 0;
        for image in [&self.template, &after_image] {
            image.put(&self.path);
            let used = elsewhere(|| come_and_survive(&self.path, &expected))?;
            most = most.max(used.parse().map_err(|_| used)?);
        }
        Ok((expected, most))
    }

    /// Kills the child after `k` instructions and lets a survivor look.
    fn kill_at(&self, trace: &Trace, k: usize, index: usize, expected: &Expected, most: u64) -> (Outcome, Image) {
        self.template.put(&self.path);
        let attached = match self.operation.others {
            // Who is attached to what is gone learns of it only after a second.
            Others::Sometimes if expected.sees == Sees::Gone => index % 16 == 1,
            Others::Sometimes => index % 2 == 1,
            Others::Always => true,
            Others::Nobody | Others::Parent => false,
        };
        let bystander = attached.then(|| self.bystander(Some(expected.clone())));
        let (mut tracee, inherited) = self.start();
        let reached = tracee.reach(trace, k);
        tracee.kill();
        let left = Image::of(&self.path);
        let answer = match bystander {
            Some(bystander) => bystander.ask(),
            None => elsewhere(|| come_and_survive(&self.path, expected)),
        };
        drop(inherited);
        let fault = match answer.map(|used| used.parse::<u64>()) {
            Ok(Ok(used)) if used <= most => None,
            Ok(used) => Some(format!("{used:?} bytes stay in use, {most} should at most")),
            Err(fault) => Some(fault),
        };
        let who = if attached { "one who was there" } else { "one who came" };
        (Outcome { reached, fault: fault.map(|fault| format!("{who}: {fault}")) }, left)
    }

    /// Kills the child after `k` instructions; the region that it leaves.
    pub fn left_at(&self, trace: &Trace, k: usize) -> Image {
        self.template.put(&self.path);
        let (mut tracee, _inherited) = self.start();
        tracee.reach(trace, k);
        tracee.kill();
        Image::of(&self.path)
    }

    /// Everything about one operation.
    pub fn explore(&self, effort: Effort) -> Report {
        let mut report = Report::default();
        let (expected, most) = match self.expectations() {
            Ok(found) => found,
            Err(fault) => {
                report.failures.push(format!("even without a kill: {fault}"));
                return report;
            }
        };
        let (trace, points, grew) = self.scan();
        report.instructions = trace.pcs.len() - 1;
        report.points = points.len();
        if points.len() < self.operation.least {
            report.failures.push(format!("only {} kill points", points.len()));
        }
        if self.operation.grows && !grew {
            report.failures.push("the file does not grow".to_owned());
        }
        if self.operation.changes && expected.before == expected.after {
            report.failures.push("it changes nothing".to_owned());
        }
        for (index, k) in chosen(&trace, &points, effort).into_iter().enumerate() {
            let (outcome, left) = self.kill_at(&trace, k, index, &expected, most);
            report.kills += 1;
            report.strayed += usize::from(!outcome.reached);
            if let Some(fault) = outcome.fault {
                let kept = self.keep(&left, k);
                let pc = trace.pcs[k];
                report.failures.push(format!("killed after {k} instructions ({pc:#x}, region in {kept}): {fault}"));
            }
        }
        report
    }

    /// Keeps what a victim left where it can be looked at.
    fn keep(&self, left: &Image, k: usize) -> String {
        let name: String = self.operation.name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("killed-{name}-{k}"));
        left.put(&path);
        path.display().to_string()
    }
}

struct Outcome {
    reached: bool,
    fault: Option<String>,
}

/// Where to kill: at all points that count (of the same instruction in a long loop only some), and elsewhere.
fn chosen(trace: &Trace, points: &[usize], effort: Effort) -> Vec<usize> {
    let all = trace.pcs.len();
    if effort.all {
        return (0..all).collect();
    }
    let mut chosen = points_of(trace, points, effort);
    let mut dice = Dice::new(effort.seed);
    chosen.extend((0..effort.random).map(|_| dice.below(all as u64) as usize));
    while chosen.len() > effort.at_most {
        chosen.swap_remove(dice.below(chosen.len() as u64) as usize);
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// The points that count; of a long loop only some.
pub fn points_of(trace: &Trace, points: &[usize], effort: Effort) -> Vec<usize> {
    let mut dice = Dice::new(effort.seed);
    let mut chosen = Vec::new();
    for run in loops(trace, points) {
        if run.len() <= effort.in_loops {
            chosen.extend(run);
            continue;
        }
        let edge = effort.in_loops / 3;
        chosen.extend(&run[..edge]);
        chosen.extend(&run[run.len() - edge..]);
        chosen.extend((0..edge).map(|_| run[dice.below(run.len() as u64) as usize]));
    }
    chosen
}

/// Splits points into runs of the same instruction at equal distances: a value being copied, memory being cleared.
fn loops<'p>(trace: &Trace, points: &'p [usize]) -> Vec<&'p [usize]> {
    let executed = |index: usize| trace.pcs[points[index] - 1];
    let (mut runs, mut start) = (Vec::new(), 0);
    for index in 1..=points.len() {
        let goes_on = index < points.len() && executed(index) == executed(start) && {
            let distance = points[index] - points[index - 1];
            index < start + 2 || distance == points[start + 1] - points[start]
        };
        if !goes_on {
            runs.push(&points[start..index]);
            start = index;
        }
    }
    runs
}
