//! Whole stores as they are: raw MessagePack with lifetimes, for copies that lose nothing.

use std::time::Instant;

use super::{Sync, codec, values::check_lifetime};
use crate::{
    driver::{Driver, Lifetime, Remaining, Space},
    error::Result,
};

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedEntry {
    /// Its key.
    pub key: String,
    /// Its value as MessagePack.
    pub value: Vec<u8>,
    /// How long it stays from now on; `Process` where it ends with the process that wrote it.
    pub lifetime: Lifetime,
}

impl Sync {
    /// As [`Sync::read_all`], but nothing is decoded, and lifetimes are told.
    ///
    /// # Errors
    /// As [`Sync::read_all`].
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// store.set("five", &5)?;
    /// let copy = shmsync::Sync::open("memory:")?;
    /// copy.replace_all_encoded("", &store.read_all_encoded("")?)?;
    /// assert_eq!(copy.get("five")?, Some(5));
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "dump")]
    #[doc(alias = "export")]
    pub fn read_all_encoded(&self, prefix: &str) -> Result<Vec<EncodedEntry>> {
        let prefix = self.whole_prefix(prefix)?;
        let entries = self.driver.snapshot(&self.access, Space::Values, &prefix)?;
        let now = Instant::now();
        let entries = entries.into_iter().filter_map(|entry| {
            let lifetime = match entry.head.remaining {
                Remaining::Forever => Lifetime::Forever,
                // What ends at this very moment has ended.
                Remaining::Until(end) => Lifetime::Ttl(end.checked_duration_since(now).filter(|left| !left.is_zero())?),
                Remaining::Owner(_) => Lifetime::Process,
            };
            Some(EncodedEntry { key: self.own_key(&entry.key).to_owned(), value: entry.value, lifetime })
        });
        Ok(entries.collect())
    }

    /// As [`Sync::replace_all`], of what is MessagePack already, each for its lifetime. Entries with
    /// [`Lifetime::Process`] belong to this process from then on.
    ///
    /// # Errors
    /// As [`Sync::replace_all`]; `Invalid` where a value is not exactly one MessagePack value, and for a TTL of zero.
    ///
    /// # Crash safety
    /// As [`Sync::replace_all`].
    #[doc(alias = "load")]
    #[doc(alias = "import")]
    pub fn replace_all_encoded(&self, prefix: &str, entries: &[EncodedEntry]) -> Result<()> {
        self.writable()?;
        let whole_prefix = self.whole_prefix(prefix)?;
        let checked = entries.iter().map(|EncodedEntry { key, value, lifetime }| {
            super::keys::require_prefix(key, prefix)?;
            check_lifetime(key, *lifetime)?;
            codec::check_encoded(key, value)?;
            Ok((self.whole_key(key)?, value.clone(), *lifetime))
        });
        let checked = checked.collect::<Result<Vec<_>>>()?;
        self.driver.replace(&self.access, Space::Values, &whole_prefix, &checked)
    }
}
