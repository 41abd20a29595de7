//! One key: stored, read, removed.

use std::collections::BTreeSet;

use crate::{
    conformance::{
        Outcome,
        failure::{check, refused, same},
        tools::{OPEN, VALUES, delete, keys, put, read, read_in, value},
    },
    driver::{Driver, Lifetime, MAX_KEY_LEN, MAX_VALUE_LEN, Remaining, Space, State},
};

pub(crate) fn an_absent_key_is_none_for_every_call(driver: &dyn Driver) -> Outcome {
    let mut into = b"left over".to_vec();
    same!(driver.get(&OPEN, VALUES, "nobody", &mut into)?, None);
    check!(into.is_empty(), "get leaves {into:?} in the buffer of an absent key");
    same!(driver.head(&OPEN, VALUES, "nobody")?, None);
    check!(!delete(driver, "nobody")?);
    same!(driver.count(&OPEN, VALUES, "")?, 0);
    check!(keys(driver, "")?.is_empty());
    Ok(())
}

pub(crate) fn a_put_is_read_back_with_its_revision(driver: &dyn Driver) -> Outcome {
    let written = put(driver, "key", b"value")?;
    same!(read(driver, "key")?, Some((b"value".to_vec(), written)));
    let head = driver.head(&OPEN, VALUES, "key")?;
    same!(
        head.map(|head| (head.revision, head.remaining, head.state)),
        Some((written, Remaining::Forever, State::Live))
    );
    Ok(())
}

pub(crate) fn the_last_put_wins(driver: &dyn Driver) -> Outcome {
    for length in [3_usize, 300, 30_000, 0, 17, 16, 30_000, 1] {
        let bytes = vec![length as u8; length];
        let written = put(driver, "key", &bytes)?;
        same!(read(driver, "key")?, Some((bytes, written)));
    }
    same!(driver.count(&OPEN, VALUES, "")?, 1);
    Ok(())
}

pub(crate) fn an_empty_value_is_present(driver: &dyn Driver) -> Outcome {
    put(driver, "empty", b"")?;
    same!(value(driver, "empty")?, Some(vec![]));
    same!(keys(driver, "")?, ["empty"]);
    check!(delete(driver, "empty")?);
    Ok(())
}

pub(crate) fn a_deleted_key_is_absent_and_its_neighbour_is_not(driver: &dyn Driver) -> Outcome {
    put(driver, "hello", b"1")?;
    put(driver, "foo", b"2")?;
    check!(delete(driver, "hello")?);
    check!(!delete(driver, "hello")?, "a key can be deleted twice");
    same!(value(driver, "hello")?, None);
    same!(value(driver, "foo")?, Some(b"2".to_vec()));
    same!(keys(driver, "")?, ["foo"]);
    Ok(())
}

pub(crate) fn values_of_every_size_come_back_whole(driver: &dyn Driver) -> Outcome {
    let around = |size: usize| [size - 1, size, size + 1];
    let sizes = [1, 8, 64, 128, 256, 4_096, 65_536, 262_144, 1_048_576].into_iter().flat_map(around);
    sizes.into_iter().try_for_each(|size| comes_back(driver, size))
}

pub(crate) fn values_of_megabytes_come_back_whole(driver: &dyn Driver) -> Outcome {
    [1_703_962, 5_000_011].into_iter().try_for_each(|size| comes_back(driver, size))
}

fn comes_back(driver: &dyn Driver, size: usize) -> Outcome {
    let bytes: Vec<u8> = (0..size).map(|at| (at * 31 + at / 251 + size) as u8).collect();
    put(driver, "sized", &bytes)?;
    check!(value(driver, "sized")?.as_ref() == Some(&bytes), "a value of {size} bytes does not come back");
    Ok(())
}

pub(crate) fn the_largest_value_is_as_large_as_the_driver_says(driver: &dyn Driver) -> Outcome {
    let largest = driver.capabilities().largest_value;
    check!((1 << 20..=MAX_VALUE_LEN).contains(&largest), "the largest value has {largest} bytes");
    // A gigabyte is written elsewhere.
    if largest < MAX_VALUE_LEN {
        comes_back(driver, largest)?;
        let before = read(driver, "sized")?;
        refused!(TooLarge, put(driver, "sized", &vec![0; largest + 1]));
        check!(read(driver, "sized")? == before, "a value that is too large changes something");
    }
    Ok(())
}

