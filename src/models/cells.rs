//! The double of a mapped file: its words one by one, as atomics of the model checker.
//!
//! Every word that a model ever touches must be made before its threads start, so that all of them know it. Which words
//! those are is found out by trying: a word that is missing ends the model, and it begins anew with that word.
#![allow(unsafe_code)]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io,
    panic::resume_unwind,
    sync::{Arc, Mutex, PoisonError},
};

use super::atomics::{AtomicU32, AtomicU64};
use std::sync::atomic::Ordering::Relaxed;

/// What a word of a region holds: no two sizes of access to the same bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content {
    Word(u64),
    Half(u32),
}

impl Content {
    /// 0, of the same size.
    pub(super) fn emptied(self) -> Self {
        match self {
            Self::Word(_) => Self::Word(0),
            Self::Half(_) => Self::Half(0),
        }
    }
}

/// The words of a region that are not 0.
pub(super) type Image = BTreeMap<u64, Content>;

/// A word that a model touched for the first time: its offset and size.
pub(super) struct Missing(pub(super) u64, pub(super) Content);

enum Cell {
    Word(Box<AtomicU64>),
    Half(Box<AtomicU32>),
}

/// The words that all processes of a model share.
pub(super) struct Region {
    cells: Mutex<HashMap<u64, Cell>>,
    scheduled: bool,
}

impl Region {
    /// Words with these contents. Scheduled ones are made once; plain ones appear when they are touched.
    pub(super) fn new(image: &Image, scheduled: bool) -> Arc<Self> {
        let make = |(at, content): (&u64, &Content)| (*at, Cell::new(*content, scheduled));
        Arc::new(Self { cells: Mutex::new(image.iter().map(make).collect()), scheduled })
    }

    /// What the plain words hold now.
    pub(super) fn image(&self) -> Image {
        let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let content = |cell: &Cell| match cell {
            Cell::Word(word) => Content::Word(word.load(Relaxed)),
            Cell::Half(half) => Content::Half(half.load(Relaxed)),
        };
        cells.iter().map(|(at, cell)| (*at, content(cell))).collect()
    }

    fn cell<T>(&self, at: u64, empty: Content, pick: impl FnOnce(&Cell) -> Option<*const T>) -> *const T {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if !cells.contains_key(&at) {
            if self.scheduled && !std::thread::panicking() {
                drop(cells);
                resume_unwind(Box::new(Missing(at, empty)));
            }
            cells.insert(at, Cell::new(empty, false));
        }
        pick(&cells[&at]).unwrap_or_else(|| panic!("two sizes of access to the bytes at {at}"))
    }
}

impl Cell {
    fn new(content: Content, scheduled: bool) -> Self {
        match content {
            Content::Word(value) => Self::Word(Box::new(AtomicU64::new(value, scheduled))),
            Content::Half(value) => Self::Half(Box::new(AtomicU32::new(value, scheduled))),
        }
    }
}

/// A region as one process of a model sees it.
pub(crate) struct Cells(pub(super) Arc<Region>);

impl Cells {
    /// Models have no files.
    pub(crate) fn map(_: &File, _: usize, _: bool) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// # Safety
    /// None is needed here: the word is made if it is not there.
    pub(crate) unsafe fn word(&self, offset: u64) -> *const AtomicU64 {
        assert!(offset.is_multiple_of(8));
        self.0.cell(offset, Content::Word(0), |cell| match cell {
            Cell::Word(word) => Some(&raw const **word),
            Cell::Half(_) => None,
        })
    }

    /// # Safety
    /// As for `word`.
    pub(crate) unsafe fn half(&self, offset: u64) -> *const AtomicU32 {
        assert!(offset.is_multiple_of(4));
        self.0.cell(offset, Content::Half(0), |cell| match cell {
            Cell::Half(half) => Some(&raw const **half),
            Cell::Word(_) => None,
        })
    }

    /// # Safety
    /// As for `word`.
    pub(crate) unsafe fn words(&self, offset: u64) -> Words<'_> {
        Words(self, offset)
    }

    pub(crate) fn flush(&self, _: usize) -> io::Result<()> {
        Ok(())
    }
}

/// Words in a row.
#[derive(Clone, Copy)]
pub(crate) struct Words<'a>(&'a Cells, u64);

impl Words<'_> {
    /// # Safety
    /// As for [`Cells::word`].
    pub(crate) unsafe fn at(self, index: usize) -> *const AtomicU64 {
        // SAFETY: none is needed there.
        unsafe { self.0.word(self.1 + index as u64 * 8) }
    }

    /// # Safety
    /// As for [`Cells::half`].
    pub(crate) unsafe fn half(self, offset: usize) -> *const AtomicU32 {
        // SAFETY: none is needed there.
        unsafe { self.0.half(self.1 + offset as u64) }
    }

    /// # Safety
    /// None is needed here.
    pub(crate) unsafe fn behind(self, words: usize) -> Self {
        Self(self.0, self.1 + words as u64 * 8)
    }
}

/// The words that a model needs, found out by trying.
#[derive(Default)]
pub(super) struct Known(BTreeSet<u64>);

impl Known {
    /// Notes a word; the model begins anew.
    pub(super) fn learn(&mut self, image: &mut Image, Missing(at, empty): &Missing) {
        assert!(self.0.insert(*at), "the word at {at} was made and is missing");
        image.entry(*at).or_insert(*empty);
    }
}
