//! Whether some order of everything explains a history.
//!
//! The search of Wing and Gong with Lowe's list and cache: calls and returns stand in a list by time; any call in front
//! of the first return may be next. What was chosen is taken out of the list, and put back when it leads nowhere; no
//! set of chosen operations with the same state is looked at twice.
//!
//! An operation whose process was killed may be next, or never: its return, which is the moment when the process was
//! dead, may be passed without it. Later it may not happen: nothing done by the dead appears after their death.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use super::{
    model::{Model, State},
    operation::Operation,
};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order.
    Explained,
    /// There is none.
    Unexplained,
    /// Neither was found in time.
    Undecided,
}

/// An end of the list of events.
const HEAD: usize = 0;

/// What is chosen to be next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// One that was answered.
    Answered,
    /// One whose process was killed.
    Killed,
    /// None: the first return is that of a killed one, which never happened.
    Never,
}

struct Choice {
    operation: usize,
    before: State,
    stage: Stage,
    event: usize,
}

struct Search<'a> {
    model: Model,
    operations: &'a [Operation],
    /// Event `2 * n + 1` is the call of operation `n`, `2 * n + 2` its return.
    next: Vec<usize>,
    previous: Vec<usize>,
    /// A number of each operation; those of a set are combined.
    numbers: Vec<u128>,
    seen: HashSet<(u128, State)>,
    chosen: u128,
    /// Operations with an answer that were not chosen yet.
    left: usize,
}

/// Whether some order explains these, each key for itself where that is possible.
pub fn check(model: Model, operations: &[Operation], patience: Duration) -> Verdict {
    let end = Instant::now() + patience;
    parts(model, operations)
        .iter()
        .map(|part| Search::new(model, part).run(end))
        .find(|verdict| *verdict != Verdict::Explained)
        .unwrap_or(Verdict::Explained)
}

/// The operations of each key.
pub fn parts(model: Model, operations: &[Operation]) -> Vec<Vec<Operation>> {
    if !model.is_by_key() {
        return vec![operations.to_vec()];
    }
    let keys = operations.iter().map(|operation| operation.key + 1).max().unwrap_or(0);
    let mut parts = vec![Vec::new(); keys];
    operations.iter().for_each(|operation| parts[operation.key].push(*operation));
    parts
}

impl<'a> Search<'a> {
    fn new(model: Model, operations: &'a [Operation]) -> Self {
        let ends = |(number, operation): (usize, &Operation)| {
            [(operation.begin, 0, 2 * number + 1), (operation.end, 1, 2 * number + 2)]
        };
        let mut events: Vec<(u64, u8, usize)> = operations.iter().enumerate().flat_map(ends).collect();
        // At the same time: the call first, so that both overlap.
        events.sort_unstable();
        let (mut next, mut previous) = (vec![HEAD; events.len() + 1], vec![HEAD; events.len() + 1]);
        let mut last = HEAD;
        for (_, _, event) in events {
            (next[last], previous[event]) = (event, last);
            last = event;
        }
        next[last] = HEAD;
        let mut dice = super::dice::Dice::new(operations.len() as u64);
        let mut number = || u128::from(dice.below(u64::MAX)) << 64 | u128::from(dice.below(u64::MAX));
        Self {
            model,
            operations,
            next,
            previous,
            numbers: operations.iter().map(|_| number()).collect(),
            seen: HashSet::new(),
            chosen: 0,
            left: operations.iter().filter(|operation| operation.answer.is_some()).count(),
        }
    }

    fn run(&mut self, end: Instant) -> Verdict {
        let mut choices: Vec<Choice> = Vec::new();
        let (mut state, mut stage, mut event) = (self.model.start(), Stage::Answered, self.next[HEAD]);
        let mut steps = 0_u64;
        while self.left > 0 {
            steps += 1;
            if steps.is_multiple_of(4096) && Instant::now() > end {
                return Verdict::Undecided;
            }
            if let Some((choice, after)) = self.choose(&state, stage, event) {
                self.take(choice.operation);
                choices.push(choice);
                (state, stage, event) = (after, Stage::Answered, self.next[HEAD]);
            } else {
                let Some(choice) = choices.pop() else { return Verdict::Unexplained };
                self.put_back(choice.operation);
                (state, stage, event) = (choice.before, choice.stage, self.next[choice.event]);
                if stage == Stage::Never {
                    // It was the last way to go on.
                    event = HEAD;
                }
            }
        }
        Verdict::Explained
    }

    /// The next operation that may be next, from this event on, and the state after it.
    fn choose(&mut self, state: &State, mut stage: Stage, mut event: usize) -> Option<(Choice, State)> {
        loop {
            if event == HEAD {
                return None;
            }
            let operation = (event - 1) / 2;
            let Operation { call, answer, .. } = self.operations[operation];
            let is_return = event.is_multiple_of(2);
            let after = match (is_return, stage, answer.is_none()) {
                (true, Stage::Answered, _) => {
                    (stage, event) = (Stage::Killed, self.next[HEAD]);
                    continue;
                }
                (true, _, true) => {
                    stage = Stage::Never;
                    Some(state.clone())
                }
                (true, _, false) => return None,
                (false, Stage::Answered, false) | (false, Stage::Killed, true) => self.model.step(state, call, answer),
                _ => None,
            };
            if let Some(after) = after
                && self.seen.insert((self.chosen ^ self.numbers[operation], after.clone()))
            {
                return Some((Choice { operation, before: state.clone(), stage, event }, after));
            }
            if stage == Stage::Never {
                return None;
            }
            event = self.next[event];
        }
    }

    fn take(&mut self, operation: usize) {
        self.chosen ^= self.numbers[operation];
        self.left -= usize::from(self.operations[operation].answer.is_some());
        for event in [2 * operation + 1, 2 * operation + 2] {
            let (before, after) = (self.previous[event], self.next[event]);
            self.next[before] = after;
            self.previous[after] = before;
        }
    }

    fn put_back(&mut self, operation: usize) {
        self.chosen ^= self.numbers[operation];
        self.left += usize::from(self.operations[operation].answer.is_some());
        for event in [2 * operation + 2, 2 * operation + 1] {
            let (before, after) = (self.previous[event], self.next[event]);
            self.next[before] = event;
            self.previous[after] = event;
        }
    }
}
