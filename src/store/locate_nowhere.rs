//! Where regions are on platforms that have none.

use std::path::Path;

use super::Options;
use crate::{
    driver::AnyDriver,
    error::{Error, ErrorKind, Result},
};

pub(super) fn open_bare(name: &str, options: &Options) -> Result<AnyDriver> {
    open_path(Path::new(name), options)
}

pub(super) fn open_path(path: &Path, _options: &Options) -> Result<AnyDriver> {
    Err(unsupported(path))
}

pub(super) fn destroy_bare(name: &str, options: &Options) -> Result<()> {
    destroy_path(Path::new(name), options)
}

pub(super) fn destroy_path(path: &Path, _options: &Options) -> Result<()> {
    Err(unsupported(path))
}

fn unsupported(path: &Path) -> Error {
    let message = format!("{}: shared memory needs 64-bit Linux: use \"memory:NAME\" here", path.display());
    Error::new(ErrorKind::Unsupported, message)
}

#[cfg(test)]
mod tests {
    use crate::{ErrorKind, Sync};

    #[test]
    fn names_of_regions_are_unsupported_and_memory_works() {
        for name in ["progress", "./progress"] {
            let error = Sync::open(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains("memory:NAME"), "{error}");
        }
        let store = Sync::open("memory:").unwrap();
        store.set("answer", &42).unwrap();
        assert_eq!(store.get("answer").unwrap(), Some(42));
    }
}
