//! `dump`: a copy of everything, or of a part.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use serde_json::Value as Json;
use shmsync::EncodedEntry;

use crate::{
    archive,
    context::Context,
    failure::{Answer, Failure, Outcome},
    json::to_json,
};

const AFTER_HELP: &str = "\
Examples:
  shmsync dump > backup.json
  shmsync dump job/ | jq length
  shmsync dump --format msgpack --output backup.msgpack      loses nothing, lifetimes included

It is a copy of one moment. JSON: one object, an entry per line; bytes are {\"$bytes\": \"base64\"}, NaN {\"$f64\": \"nan\"};
lifetimes are left out. --output writes a new file, brings it to the disk, and only then renames it to FILE.

Exit codes: 0 dumped (an empty store too), 2 error.";

#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Dump {
    /// Only keys that begin so
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// Write it into this file instead
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Msgpack,
}

impl Dump {
    pub(crate) fn run(self, context: &Context) -> Answer {
        let entries = context.open_to_read()?.read_all_encoded(&self.prefix)?;
        let bytes = match self.format {
            Format::Json => json(&entries)?.into_bytes(),
            Format::Msgpack => archive::write(&entries),
        };
        match &self.output {
            Some(path) => save(path, &bytes).map_err(|error| Failure::file("write", path, &error))?,
            None => context.out.raw(&bytes)?,
        }
        context.say(|| format!("dumped {} entries of store {:?}", entries.len(), context.store_name()));
        Ok(Outcome::Yes)
    }
}

fn json(entries: &[EncodedEntry]) -> Result<String, Failure> {
    let mut text = String::from("{");
    for (number, entry) in entries.iter().enumerate() {
        let value = archive::decode(&entry.key, &entry.value)?;
        text += if number == 0 { "\n  " } else { ",\n  " };
        text += &Json::from(entry.key.as_str()).to_string();
        text += ": ";
        text += &to_json(&value).to_string();
    }
    text += if entries.is_empty() { "}\n" } else { "\n}\n" };
    Ok(text)
}

/// A new file, on the disk, then in its place: at no moment is there half a dump under that name.
fn save(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut fresh = name.to_owned();
    fresh.push(format!(".{}.new", std::process::id()));
    let fresh = path.with_file_name(fresh);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = write_new(&fresh, bytes).and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written?;
    File::open(folder)?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
