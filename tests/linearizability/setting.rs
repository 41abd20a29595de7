//! What is recorded, and how roughly the processes are treated.

use super::model::Model;

/// What happens to the processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// At random they are stopped for a while, or killed and replaced.
    Rough,
    /// All are stopped, wherever they are, and go on one after the other, for a moment: so each is overtaken by the
    /// others in the middle of something.
    Overtaken,
}

/// What is recorded.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub name: &'static str,
    pub model: Model,
    pub workers: usize,
    pub keys: usize,
    pub capacity: u64,
    /// The longest value, in words.
    pub longest: u64,
    /// Whether all values are as long as the longest.
    pub even: bool,
    pub weather: Weather,
    /// The fewest operations of a recording.
    pub least: usize,
    /// Nobody rests.
    pub hot: bool,
}

const ROUGH: Setting = Setting {
    name: "",
    model: Model::Register,
    workers: 6,
    keys: 4,
    capacity: 1 << 20,
    longest: 40,
    even: false,
    weather: Weather::Rough,
    least: 10_000,
    hot: false,
};

/// What every store must stand.
pub static SETTINGS: [Setting; 8] = [
    Setting { name: "register", ..ROUGH },
    Setting { name: "integer", model: Model::Integer, keys: 3, ..ROUGH },
    Setting { name: "versioned", model: Model::Versioned, keys: 3, ..ROUGH },
    Setting { name: "accounts", model: Model::Accounts, capacity: 16 << 20, ..ROUGH },
    Setting { name: "watched", model: Model::Watched, keys: 2, ..ROUGH },
    OVERTAKEN,
    LOCKS,
    LEADERS,
];

/// Readers that are overtaken while the index is replaced all the time.
pub const OVERTAKEN: Setting = Setting {
    name: "overtaken",
    keys: 1,
    longest: 16,
    even: true,
    workers: 4,
    weather: Weather::Overtaken,
    least: 0,
    hot: true,
    ..ROUGH
};
/// One shard, long values, many deaths in the middle of them.
pub const LONG_VALUES: Setting = Setting { name: "long values", keys: 3, longest: 400, even: true, ..ROUGH };
/// Locks that are waited for, forced, given back twice, left by the dead. Who waits does little else.
pub const LOCKS: Setting = Setting { name: "locks", model: Model::Lock, keys: 3, least: 1_000, ..ROUGH };
/// The same of groups, of which each leader has a thread.
pub const LEADERS: Setting = Setting { name: "leaders", model: Model::Leader, ..LOCKS };
