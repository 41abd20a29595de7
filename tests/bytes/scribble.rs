//! A hostile participant: it maps the file as well and writes what it likes while others use the store.

use std::{
    fs::{File, OpenOptions},
    os::fd::AsRawFd,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use super::{
    common::Dice,
    layout::{self, BYTES, Map, PARTICIPANT, PARTICIPANTS, word},
    mutate::{Area, target, value},
};

/// Scribbles over the file at `path` until told to stop. `image` is what it aims by.
pub fn scribble(path: &Path, image: &[u8], seed: u64, stop: &AtomicBool) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let len = file.metadata().unwrap().len().min(image.len() as u64) as usize & !7;
    if len < 1 << 16 {
        return;
    }
    // SAFETY: a fresh shared mapping of as many bytes as the file has, which nobody makes shorter.
    let base = unsafe {
        let flags = libc::PROT_READ | libc::PROT_WRITE;
        let base = libc::mmap(std::ptr::null_mut(), len, flags, libc::MAP_SHARED, file.as_raw_fd(), 0);
        assert_ne!(base, libc::MAP_FAILED);
        base
    };
    let mut dice = Dice::new(seed);
    let map = Map::of(image);
    // One place again and again, or everywhere.
    let area = match dice.below(10) {
        0 => Some(Area::Live),
        1 => Some(Area::Space),
        2 | 3 => Some(Area::Shard),
        4 => Some(Area::Index),
        5 => Some(Area::Record),
        _ => None,
    };
    let everywhere = [Area::Live, Area::Space, Area::Shard, Area::Journal, Area::Table, Area::Index, Area::Record];
    // Without a pause, bursts: one who never sleeps leaves no processor to those who are to be disturbed.
    let pause = Duration::from_micros([0, 5, 50, 1000][dice.below(4) as usize]);
    let mut stores = 0_u32;
    while !stop.load(Relaxed) {
        let area = area.unwrap_or_else(|| everywhere[dice.below(everywhere.len() as u64) as usize]);
        let at = target(image, &map, area, &mut dice) & !7;
        if at + 8 > len as u64 {
            continue;
        }
        // SAFETY: aligned and within the mapping.
        let place = unsafe { AtomicU64::from_ptr(base.byte_add(at as usize).cast()) };
        place.store(value(image, &map, place.load(Relaxed), &mut dice), Relaxed);
        stores += 1;
        match pause.is_zero() {
            false => thread::sleep(pause),
            true if stores.is_multiple_of(500) => thread::sleep(Duration::from_micros(200)),
            true => {}
        }
    }
    // SAFETY: nobody uses the mapping any more.
    unsafe { libc::munmap(base, len) };
}

/// Keeps the bytes of some participants of an image locked, as if they were alive.
pub fn pretend_alive(path: &Path, image: &[u8], dice: &mut Dice) -> Option<File> {
    if dice.below(4) != 0 || image.len() < layout::PAGE as usize * 8 {
        return None;
    }
    let file = OpenOptions::new().read(true).write(true).open(path).ok()?;
    for slot in 0..2 {
        let number = word(image, PARTICIPANTS + slot * PARTICIPANT + 8);
        let lock = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: (BYTES + number % (1 << 48)) as i64,
            l_len: 1,
            l_pid: 0,
        };
        // SAFETY: the kernel reads one lock description that is alive.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &lock) };
    }
    Some(file)
}
