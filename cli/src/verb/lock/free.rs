//! `lock free`: gives a lock back.

use clap::Args;
use serde_json::json;
use shmsync::{Lock, Token};

use crate::{
    context::Context,
    failure::{Answer, Failure, Outcome},
    owner::who_gives,
};

const AFTER_HELP: &str = "\
Examples:
  shmsync lock free deploy
  shmsync lock free pause --owner panel
  shmsync lock free deploy --token \"$token\"              as 'lock set --print-token' printed it
  shmsync lock free deploy --force                       whoever holds it

It frees what the calling process, this owner or the holder of this token took, and what an owner has left that has ended.
Anything else stays as it is; inside of ( … ) and $( … ; … ) a shell is another process than outside, so name an --owner there.
With --json: {\"name\", \"freed\"}.

Exit codes: 0 freed, or there was nothing to free (with --strict: 1), 2 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Free {
    /// The lock
    name: String,
    /// Tell by exit code 1 that nothing was freed
    #[arg(long)]
    strict: bool,
    /// Free it whoever holds it, all holders of it
    #[arg(long, conflicts_with_all = ["token", "owner"])]
    force: bool,
    /// Free what was taken with this token
    #[arg(long, value_name = "T", conflicts_with = "owner")]
    token: Option<Token>,
    /// Free what is owned by this label instead of the calling process
    #[arg(long, value_name = "LABEL")]
    owner: Option<String>,
}

impl Free {
    pub(crate) fn run(self, context: &Context) -> Answer {
        context.check(|store| store.lock(&self.name))?;
        let owners = who_gives(self.owner.as_deref(), context)?;
        let freed = match context.open_existing()? {
            None => false,
            Some(store) => {
                let lock = store.lock(&self.name)?;
                let freed = match self.token {
                    _ if self.force => lock.force_release()?,
                    Some(token) => lock.release_with(token)?,
                    None => lock.release_owned(&owners)?,
                };
                self.say(context, &lock, freed)?;
                freed
            }
        };
        if context.json() {
            context.out.json(&json!({ "name": self.name, "freed": freed }))?;
        }
        Ok(Outcome::of(freed || !self.strict))
    }

    fn say(&self, context: &Context, lock: &Lock, freed: bool) -> Result<(), Failure> {
        let state = lock.state()?;
        context.say(|| match freed {
            true => format!("freed lock {:?}, which is {state} now", self.name),
            false => format!("nothing of yours to free: lock {:?} is {state}", self.name),
        });
        Ok(())
    }
}
