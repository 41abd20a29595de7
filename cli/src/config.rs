//! Settings: flag over environment over the user's file over the system's file over what is built in.

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{duration, failure::Failure};

/// The system's configuration file.
pub(crate) const SYSTEM_FILE: &str = "/etc/shmsync.toml";

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Time,
    Switch,
}

/// Every key: name, kind, an example of a value, what it is for.
const KEYS: [(&str, Kind, &str, &str); 8] = [
    ("store", Kind::Text, "\"default\"", "the store to use: a name, a path, or a URL"),
    ("namespace", Kind::Text, "\"\"", "put before every key, with a slash between"),
    (
        "timeout",
        Kind::Time,
        "\"10s\"",
        "how long to wait: for locks, in `watch`, for a store that somebody uses exclusively",
    ),
    ("ttl", Kind::Time, "\"1h\"", "how long entries of `set` and locks of `lock set` stay"),
    ("owner", Kind::Text, "\"\"", "who holds what is locked, instead of the calling process"),
    ("label", Kind::Text, "\"\"", "what `ps` and `lock status` show beside this process"),
    ("verbose", Kind::Switch, "false", "say on standard error what is done"),
    ("json", Kind::Switch, "false", "answer in JSON"),
];

/// Settings from one place; what is not said there is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layer {
    /// The store to use.
    pub(crate) store: Option<String>,
    /// A prefix of every key.
    pub(crate) namespace: Option<String>,
    /// How long to wait.
    pub(crate) timeout: Option<Duration>,
    /// How long entries stay.
    pub(crate) ttl: Option<Duration>,
    /// Who holds locks.
    pub(crate) owner: Option<String>,
    /// What `ps` shows.
    pub(crate) label: Option<String>,
    /// Say what is done.
    pub(crate) verbose: Option<bool>,
    /// Answer in JSON.
    pub(crate) json: Option<bool>,
}

impl Layer {
    /// These settings, and those of `below` where these say nothing.
    pub(crate) fn over(self, below: Self) -> Self {
        Self {
            store: self.store.or(below.store),
            namespace: self.namespace.or(below.namespace),
            timeout: self.timeout.or(below.timeout),
            ttl: self.ttl.or(below.ttl),
            owner: self.owner.or(below.owner),
            label: self.label.or(below.label),
            verbose: self.verbose.or(below.verbose),
            json: self.json.or(below.json),
        }
    }

    fn set(&mut self, key: &str, text: &str) -> Result<(), String> {
        match key {
            "store" => self.store = Some(text.into()),
            "namespace" => self.namespace = Some(text.into()),
            "timeout" => self.timeout = Some(duration::parse(text)?),
            "ttl" => self.ttl = Some(duration::parse_lasting(text)?),
            "owner" => self.owner = Some(text.into()),
            "label" => self.label = Some(text.into()),
            "verbose" => self.verbose = Some(switch(text)?),
            "json" => self.json = Some(switch(text)?),
            _ => return Err("no such key".into()),
        }
        Ok(())
    }

    /// What the environment says: `SHMSYNC_STORE` and so on. An empty variable says nothing.
    fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        let mut layer = Self::default();
        for (key, ..) in KEYS {
            let name = format!("SHMSYNC_{}", key.to_uppercase());
            if let Some(text) = variable(&name).filter(|text| !text.is_empty()) {
                let text =
                    text.to_str().ok_or_else(|| format!("environment variable {name} is not UTF-8; correct it"))?;
                layer.set(key, text).map_err(|error| format!("environment variable {name}: {error}"))?;
            }
        }
        Ok(layer)
    }

    /// What a configuration file says; `from` names it in errors.
    fn from_toml(text: &str, from: &Path) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            let message = error.message().lines().next().unwrap_or("not TOML").to_owned();
            format!("configuration file {}, line {line}: {message}; correct that line", from.display())
        })?;
        let mut layer = Self::default();
        for (key, value) in &table {
            let complain = |what: String| format!("configuration file {}: {what}", from.display());
            let Some((_, kind, example, _)) = KEYS.iter().find(|(name, ..)| name == key) else {
                let known = KEYS.map(|(name, ..)| name).join(", ");
                return Err(complain(format!("unknown key {key:?}; remove it, or use one of {known}")));
            };
            let text = match (kind, value) {
                (Kind::Text | Kind::Time, toml::Value::String(text)) => text.clone(),
                (Kind::Time, toml::Value::Integer(number)) => number.to_string(),
                (Kind::Time, toml::Value::Float(number)) => number.to_string(),
                (Kind::Switch, toml::Value::Boolean(truth)) => truth.to_string(),
                _ => {
                    let found = value.type_str();
                    return Err(complain(format!(
                        "key {key:?} cannot be a TOML {found}; write it as {key} = {example}"
                    )));
                }
            };
            layer.set(key, &text).map_err(|error| complain(format!("key {key:?}: {error}")))?;
        }
        Ok(layer)
    }

    fn from_file(path: &Path, required: bool) -> Result<Self, Failure> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self::from_toml(&text, path)?),
            Err(error) if !required && is_none(&error) => Ok(Self::default()),
            Err(error) => Err(Failure::file("read the configuration file", path, &error)),
        }
    }

    /// Everything below the flags: environment, the user's file, the system's file. `making` a configuration, a file
    /// that `SHMSYNC_CONFIG` names need not be there yet.
    pub(crate) fn load(making: bool) -> Result<Self, Failure> {
        let environment = Self::from_environment(|name| env::var_os(name))?;
        let user = match user_file() {
            Some((path, named)) => Self::from_file(&path, named && !making)?,
            None => Self::default(),
        };
        let system = Self::from_file(Path::new(SYSTEM_FILE), false)?;
        Ok(environment.over(user).over(system))
    }
}

