//! Histories that no order explains, written by hand: five for each model.

use super::{
    model::Model,
    operation::{Answer, Call, Operation},
};

use Answer::{All, Conflict, Done, Holder, Moved, Stored, Value, Versioned, Was};
use Call::{
    CompareAndSet, Die, Force, Get, GetVersioned, Holds, Increment, IsRevoked, Look, Move, Next, ReadInside, Release,
    Remove, Set, Snapshot, Take, Who,
};

/// From then to then, one answer; without one, the process was killed.
type Line = (u64, u64, Call, Option<Answer>);

fn history(lines: &[Line]) -> Vec<Operation> {
    let operation = |(lane, (begin, end, call, answer)): (usize, &Line)| -> Operation {
        Operation { lane, key: 0, call: *call, answer: *answer, begin: *begin, end: *end }
    };
    lines.iter().enumerate().map(operation).collect()
}

fn done(begin: u64, end: u64, call: Call, answer: Answer) -> Line {
    (begin, end, call, Some(answer))
}

fn killed(begin: u64, end: u64, call: Call) -> Line {
    (begin, end, call, None)
}

fn is(value: i64) -> Answer {
    Value(Some(value))
}

/// What is wrong with each, and the history.
pub fn bad(model: Model) -> Vec<(&'static str, Vec<Operation>)> {
    let histories = match model {
        Model::Register => registers(),
        Model::Integer => integers(),
        Model::Versioned => versioned(),
        Model::Accounts => accounts(),
        Model::Watched => watched(),
        Model::Lock => locks(),
        Model::Leader => leaders(),
    };
    histories.into_iter().map(|(what, lines)| (what, history(&lines))).collect()
}

fn registers() -> Vec<(&'static str, Vec<Line>)> {
    vec![
        ("an acknowledged value is not there", vec![done(0, 9, Set(1), Done), done(10, 19, Get, Value(None))]),
        (
            "two readers see two writes in different orders",
            vec![
                done(0, 22, Set(1), Done),
                done(0, 22, Set(2), Done),
                done(10, 14, Get, is(1)),
                done(15, 19, Get, is(2)),
                done(20, 29, Get, is(1)),
            ],
        ),
        (
            "a value that a dead process has not written is written after its death",
            vec![killed(0, 9, Set(1)), done(10, 19, Get, Value(None)), done(20, 29, Get, is(1))],
        ),
        ("nobody wrote it", vec![done(0, 9, Set(1), Done), done(5, 19, Get, is(3))]),
        (
            "two remove it, and it was written once",
            vec![done(0, 9, Set(1), Done), done(10, 29, Remove, Was(true)), done(15, 25, Remove, Was(true))],
        ),
    ]
}

fn integers() -> Vec<(&'static str, Vec<Line>)> {
    vec![
        ("two get the same number", vec![done(0, 20, Increment(1), is(1)), done(5, 25, Increment(1), is(1))]),
        (
            "an acknowledged increment is lost",
            vec![done(0, 9, Increment(1), is(1)), done(10, 19, Increment(1), is(2)), done(20, 29, Get, is(1))],
        ),
        ("a killed one counts twice", vec![killed(0, 9, Increment(1)), done(20, 29, Increment(1), is(3))]),
        (
            "a number that nobody stored in between",
            vec![done(0, 9, Increment(5), is(5)), done(10, 25, Set(100), Done), done(12, 28, Increment(5), is(15))],
        ),
        (
            "what is removed goes on counting",
            vec![done(0, 9, Set(7), Done), done(10, 19, Remove, Was(true)), done(20, 29, Increment(1), is(8))],
        ),
    ]
}

fn versioned() -> Vec<(&'static str, Vec<Line>)> {
    let swap = |expected, value| CompareAndSet { expected, value };
    let at = |value, revision| Versioned(Some((value, revision)));
    vec![
        (
            "two succeed over one revision",
            vec![
                done(0, 9, Set(1), Stored(5)),
                done(10, 30, swap(5, 2), Stored(6)),
                done(10, 30, swap(5, 3), Stored(7)),
            ],
        ),
        (
            "one fails though nobody came in between",
            vec![done(0, 9, Set(1), Stored(5)), done(10, 19, swap(5, 2), Conflict)],
        ),
        (
            "a revision goes back",
            vec![done(0, 9, Set(1), Stored(5)), done(10, 19, Remove, Was(true)), done(20, 29, Set(2), Stored(4))],
        ),
        (
            "one value, two revisions",
            vec![killed(0, 9, Set(1)), done(10, 19, GetVersioned, at(1, 5)), done(20, 29, GetVersioned, at(1, 6))],
        ),
        ("two take an empty place", vec![done(0, 20, swap(0, 1), Stored(5)), done(0, 20, swap(0, 2), Stored(6))]),
    ]
}

