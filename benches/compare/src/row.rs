//! A line of the table.

use crate::figures::Figures;

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Nanoseconds,
    Bytes,
}

/// What was promised about `ratio`, the peer's number through ours.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// At least that.
    Ratio(f64),
    /// At most so many nanoseconds of ours.
    Nanoseconds(f64),
    /// At most so often the peer's number, and so many nanoseconds more.
    TimesAndMore(f64, f64),
    /// Nothing: for comparison only.
    Reported,
}

/// One work, ours beside one peer.
pub(crate) struct Row {
    pub(crate) work: &'static str,
    pub(crate) peer: &'static str,
    pub(crate) ours: Figures,
    pub(crate) theirs: Figures,
    pub(crate) unit: Unit,
    pub(crate) target: Target,
}

impl Row {
    pub(crate) fn new(
        work: &'static str,
        peer: &'static str,
        (ours, theirs): (Figures, Figures),
        target: Target,
    ) -> Self {
        Self { work, peer, ours, theirs, unit: Unit::Nanoseconds, target }
    }

    pub(crate) fn of_bytes(self) -> Self {
        Self { unit: Unit::Bytes, ..self }
    }

    pub(crate) fn ratio(&self) -> f64 {
        self.theirs.median() / self.ours.median()
    }

    /// Whether the target was reached; `None` where there is none.
    pub(crate) fn reached(&self) -> Option<bool> {
        match self.target {
            Target::Ratio(least) => Some(self.ratio() >= least),
            Target::Nanoseconds(most) => Some(self.ours.median() <= most),
            Target::TimesAndMore(times, more) => Some(self.ours.median() <= times * self.theirs.median() + more),
            Target::Reported => None,
        }
    }
}