/// There is no such file for us: also where HOME is still another user's, as after sudo.
fn is_none(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied)
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false; write one of them")),
    }
}

/// The user's configuration file, and whether `SHMSYNC_CONFIG` names it.
pub(crate) fn user_file() -> Option<(PathBuf, bool)> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = set("SHMSYNC_CONFIG") {
        return Some((path, true));
    }
    let base = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let base = base.or_else(|| Some(set("HOME")?.join(".config")))?;
    Some((base.join("shmsync/config.toml"), false))
}

/// A configuration file in which everything is explained and nothing is set.
pub(crate) fn template() -> String {
    let mut text = String::from(
        "# Configuration of the shmsync command. Flags and the environment (SHMSYNC_STORE and so on) come first,\n\
         # then this file, then /etc/shmsync.toml. Remove the # before a line to set it.\n",
    );
    for (key, _, example, purpose) in KEYS {
        text += &format!("\n# {purpose}\n#{key} = {example}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toml(text: &str) -> Result<Layer, String> {
        Layer::from_toml(text, Path::new("/x/config.toml"))
    }

    // row C6
    #[test]
    fn the_upper_layer_wins_and_a_partial_one_keeps_the_rest() {
        let upper = toml("store = \"a\"").expect("valid");
        let lower = toml("store = \"b\"\ntimeout = 2\njson = true").expect("valid");
        let both = upper.over(lower);
        assert_eq!(both.store.as_deref(), Some("a"));
        assert_eq!(both.timeout, Some(Duration::from_secs(2)));
        assert_eq!(both.json, Some(true));
        assert_eq!(both.label, None);
    }

    #[test]
    fn the_environment_has_a_variable_for_each_key() {
        let layer = Layer::from_environment(|name| match name {
            "SHMSYNC_STORE" => Some("s".into()),
            "SHMSYNC_TTL" => Some("1m".into()),
            "SHMSYNC_VERBOSE" => Some("yes".into()),
            "SHMSYNC_LABEL" => Some(OsString::new()),
            _ => None,
        });
        let expected = Layer {
            store: Some("s".into()),
            ttl: Some(Duration::from_secs(60)),
            verbose: Some(true),
            ..Layer::default()
        };
        assert_eq!(layer, Ok(expected));
        let error = Layer::from_environment(|_| Some("maybe".into())).expect_err("no duration");
        assert!(error.contains("SHMSYNC_TIMEOUT"), "{error}");
    }

    #[test]
    fn a_wrong_file_is_named_with_the_key_and_a_next_step() {
        let cases = [
            ("stroe = 1", "unknown key \"stroe\"; remove it"),
            ("store = 1", "key \"store\" cannot be a TOML integer; write it as store = \"default\""),
            ("timeout = \"soon\"", "key \"timeout\": \"soon\" is not a duration"),
            ("ttl = 0", "longer than 0"),
            ("json = \"x\"", "write it as json = false"),
            ("\n\nstore = ", "line 3"),
        ];
        for (text, part) in cases {
            let error = toml(text).expect_err(text);
            assert!(error.contains(part) && error.contains("/x/config.toml") && !error.contains('\n'), "{error}");
        }
    }

    // row C5
    #[test]
    fn the_template_sets_nothing_and_each_of_its_examples_is_valid() {
        assert_eq!(toml(&template()), Ok(Layer::default()));
        let active: String =
            template().lines().filter(|line| !line.starts_with("# ")).map(|l| l.replace('#', "") + "\n").collect();
        let layer = toml(&active).expect("valid examples");
        assert_eq!(layer.store.as_deref(), Some("default"));
    }
}
