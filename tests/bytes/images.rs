//! Real regions to begin with: empty, crowded, large, mortal, full, and of processes killed in the middle of something.

use std::{fs, path::Path, thread, time::Duration};

use shmsync::{Lifetime, Sync};

use super::common::{Child, Dice, Place, parsed, say};

/// Kills that leave something unfinished behind.
const KILLS: u64 = 14;

/// Writes images `image-0`, `image-1`, … into a place and tells how many.
pub fn make(place: &Place, dice: &mut Dice) -> u64 {
    let mut images = 0;
    let mut keep = |path: &Path| {
        fs::copy(path, place.file(&format!("image-{images}"))).unwrap();
        fs::remove_file(path).unwrap();
        images += 1;
    };
    for (capacity, shape) in [
        (128 << 10, "empty"),
        (1 << 20, "crowd"),
        (1 << 20, "large"),
        (512 << 10, "mortal"),
        (256 << 10, "full"),
        (4 << 20, "crowd"),
    ] {
        let path = place.file("making");
        let mut child = Child::spawn("fill", &[path.to_str().unwrap(), &capacity.to_string(), shape]);
        child.expect("filled");
        keep(&path);
        drop(child);
    }
    for kill in 0..KILLS {
        let path = place.file("making");
        // Small ones mostly: an image is written anew for each case.
        let capacity: u64 = [512 << 10, 1 << 20, 512 << 10, 512 << 10, 4 << 20][kill as usize % 5];
        let seed = dice.below(u64::MAX).to_string();
        let mut child = Child::spawn("churn", &[path.to_str().unwrap(), &capacity.to_string(), &seed]);
        child.expect("churning");
        thread::sleep(Duration::from_micros(2000 + dice.below(20_000)));
        child.kill();
        keep(&path);
    }
    images
}

/// Copies images from one folder to another and tells how many there are.
pub fn copy(from: &Path, to: &Path) -> u64 {
    let names: Vec<String> =
        (0..).map(|image| format!("image-{image}")).take_while(|name| from.join(name).exists()).collect();
    names.iter().for_each(|name| assert!(fs::copy(from.join(name), to.join(name)).is_ok()));
    names.len() as u64
}

/// Fills a store with one shape of content and stays until it is killed.
pub fn fill(arguments: &[String]) {
    let capacity: u64 = parsed(arguments, 1);
    let store = Sync::options().capacity(capacity).label("filler").open(&arguments[0]).unwrap();
    match arguments[2].as_str() {
        "crowd" => crowd(&store),
        "large" => large(&store),
        "mortal" => mortal(&store),
        "full" => full(&store),
        _ => {}
    }
    say("filled");
    thread::sleep(Duration::from_secs(600));
}

/// The keys that a store may have, and a few that it has not.
pub fn key(number: u64) -> String {
    format!("k/{number}")
}

fn crowd(store: &Sync) {
    for number in 0..700 {
        store.set(&key(number), &vec![number; 1 + number as usize % 13]).unwrap();
    }
    (0..700).step_by(5).for_each(|number| assert!(store.remove(&key(number)).unwrap()));
    (0..40).for_each(|number| assert!(store.integer(&format!("n/{number}")).increment(number).is_ok()));
}

fn large(store: &Sync) {
    for (number, len) in [100, 5000, 60_000, 200_000, 4096, 9000, 30_000].into_iter().enumerate() {
        store.set_bytes(&key(number as u64), &vec![number as u8; len]).unwrap();
    }
    store.set_bytes(&key(2), &[7; 40_000]).unwrap();
    store.remove(&key(4)).unwrap();
}

fn mortal(store: &Sync) {
    for number in 0..120 {
        let lifetime = match number % 4 {
            0 => Lifetime::Process,
            1 => Lifetime::Ttl(Duration::from_millis(number)),
            2 => Lifetime::Ttl(Duration::from_secs(3600)),
            _ => Lifetime::Forever,
        };
        store.set_with(&key(number), &number, lifetime).unwrap();
    }
}

fn full(store: &Sync) {
    for number in 0.. {
        if store.set_bytes(&key(number), &vec![1; 700 + number as usize % 900]).is_err() {
            return;
        }
    }
}

/// Changes a store without pause until it is killed.
pub fn churn(arguments: &[String]) {
    let capacity: u64 = parsed(arguments, 1);
    let mut dice = Dice::new(parsed(arguments, 2));
    let store = Sync::options().capacity(capacity).open(&arguments[0]).unwrap();
    for number in 0..100 {
        store.set(&key(number), &number).unwrap();
    }
    say("churning");
    loop {
        let number = dice.below(60);
        let value = vec![number as u8; dice.below(2000) as usize];
        let result = match dice.below(8) {
            0 => store.remove(&key(number)).map(drop),
            1 => store.integer("n/1").increment(1).map(drop),
            2 => store.set_with(&key(number), &value, Lifetime::Process).map(drop),
            3 => store.set_bytes(&key(number), &value).map(drop),
            4 => store.set_bytes(&key(number), &vec![3; 20_000]).map(drop),
            _ => store.transaction(|transaction| {
                for step in 0..6 {
                    let key = key((number + step * 7) % 80);
                    if step == 3 {
                        transaction.remove(&key)?;
                    } else {
                        transaction.set(&key, &value)?;
                    }
                }
                Ok(())
            }),
        };
        if result.is_err() {
            let _ = store.clear();
        }
    }
}
