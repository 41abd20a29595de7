//! Damage: words that matter, replaced by values that hurt.

use super::{
    common::Dice,
    layout::{self, Map, PAGE, PARTICIPANT, PARTICIPANTS, put, word},
};

/// What a value is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    Header,
    Live,
    Space,
    Waits,
    Participants,
    Shard,
    Journal,
    Table,
    Index,
    Record,
    Span,
    Anywhere,
}

const AREAS: [Area; 12] = [
    Area::Header,
    Area::Live,
    Area::Space,
    Area::Waits,
    Area::Participants,
    Area::Shard,
    Area::Journal,
    Area::Table,
    Area::Index,
    Area::Record,
    Area::Span,
    Area::Anywhere,
];

/// How often each is hit, of 32.
const WEIGHTS: [u64; 12] = [1, 3, 3, 1, 2, 6, 3, 3, 4, 3, 2, 1];

/// Words of a shard's header, the more interesting ones more often.
const SHARD_WORDS: [u64; 40] = [
    0, 0, 8, 16, 64, 64, 64, 72, 80, 88, 128, 128, 136, 144, 152, 160, 160, 168, 168, 176, 192, 200, 208, 216, 224,
    224, 232, 240, 248, 256, 264, 272, 280, 392, 400, 424, 456, 512, 576, 640,
];

fn area(dice: &mut Dice) -> Area {
    let mut left = dice.below(32);
    for (area, weight) in AREAS.into_iter().zip(WEIGHTS) {
        if left < weight {
            return area;
        }
        left -= weight;
    }
    Area::Anywhere
}

/// An offset in that area.
pub fn target(image: &[u8], map: &Map, area: Area, dice: &mut Dice) -> u64 {
    let shard = map.shard(dice.below(map.shards));
    let extents = (image.len() as u64 / PAGE).max(1);
    match area {
        Area::Header => dice.below(32) * 8,
        Area::Live => 256 + dice.below(18) * 8,
        Area::Space => 4096 + dice.below(9) * 8,
        Area::Waits => 8192 + dice.below((PARTICIPANTS - 8192) / 8) * 8,
        Area::Participants => PARTICIPANTS + dice.below(4) * PARTICIPANT + dice.below(8) * 8,
        Area::Shard => shard + SHARD_WORDS[dice.below(SHARD_WORDS.len() as u64) as usize],
        Area::Journal => shard + 1024 + dice.below(24) * 8,
        Area::Table => (map.table_at + dice.below(extents) * 4) & !7,
        Area::Index => slot(image, shard, dice).unwrap_or(map.root(shard)),
        Area::Record => match slot(image, shard, dice).and_then(|at| layout::record(word(image, at))) {
            Some(at) => at + dice.below(6) * 8,
            None => map.data_at + dice.below(64) * 8,
        },
        Area::Span => map.data_at + dice.below(extents) * PAGE % (image.len() as u64).max(1) + dice.below(4) * 8,
        Area::Anywhere => dice.below((image.len() as u64 / 8).max(1)) * 8,
    }
}

/// A slot in use, if one is soon found.
fn slot(image: &[u8], shard: u64, dice: &mut Dice) -> Option<u64> {
    let (offset, slots) = layout::index(image, shard, u64::from(dice.below(8) == 0));
    let at = (0..16).map(|_| offset + dice.below(slots.max(1)) * 8).find(|at| word(image, *at) != 0);
    (offset != 0).then(|| at.unwrap_or(offset))
}

