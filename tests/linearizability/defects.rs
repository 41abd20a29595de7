//! Broken builds, and how each is found: a line of defence is left out, and the histories that follow are explained by
//! no order. Which line is said by the environment, to builds with the feature `broken`.
//!
//! Only what x86-64 lets processes do can be found here. A reader that accepts version 0 (`VersionZeroRead`) also looks
//! at the slot once more after the version; there, stores and loads are seen in order, so a version of 0 that is older
//! than an unchanged slot means that the key came back to the very same block, over 16 resting ones, between two loads
//! that stand side by side; and then again, before the version is looked at for the last time. On processors that
//! reorder loads once is enough: `loom_16_a_reader_that_believes_version_0_is_found` shows it.

use super::setting::{LOCKS, LONG_VALUES, OVERTAKEN, SETTINGS, Setting};

/// A defect, and what makes it visible.
pub struct Broken {
    pub defect: &'static str,
    pub setting: &'static Setting,
    /// Seen once in a minute or two of luck: looked for in the long form. Its model finds it each time.
    pub is_rare: bool,
}

static LONG: Setting = LONG_VALUES;
static FROM_BEHIND: Setting = OVERTAKEN;
static TURNS: Setting = LOCKS;

pub static BROKEN: [Broken; 4] = [
    Broken { defect: "MarkSkipped", setting: &SETTINGS[3], is_rare: false },
    Broken { defect: "FreedBeforePublished", setting: &LONG, is_rare: false },
    Broken { defect: "RootNotReread", setting: &FROM_BEHIND, is_rare: true },
    Broken { defect: "RecordNotExpected", setting: &TURNS, is_rare: false },
];