pub(crate) fn keys_of_every_kind_are_kept_apart(driver: &dyn Driver) -> Outcome {
    let (long, longer) = ("k".repeat(MAX_KEY_LEN - 1), "k".repeat(MAX_KEY_LEN));
    let kinds =
        ["0", "00", "a", "a/", "a/b", "A", "ä", "a\u{308}", "重庆", "\u{10FFFF}", "\n", "\0", "\0\0", " ", "a\0"];
    let kinds: Vec<&str> = kinds.into_iter().chain([long.as_str(), longer.as_str()]).collect();
    for (number, key) in kinds.iter().enumerate() {
        put(driver, key, &[number as u8])?;
    }
    for (number, key) in kinds.iter().enumerate() {
        same!(value(driver, key)?, Some(vec![number as u8]));
    }
    let expected: BTreeSet<String> = kinds.iter().map(ToString::to_string).collect();
    check!(keys(driver, "")? == expected.iter().cloned().collect::<Vec<_>>(), "keys are not listed in order of bytes");
    for (number, key) in kinds.iter().enumerate() {
        check!(delete(driver, key)?, "key {number} cannot be deleted");
        same!(keys(driver, "")?.len(), kinds.len() - 1 - number);
    }
    Ok(())
}

pub(crate) fn the_two_spaces_never_meet(driver: &dyn Driver) -> Outcome {
    let other = Space::Coordination;
    put(driver, "same", b"a value")?;
    same!(read_in(driver, other, "same")?, None);
    let written = driver.put(&OPEN, other, "same", b"a lock", Lifetime::Forever)?;
    same!(value(driver, "same")?, Some(b"a value".to_vec()));
    same!(driver.count(&OPEN, other, "")?, 1);
    driver.replace(&OPEN, VALUES, "", &[])?;
    check!(keys(driver, "")?.is_empty());
    same!(read_in(driver, other, "same")?, Some((b"a lock".to_vec(), written)));
    same!(driver.snapshot(&OPEN, other, "")?.len(), 1);
    same!(driver.add(&OPEN, other, "number", 3)?.0, 3);
    same!(driver.add(&OPEN, VALUES, "number", 4)?.0, 4);
    check!(driver.delete(&OPEN, other, "number")?);
    same!(keys(driver, "")?, ["number"]);
    Ok(())
}

pub(crate) fn revisions_of_a_key_grow_also_over_removal(driver: &dyn Driver) -> Outcome {
    let mut last = put(driver, "key", b"same")?;
    for round in 0..50 {
        let next = match round % 5 {
            0 => driver.add(&OPEN, VALUES, "number", 1).and_then(|_| put(driver, "key", b"same"))?,
            1 => {
                check!(delete(driver, "key")?);
                put(driver, "key", b"same")?
            }
            2 => {
                driver.replace(&OPEN, VALUES, "", &[])?;
                put(driver, "key", b"same")?
            }
            _ => put(driver, "key", b"same")?,
        };
        check!(next > last, "revision {next} follows {last}");
        last = next;
    }
    Ok(())
}

pub(crate) fn no_two_writes_share_a_revision(driver: &dyn Driver) -> Outcome {
    let mut seen = BTreeSet::new();
    for number in 0..500 {
        let written = put(driver, &format!("key {}", number % 50), b"x")?;
        check!(seen.insert(written), "revision {written} was given twice");
    }
    Ok(())
}

pub(crate) fn a_value_beyond_the_limit_is_too_large_and_changes_nothing(driver: &dyn Driver) -> Outcome {
    let before = put(driver, "key", b"old")?;
    let huge = vec![0; MAX_VALUE_LEN + 1];
    refused!(TooLarge, put(driver, "key", &huge));
    refused!(TooLarge, driver.replace(&OPEN, VALUES, "", &[("key".into(), huge, Lifetime::Forever)]));
    same!(read(driver, "key")?, Some((b"old".to_vec(), before)));
    Ok(())
}

pub(crate) fn thousands_of_keys_come_and_go(driver: &dyn Driver) -> Outcome {
    let name = |number: usize| format!("key/{number}");
    for round in 0..3 {
        for number in 0..3_000 {
            put(driver, &name(number), format!("{round} {number}").as_bytes())?;
        }
        same!(driver.count(&OPEN, VALUES, "key/")?, 3_000);
        for number in 0..3_000 {
            same!(value(driver, &name(number))?, Some(format!("{round} {number}").into_bytes()));
        }
        for number in 0..3_000 {
            check!(delete(driver, &name(number))?, "key {number} is missing in round {round}");
        }
        same!(driver.count(&OPEN, VALUES, "")?, 0);
    }
    Ok(())
}