/// A value that hurts where `old` stands.
pub fn value(image: &[u8], map: &Map, old: u64, dice: &mut Dice) -> u64 {
    let len = image.len() as u64;
    let offset = dice.below((len / 8).max(1)) * 8;
    let slots = dice.below(30);
    match dice.below(24) {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << dice.below(64),
        3 => u64::MAX >> dice.below(64),
        4 => old ^ 1 << dice.below(64),
        5 => old.wrapping_add(1),
        6 => old.wrapping_sub(1),
        7 => dice.below(8),
        8 => dice.below(70),
        9 => offset,
        10 => offset / 16,
        // A root: an index of so many slots at that place.
        11 => (offset / 8) | (slots << 34),
        // A slot: a record, a mark, a mortal there, with the hash that is there.
        12 => (old >> 36 << 36) | (offset / 8) | (dice.below(4) << 34),
        13 => len,
        14 => map.capacity / PAGE,
        15 => word(image, dice.below((len / 8).max(1)) * 8),
        16 => word(image, target(image, map, AREAS[dice.below(12) as usize], dice)),
        // A retired block.
        17 => dice.below(64) << 48 | offset,
        // Two words of the extent table.
        18 => extent_word(map, dice) | extent_word(map, dice) << 32,
        // A lock word that names somebody.
        19 => (dice.below(4) + 1) | dice.below(4) << 13 | dice.below(2) << 31 | old >> 32 << 32,
        // An intent.
        20 => dice.below(6) | dice.below(2) << 8,
        21 => offset + dice.below(8),
        22 => old.rotate_left(dice.below(64) as u32),
        _ => dice.below(u64::MAX),
    }
}

fn extent_word(map: &Map, dice: &mut Dice) -> u64 {
    let payload = match dice.below(4) {
        0 => dice.below(50),
        1 => dice.below(1 << 23),
        _ => dice.below(8),
    };
    dice.below(6) | dice.below(map.shards + 1) << 3 | payload << 9
}

/// Damages an image in a few places; tells whether it was done.
pub fn mutate(image: &mut Vec<u8>, dice: &mut Dice) {
    let map = Map::of(image);
    let fixed = (dice.below(2) == 0).then(|| area(dice));
    for _ in 0..1 + dice.below(6) {
        match dice.below(20) {
            0 => flip_bit(image, dice),
            1 => swap_ranges(image, dice),
            _ => {
                let area = fixed.unwrap_or_else(|| area(dice));
                let at = target(image, &map, area, dice) & !7;
                let new = value(image, &map, word(image, at), dice);
                put(image, at, new);
                if at < 256 && dice.below(4) != 0 {
                    layout::seal_header(image);
                }
            }
        }
    }
    if dice.below(8) == 0 {
        leave_work_behind(image, &map, dice);
    }
    if dice.below(8) == 0 {
        put(image, layout::BOOT_ID as u64, dice.below(u64::MAX));
    }
    if dice.below(24) == 0 {
        let len = image.len() as u64;
        image.resize((dice.below(len * 2) + 1) as usize, 0);
    }
}

/// A shard with an intent and a journal that somebody else wrote.
fn leave_work_behind(image: &mut [u8], map: &Map, dice: &mut Dice) {
    let shard = map.shard(dice.below(map.shards));
    put(image, shard + 128, dice.below(5) | dice.below(2) << 8);
    for field in [136, 144, 152, 168, 176, 80, 88] {
        if dice.below(2) == 0 {
            let at = slot(image, shard, dice).unwrap_or(shard);
            let new = match dice.below(4) {
                0 => at,
                1 => word(image, at),
                _ => value(image, map, word(image, shard + field), dice),
            };
            put(image, shard + field, new);
        }
    }
    let notes = dice.below(10);
    put(image, shard + 160, notes);
    for note in 0..notes {
        let area = area(dice);
        let at = if dice.below(5) == 0 { 1 } else { target(image, map, area, dice) };
        let old = value(image, map, word(image, at & !7), dice);
        put(image, shard + 1024 + note * 16, at);
        put(image, shard + 1032 + note * 16, old);
    }
}

fn flip_bit(image: &mut [u8], dice: &mut Dice) {
    let at = dice.below(image.len() as u64) as usize;
    image[at] ^= 1 << dice.below(8);
}

fn swap_ranges(image: &mut [u8], dice: &mut Dice) {
    let len = [8, 64, 256, 4096][dice.below(4) as usize];
    let places = image.len() as u64 / len as u64;
    if places < 2 {
        return;
    }
    let (a, b) = (dice.below(places) as usize * len, dice.below(places) as usize * len);
    for index in 0..len {
        image.swap(a + index, b + index);
    }
}