fn accounts() -> Vec<(&'static str, Vec<Line>)> {
    let go = |from, to| Move { from, to, amount: 10 };
    vec![
        (
            "one account is new, the other one afterwards still old",
            vec![
                done(0, 15, go(0, 1), Moved(100, 100)),
                done(10, 19, Look(1), is(110)),
                done(20, 29, Look(0), is(100)),
            ],
        ),
        (
            "a snapshot in which money is missing",
            vec![done(0, 15, go(0, 1), Moved(100, 100)), done(10, 19, Snapshot, All([90, 100, 100, 100]))],
        ),
        (
            "half of what a dead process did",
            vec![killed(0, 9, go(2, 3)), done(20, 29, ReadInside, All([100, 100, 90, 100]))],
        ),
        (
            "two moves read the same",
            vec![done(0, 20, go(0, 1), Moved(100, 100)), done(5, 25, go(0, 2), Moved(100, 100))],
        ),
        (
            "two snapshots see two moves in different orders",
            vec![
                done(0, 50, go(0, 1), Moved(100, 100)),
                done(0, 50, go(2, 3), Moved(100, 100)),
                done(10, 79, Snapshot, All([90, 110, 100, 100])),
                done(10, 80, Snapshot, All([100, 100, 90, 110])),
            ],
        ),
    ]
}

fn watched() -> Vec<(&'static str, Vec<Line>)> {
    let next = |begin, end, told: Option<i64>, value| done(begin, end, Next(told.map(Some)), Value(value));
    vec![
        (
            "told of what was over before",
            vec![done(0, 9, Set(1), Done), done(10, 19, Set(2), Done), next(20, 29, None, Some(1))],
        ),
        (
            "told in another order",
            vec![
                done(0, 9, Set(1), Done),
                done(10, 19, Set(2), Done),
                next(5, 30, None, Some(2)),
                next(31, 39, Some(2), Some(1)),
            ],
        ),
        ("told twice", vec![done(0, 9, Set(1), Done), next(5, 15, None, Some(1)), next(16, 25, Some(1), Some(1))]),
        (
            "told of a removal that never was",
            vec![done(0, 9, Set(1), Done), next(5, 15, None, Some(1)), next(16, 25, Some(1), None)],
        ),
        (
            "told of what was removed again",
            vec![
                done(0, 9, Set(1), Done),
                next(5, 12, None, Some(1)),
                done(10, 20, Remove, Was(true)),
                next(13, 25, Some(1), None),
                next(26, 30, None, Some(1)),
            ],
        ),
    ]
}

fn locks() -> Vec<(&'static str, Vec<Line>)> {
    let take = |begin, end, owner, token| done(begin, end, Take { owner }, Stored(token));
    vec![
        ("two hold it", vec![take(0, 9, 1, 5), take(10, 19, 2, 6)]),
        ("a token goes back", vec![take(0, 9, 1, 5), done(10, 19, Release(5), Was(true)), take(20, 29, 2, 4)]),
        (
            "a token that was given back is good again",
            vec![
                take(0, 9, 1, 5),
                done(10, 19, Release(5), Was(true)),
                take(20, 29, 2, 6),
                done(30, 39, Release(5), Was(true)),
            ],
        ),
        (
            "whoever it was taken from by force holds it",
            vec![take(0, 9, 1, 5), done(10, 19, Force, Was(true)), done(20, 29, Holds(5), Was(true))],
        ),
        (
            "the death of another one frees it",
            vec![take(0, 9, 1, 5), done(10, 19, Die { owner: 2 }, Done), take(20, 29, 3, 6)],
        ),
    ]
}

fn leaders() -> Vec<(&'static str, Vec<Line>)> {
    let take = |begin, end, owner, token| done(begin, end, Take { owner }, Stored(token));
    vec![
        ("two lead from the same moment on", vec![take(0, 20, 1, 5), take(5, 25, 2, 6)]),
        ("told of an end that never was", vec![take(0, 9, 1, 5), done(10, 19, IsRevoked(5), Was(true))]),
        (
            "resigned twice",
            vec![take(0, 9, 1, 5), done(10, 19, Release(5), Was(true)), done(20, 29, Release(5), Was(true))],
        ),
        (
            "the leader before is seen after its successor",
            vec![
                take(0, 9, 1, 5),
                done(10, 40, Release(5), Was(true)),
                take(10, 40, 2, 6),
                done(15, 20, Who, Holder(6)),
                done(25, 50, Who, Holder(5)),
            ],
        ),
        (
            "nobody elected it",
            vec![killed(0, 9, Take { owner: 1 }), done(10, 19, Who, Holder(0)), done(20, 29, Who, Holder(7))],
        ),
    ]
}
