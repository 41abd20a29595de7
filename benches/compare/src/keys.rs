//! Which keys are used, in which order.

use std::{ops::Range, rc::Rc};

/// The length of every key.
const WIDTH: usize = 12;

/// A key, and which one it is: for peers that know no strings.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a> {
    pub(crate) text: &'a str,
    pub(crate) number: usize,
}

/// All keys of a work, shuffled once. They lie side by side, so that fetching the next one costs next to nothing: what is
/// measured is the look-up.
pub(crate) struct Keys {
    text: String,
    numbers: Vec<u32>,
}

impl Keys {
    pub(crate) fn shuffled(range: Range<u32>, seed: u64) -> Rc<Self> {
        let mut numbers: Vec<u32> = range.collect();
        let mut dice = Dice(seed);
        for last in (1..numbers.len()).rev() {
            numbers.swap(last, dice.below(last + 1));
        }
        let text = numbers.iter().map(|&number| name(number as usize)).collect();
        Rc::new(Self { text, numbers })
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    #[inline]
    pub(crate) fn at(&self, place: usize) -> Key<'_> {
        Key { text: &self.text[place * WIDTH..(place + 1) * WIDTH], number: self.numbers[place] as usize }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Key<'_>> {
        (0..self.len()).map(|place| self.at(place))
    }
}

/// The key of that number.
pub(crate) fn name(number: usize) -> String {
    format!("key/{number:08}")
}

/// Goes through the keys again and again, from where it stopped.
#[derive(Clone)]
pub(crate) struct Walk {
    keys: Rc<Keys>,
    place: usize,
}

impl Walk {
    pub(crate) fn new(keys: &Rc<Keys>) -> Self {
        Self { keys: keys.clone(), place: 0 }
    }

    #[inline]
    pub(crate) fn step(&mut self) -> Key<'_> {
        let place = self.place;
        self.place = if place + 1 == self.keys.len() { 0 } else { place + 1 };
        self.keys.at(place)
    }

    pub(crate) fn skip(&mut self, steps: usize) {
        self.place = (self.place + steps) % self.keys.len();
    }
}

/// SplitMix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_meets_each_key_once_and_begins_again() {
        let keys = Keys::shuffled(0..1_000, 7);
        let mut walk = Walk::new(&keys);
        let mut round = || (0..1_000).map(|_| walk.step().number).collect::<Vec<_>>();
        let (first, second) = (round(), round());
        assert_eq!(first, second);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_ne!(first, sorted);
        assert_eq!(sorted, (0..1_000).collect::<Vec<_>>());
        assert!(keys.iter().all(|key| key.text == name(key.number)));
    }
}
