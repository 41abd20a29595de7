//! What a store's name says about where it is.

use std::{ffi::OsStr, path::PathBuf};

use super::{Options, locate};
use crate::{
    driver::{AnyDriver, Driver, Memory},
    error::{Error, ErrorKind, Result},
};

/// Where a store is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// In this process; without a name it belongs to one handle.
    Memory(Option<String>),
    /// A region in the user's own directory.
    Bare(String),
    /// A region at this path.
    Path(PathBuf),
    /// On a cluster, as given.
    Etcd(String),
}

fn invalid(name: &OsStr, reason: &str) -> Error {
    let message = format!("{name:?} is no name of a store: {reason}");
    Error::new(ErrorKind::Invalid, message)
}

/// Names of stores and nouns: 1 to 255 bytes without control characters.
pub(crate) fn is_plain(name: &str) -> bool {
    (1..=255).contains(&name.len()) && !name.chars().any(char::is_control)
}

impl Name {
    pub(crate) fn parse(name: &OsStr) -> Result<Self> {
        let Some(text) = name.to_str() else {
            // What is no text cannot be one of our own words, but it can be a path.
            return match name.as_encoded_bytes() {
                bytes if bytes.contains(&0) => Err(invalid(name, "it contains a zero byte")),
                bytes if bytes.contains(&b'/') => Ok(Self::Path(name.into())),
                _ => Err(invalid(name, "it is not UTF-8; write ./ in front if it is a file")),
            };
        };
        if let Some(inner) = text.strip_prefix("memory:") {
            return match inner {
                "" => Ok(Self::Memory(None)),
                inner if is_plain(inner) => Ok(Self::Memory(Some(inner.to_owned()))),
                _ => Err(invalid(name, "after memory: come at most 255 bytes without control characters")),
            };
        }
        if text.starts_with("etcd://") || text.starts_with("etcds://") {
            return Ok(Self::Etcd(text.to_owned()));
        }
        if text.contains("://") {
            return Err(invalid(name, "known are NAME, PATH, memory:NAME and etcd://HOST/PREFIX"));
        }
        if text.contains('\0') {
            return Err(invalid(name, "it contains a zero byte"));
        }
        if text.contains('/') {
            return Ok(Self::Path(name.into()));
        }
        if !is_plain(text) || text == "." || text == ".." {
            return Err(invalid(name, "it needs 1 to 255 bytes without control characters, and not only dots"));
        }
        Ok(Self::Bare(text.to_owned()))
    }

    /// Opens what is there.
    pub(crate) fn open(&self, options: &Options) -> Result<AnyDriver> {
        match self {
            Self::Memory(name) => {
                let create = options.creates() || name.is_none();
                Memory::open(name.as_deref(), create, options.get_label()).map(AnyDriver::Memory)
            }
            Self::Bare(name) => locate::open_bare(name, options),
            Self::Path(path) => locate::open_path(path, options),
            Self::Etcd(name) => etcd::open(name, options),
        }
    }

    /// Removes what is there.
    pub(crate) fn destroy(&self, options: &Options) -> Result<()> {
        match self {
            Self::Memory(None) => {
                Err(Error::new(ErrorKind::NoStore, "\"memory:\" without a name is always a new store"))
            }
            Self::Memory(name) => Memory::open(name.as_deref(), false, options.get_label())?.destroy(),
            Self::Bare(name) => locate::destroy_bare(name, options),
            Self::Path(path) => locate::destroy_path(path, options),
            Self::Etcd(name) => etcd::destroy(name),
        }
    }
}

#[cfg(feature = "etcd")]
mod etcd {
    use crate::{
        Options,
        driver::{Address, AnyDriver, Etcd},
        error::Result,
    };

    pub(super) fn open(name: &str, options: &Options) -> Result<AnyDriver> {
        Etcd::open(Address::parse(name)?, options.creates(), options.get_label())
            .map(|etcd| AnyDriver::Etcd(std::sync::Arc::new(etcd)))
    }

    pub(super) fn destroy(name: &str) -> Result<()> {
        Etcd::remove(Address::parse(name)?)
    }
}

#[cfg(not(feature = "etcd"))]
mod etcd {
    use crate::{
        Options,
        driver::AnyDriver,
        error::{Error, ErrorKind, Result},
    };

    fn missing<T>() -> Result<T> {
        let message = "etcd://: this build has no etcd driver: build with the feature `etcd`, or use a local store";
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    pub(super) fn open(_: &str, _: &Options) -> Result<AnyDriver> {
        missing()
    }

    pub(super) fn destroy(_: &str) -> Result<()> {
        missing()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Result<Name> {
        Name::parse(OsStr::new(name))
    }

    #[test]
    fn a_slash_makes_a_path_and_nothing_else_does() {
        assert_eq!(parse("progress").unwrap(), Name::Bare("progress".into()));
        assert_eq!(parse("data.shm").unwrap(), Name::Bare("data.shm".into()));
        assert_eq!(parse("重庆").unwrap(), Name::Bare("重庆".into()));
        assert_eq!(parse("./data.shm").unwrap(), Name::Path("./data.shm".into()));
        assert_eq!(parse("/var/run/x").unwrap(), Name::Path("/var/run/x".into()));
    }

    #[test]
    fn memory_and_clusters_are_told_by_their_prefix() {
        assert_eq!(parse("memory:").unwrap(), Name::Memory(None));
        assert_eq!(parse("memory:a/b").unwrap(), Name::Memory(Some("a/b".into())));
        assert_eq!(parse("etcd://localhost:2379/x").unwrap(), Name::Etcd("etcd://localhost:2379/x".into()));
        assert!(matches!(parse("etcds://h/x").unwrap(), Name::Etcd(_)));
    }

    #[cfg(not(feature = "etcd"))]
    #[test]
    fn without_the_driver_for_clusters_its_feature_is_named() {
        let error = parse("etcd://localhost:2379/x").unwrap().open(&Options::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("feature `etcd`"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", ".", "..", "a\nb", "a\0b", "/a\0b", "http://x/y", "memory:\t", &"x".repeat(256)] {
            assert_eq!(parse(name).unwrap_err().kind(), ErrorKind::Invalid, "{name:?}");
        }
    }
}
