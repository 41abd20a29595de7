//! The verbs: one file each.

mod completions;
mod copy;
mod count;
mod destroy;
mod dump;
mod get;
mod has;
mod info;
mod init;
mod keys;
mod leader;
mod load;
mod lock;
mod man;
mod once;
mod ps;
mod remove;
mod set;
mod verify;
mod watch;

use clap::Subcommand;

use crate::{context::Context, demo, failure::Answer};

/// What to do. Each is defined only when it is asked for: a command is often over sooner than all of them would be.
#[derive(Subcommand)]
#[command(defer = true)]
pub(crate) enum Verb {
    /// Store a value
    Set(set::Set),
    /// Print a value
    Get(get::Get),
    /// Tell by the exit code whether a key is there and not null
    Has(has::Has),
    /// Remove keys
    #[command(visible_alias = "rm")]
    Remove(remove::Remove),
    /// List keys, sorted
    #[command(visible_alias = "ls")]
    Keys(keys::Keys),
    /// Add to an integer and print its new value
    Incr(count::Incr),
    /// Subtract from an integer and print its new value
    Decr(count::Decr),
    /// Print a copy of all entries, as of one moment
    Dump(dump::Dump),
    /// Replace the content of the store by a dump
    Load(load::Load),
    /// Copy all values into another store
    Copy(copy::Copy),
    /// Print changes, one per line, as they happen
    Watch(watch::Watch),
    /// Take turns by name
    Lock(lock::Lock),
    /// Run a program once in a while, whoever calls
    Once(once::Once),
    /// Let one of many lead
    Leader(leader::Leader),
    /// Create the store and a commented configuration file
    Init(init::Init),
    /// Show figures about the store
    Info(info::Info),
    /// List attached processes, what they hold and what they wait for
    Ps(ps::Ps),
    /// Check every byte of the store
    Verify(verify::Verify),
    /// Remove the store with everything in it
    Destroy(destroy::Destroy),
    /// Let worker processes read every file below a folder together, and survive a killed one
    Demo(demo::Demo),
    /// Work for a demo (started by it)
    #[command(hide = true)]
    DemoWorker(demo::DemoWorker),
    /// Print a completion script
    Completions(completions::Completions),
    /// Write manual pages into a folder
    Man(man::Man),
}

impl Verb {
    /// Whether this verb makes the configuration file, so that it need not be there yet.
    pub(crate) fn makes_configuration(&self) -> bool {
        matches!(self, Self::Init(_))
    }

    /// Whether this verb runs a program, and exits as that does.
    pub(crate) fn runs_a_program(&self) -> bool {
        match self {
            Self::Once(_) => true,
            Self::Lock(verb) => verb.runs_a_program(),
            Self::Leader(verb) => verb.runs_a_program(),
            _ => false,
        }
    }

    /// Does it.
    pub(crate) fn run(self, context: &Context) -> Answer {
        match self {
            Self::Set(verb) => verb.run(context),
            Self::Get(verb) => verb.run(context),
            Self::Has(verb) => verb.run(context),
            Self::Remove(verb) => verb.run(context),
            Self::Keys(verb) => verb.run(context),
            Self::Incr(verb) => verb.run(context),
            Self::Decr(verb) => verb.run(context),
            Self::Dump(verb) => verb.run(context),
            Self::Load(verb) => verb.run(context),
            Self::Copy(verb) => verb.run(context),
            Self::Watch(verb) => verb.run(context),
            Self::Lock(verb) => verb.run(context),
            Self::Once(verb) => verb.run(context),
            Self::Leader(verb) => verb.run(context),
            Self::Init(verb) => verb.run(context),
            Self::Info(verb) => verb.run(context),
            Self::Ps(verb) => verb.run(context),
            Self::Verify(verb) => verb.run(context),
            Self::Destroy(verb) => verb.run(context),
            Self::Demo(verb) => verb.run(context),
            Self::DemoWorker(verb) => verb.run(context),
            Self::Completions(verb) => verb.run(context),
            Self::Man(verb) => verb.run(context),
        }
    }
}
