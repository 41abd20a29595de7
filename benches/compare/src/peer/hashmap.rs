//! A map of the standard library in this process, which no other process sees.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use super::Peer;
use crate::{failure::Outcome, keys::Key};

#[derive(Default)]
pub(crate) struct HashMapped {
    pub(crate) map: RwLock<HashMap<String, Vec<u8>>>,
    numbers: RwLock<HashMap<String, i64>>,
}

impl Peer for HashMapped {
    const NAME: &'static str = "hashmap";

    #[inline]
    fn get(&mut self, key: Key<'_>, into: &mut Vec<u8>) -> Outcome<()> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        into.clear();
        into.extend_from_slice(map.get(key.text).ok_or("a key is missing")?);
        Ok(())
    }

    #[inline]
    fn set(&mut self, key: Key<'_>, value: &[u8]) -> Outcome<()> {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        match map.get_mut(key.text) {
            Some(old) => {
                old.clear();
                old.extend_from_slice(value);
            }
            None => drop(map.insert(key.text.to_owned(), value.to_vec())),
        }
        Ok(())
    }

    #[inline]
    fn add(&mut self, by: i64) -> Outcome<i64> {
        let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
        Ok(add_to(&mut numbers, "count", by))
    }

    #[inline]
    fn shift(&mut self, from: Key<'_>, to: Key<'_>) -> Outcome<()> {
        let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
        add_to(&mut numbers, from.text, -1);
        add_to(&mut numbers, to.text, 1);
        Ok(())
    }

    fn number(&mut self, key: Key<'_>) -> Outcome<i64> {
        let numbers = self.numbers.read().unwrap_or_else(PoisonError::into_inner);
        Ok(numbers.get(key.text).copied().unwrap_or(0))
    }
}

#[inline]
fn add_to(numbers: &mut HashMap<String, i64>, key: &str, by: i64) -> i64 {
    match numbers.get_mut(key) {
        Some(number) => {
            *number += by;
            *number
        }
        None => {
            numbers.insert(key.to_owned(), by);
            by
        }
    }
}
