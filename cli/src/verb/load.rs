//! `load`: takes a dump back.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value as Json, json};
use shmsync::{EncodedEntry, Lifetime};

use crate::{
    archive,
    context::Context,
    failure::{Answer, Failure, Outcome},
    json::from_json,
    steps::{Change, make},
};

const AFTER_HELP: &str = "\
Examples:
  shmsync load backup.json
  shmsync --store a dump --format msgpack | shmsync --store b load -
  echo '{\"a\": 1, \"b\": [2]}' | shmsync load --merge -

Without --merge the whole content (of the namespace, if one is given) is replaced at once, or nothing is changed. With it
other keys stay, and entries are stored in steps of at most 1,000. Entries that belonged to a process are left out.
With --json: {\"loaded\"}.

Exit codes: 0 loaded, 2 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Load {
    /// The dump, JSON or MessagePack; - = standard input
    file: PathBuf,
    /// Keep what the dump does not name
    #[arg(long)]
    merge: bool,
}

impl Load {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let bytes = read(&self.file).map_err(|error| Failure::file("read", &self.file, &error))?;
        let complain =
            |what| format!("cannot load {}: {what}; nothing was changed, correct or replace it", self.file.display());
        let mut entries = parse(&bytes).map_err(complain)?;
        context.check_keys(entries.iter().map(|entry| &*entry.key))?;
        let all = entries.len();
        entries.retain(|entry| entry.lifetime != Lifetime::Process);
        let store = context.open()?;
        if self.merge {
            let changes = entries.iter().map(Change::put).collect::<Result<Vec<_>, _>>()?;
            make(&store, &changes)?;
        } else {
            store.replace_all_encoded("", &entries)?;
        }
        let (loaded, left) = (entries.len(), all - entries.len());
        context.say(|| format!("loaded {loaded} entries, left out {left} that belonged to a process"));
        if context.json() {
            context.out.json(&json!({ "loaded": loaded }))?;
        }
        Ok(Outcome::Yes)
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if path.as_os_str() != "-" {
        return fs::read(path);
    }
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A JSON object begins with a brace, which no dump in MessagePack does.
fn parse(bytes: &[u8]) -> Result<Vec<EncodedEntry>, String> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return archive::read(bytes);
    }
    let object: serde_json::Map<String, Json> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let entry = |(key, value): (String, Json)| {
        let value = from_json(&value).map_err(|error| format!("key {key:?}: {error}"))?;
        Ok(EncodedEntry { key, value: archive::encode(&value), lifetime: Lifetime::Forever })
    };
    object.into_iter().map(entry).collect()
}
