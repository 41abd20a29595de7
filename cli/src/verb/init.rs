//! `init`: makes store and configuration file.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::Path,
};

use clap::Args;
use serde_json::json;

use crate::{
    config,
    context::Context,
    failure::{Answer, Failure, Outcome},
};

const AFTER_HELP: &str = "\
Examples:
  shmsync init
  shmsync --store ./jobs.shm --mode 0660 init
  SHMSYNC_CONFIG=/etc/myapp/shmsync.toml shmsync init

The file is that of SHMSYNC_CONFIG, else $XDG_CONFIG_HOME/shmsync/config.toml (~/.config/…). It explains every key and
sets none. What is there already is kept. Safe to repeat. With --json: {\"store\", \"config\", \"config_created\"}.

Settings come from: flags, environment (SHMSYNC_STORE, SHMSYNC_NAMESPACE, SHMSYNC_TIMEOUT, SHMSYNC_TTL, SHMSYNC_OWNER,
SHMSYNC_LABEL, SHMSYNC_VERBOSE, SHMSYNC_JSON), this file, /etc/shmsync.toml, what is built in; in this order.

Exit codes: 0 it is all there now, 2 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Init {}

impl Init {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let store = context.open()?;
        context.say(|| format!("store {:?} is ready", context.store_name()));
        let path = config::user_file().map(|(path, _)| path);
        let created = path.as_deref().map(create).transpose()?;
        context.say(|| match (&path, created) {
            (Some(path), Some(true)) => format!("wrote configuration file {}", path.display()),
            (Some(path), _) => format!("kept configuration file {}", path.display()),
            (None, _) => "no configuration file: HOME is not set; set it, or SHMSYNC_CONFIG".into(),
        });
        if context.json() {
            let config = path.map(|path| path.to_string_lossy().into_owned());
            let store = store.stats()?.path;
            context
                .out
                .json(&json!({ "store": store, "config": config, "config_created": created.unwrap_or(false) }))?;
        }
        Ok(Outcome::Yes)
    }
}

/// Writes the configuration file unless it is there; tells whether it did.
fn create(path: &Path) -> Result<bool, Failure> {
    let fail = |error| Failure::file("write the configuration file", path, &error);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(fail)?;
    }
    match File::create_new(path) {
        Ok(mut file) => file.write_all(config::template().as_bytes()).map_err(fail).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(fail(error)),
    }
}
