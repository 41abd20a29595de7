//! The verbs: one file each.

mod completions;
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

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Verb {
    Set(set::Set),
    Get(get::Get),
    Has(has::Has),
    Remove(remove::Remove),
    Keys(keys::Keys),
    Incr(count::Incr),
    Decr(count::Decr),
    Dump(dump::Dump),
    Load(load::Load),
    Watch(watch::Watch),
    Lock(lock::Lock),
    Once(once::Once),
    Leader(leader::Leader),
    Init(init::Init),
    Info(info::Info),
    Ps(ps::Ps),
    Verify(verify::Verify),
    Destroy(destroy::Destroy),
    Demo(demo::Demo),
    #[command(hide = true)]
    DemoWorker(demo::DemoWorker),
    Completions(completions::Completions),
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
