//! One process computes, the others wait.

use std::cell::RefCell;

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Sync,
    claim::{Claim, claim_key},
    codec,
    scratch::Scratch,
    values::expected,
};
use crate::{
    driver::{Commit, Driver, Lifetime, Op, Patience, Revision, Space},
    error::{Error, ErrorKind, Result},
};

thread_local! {
    /// The claims of computations that run in this thread.
    static RUNNING: RefCell<Vec<(String, Revision)>> = const { RefCell::new(Vec::new()) };
}

/// Says that this thread computes, as long as it does.
struct Running;

impl Running {
    fn begin(claim: Option<&Claim<'_>>) -> Option<Self> {
        let claim = claim?;
        RUNNING.with_borrow_mut(|running| running.push((claim.key.clone(), claim.revision)));
        Some(Self)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = RUNNING.try_with(|running| running.borrow_mut().pop());
    }
}

impl Sync {
    /// The value of `key`; where it is absent, one caller computes and stores it while all others wait for that.
    ///
    /// If the process that computes dies, or its closure panics, the next one computes. The others wait as long as it
    /// takes.
    ///
    /// # Errors
    /// As [`Sync::get`] and [`Sync::set`]; `Deadlock` when `make` asks for the same key itself.
    ///
    /// # Crash safety
    /// Killed while computing, nothing is stored, and one of those who wait takes over.
    ///
    /// # Examples
    /// ```
    /// let store = shmsync::Sync::open("memory:")?;
    /// assert_eq!(store.get_or_insert_with("config", || "computed".to_owned())?, "computed");
    /// assert_eq!(store.get_or_insert_with("config", || "not needed".to_owned())?, "computed");
    /// # Ok::<(), shmsync::Error>(())
    /// ```
    #[doc(alias = "get_with")]
    #[doc(alias = "once")]
    #[doc(alias = "remember")]
    #[doc(alias = "entry")]
    pub fn get_or_insert_with<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        make: impl FnOnce() -> T,
    ) -> Result<T> {
        let mut value = Scratch::<Vec<u8>>::take();
        let (found, seen) = self.find(key, &mut value)?;
        if let Some(found) = found {
            return Ok(found);
        }
        self.writable()?;
        if self.access.gate.is_some() {
            // Nobody else gets in anyway. To wait for somebody who computes would be to wait for oneself: he needs the
            // gate to store what he made.
            return self.make(key, seen, None, make);
        }
        let claim_key = claim_key(self, "make", key)?;
        loop {
            let claim = Claim::try_make(self, &claim_key)?;
            // Whoever had the claim before may have stored the value by now.
            let (found, seen) = self.find(key, &mut value)?;
            if let Some(found) = found {
                return Ok(found);
            }
            match claim {
                Ok(claim) => return self.make(key, seen, Some(&claim), make),
                Err(holder) => self.wait_for_maker(key, &claim_key, holder.current, seen)?,
            }
        }
    }

    fn find<T: DeserializeOwned>(&self, key: &str, value: &mut Vec<u8>) -> Result<(Option<T>, Option<Revision>)> {
        let seen = self.read_encoded(key, value)?;
        let found = if seen.is_some() { codec::decode_or_null(key, value)? } else { None };
        Ok((found, seen))
    }

    fn make<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        mut seen: Option<Revision>,
        claim: Option<&Claim<'_>>,
        make: impl FnOnce() -> T,
    ) -> Result<T> {
        let running = Running::begin(claim);
        let made = make();
        drop(running);
        let (mut encoded, mut current) = (Scratch::<Vec<u8>>::take(), Scratch::<Vec<u8>>::take());
        codec::encode(key, &made, &mut encoded)?;
        let put = Op::Put { value: &encoded, lifetime: Lifetime::Forever };
        loop {
            // The value and the end of the claim are one change: nobody can come in between and compute again.
            let committed = self.with_key(key, |key| {
                let expect = vec![(Space::Values, key, expected(seen))];
                let end = claim.map(|claim| (Space::Coordination, &*claim.key, Op::Delete));
                let ops = std::iter::once((Space::Values, key, put)).chain(end).collect();
                self.driver.commit(&self.access, &Commit { expect, ops })
            })?;
            if committed.is_ok() {
                return Ok(made);
            }
            // Somebody set it without asking: theirs counts.
            let (found, now) = self.find(key, &mut current)?;
            if let Some(found) = found {
                return Ok(found);
            }
            seen = now;
        }
    }

    fn wait_for_maker(
        &self,
        key: &str,
        claim_key: &str,
        claim: Option<Revision>,
        seen: Option<Revision>,
    ) -> Result<()> {
        let is_mine = |(key, revision): &(String, Revision)| key == claim_key && Some(*revision) == claim;
        if RUNNING.with_borrow(|running| running.iter().any(is_mine)) {
            let message =
                format!("the value of {key:?} is being computed by this very thread: do not ask for it there");
            return Err(Error::new(ErrorKind::Deadlock, message));
        }
        self.with_key(key, |key| {
            let keys = [(Space::Coordination, claim_key, claim), (Space::Values, key, seen)];
            self.driver.wait(&keys, Patience::FOREVER).map(|_| ())
        })
    }
}
