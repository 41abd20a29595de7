//! Many keys, listed in order.

use crate::{
    conformance::{
        Outcome,
        failure::{check, same},
        tools::{LONG, OPEN, VALUES, keys, names, put, put_for},
    },
    driver::{Driver, Range, State},
};

fn fill(driver: &dyn Driver, names: &[&str]) -> Outcome {
    for name in names {
        put(driver, name, format!("value of {name}").as_bytes())?;
    }
    Ok(())
}

fn page(driver: &dyn Driver, prefix: &str, after: Option<&str>, limit: usize) -> Outcome<Vec<String>> {
    let range = Range { after, limit, ..Range::keys(VALUES, prefix) };
    Ok(names(driver.range(&OPEN, range)?))
}

pub(crate) fn a_range_is_ordered_by_the_bytes_of_keys(driver: &dyn Driver) -> Outcome {
    fill(driver, &["b", "a", "B", "ä", "a/", "a/b", "a!", "10", "9", "重"])?;
    same!(keys(driver, "")?, ["10", "9", "B", "a", "a!", "a/", "a/b", "b", "ä", "重"]);
    Ok(())
}

pub(crate) fn a_prefix_takes_what_begins_so_and_nothing_else(driver: &dyn Driver) -> Outcome {
    fill(driver, &["a", "a/", "a/b", "a/c", "a0", "b", "\u{10FFFF}", "\u{10FFFF}x"])?;
    same!(keys(driver, "a/")?, ["a/", "a/b", "a/c"]);
    same!(keys(driver, "a")?, ["a", "a/", "a/b", "a/c", "a0"]);
    same!(keys(driver, "\u{10FFFF}")?, ["\u{10FFFF}", "\u{10FFFF}x"]);
    same!(keys(driver, "a/b/")?.len(), 0);
    same!(keys(driver, "")?.len(), 8);
    for prefix in ["", "a", "a/", "b", "c"] {
        same!(driver.count(&OPEN, VALUES, prefix)?, keys(driver, prefix)?.len() as u64);
    }
    Ok(())
}

pub(crate) fn a_range_begins_after_the_key_it_is_told(driver: &dyn Driver) -> Outcome {
    fill(driver, &["a", "p/1", "p/2", "p/3", "q"])?;
    same!(page(driver, "p/", Some("p/1"), usize::MAX)?, ["p/2", "p/3"]);
    same!(page(driver, "p/", Some("p/15"), usize::MAX)?, ["p/2", "p/3"]);
    same!(page(driver, "p/", Some("p/3"), usize::MAX)?.len(), 0);
    same!(page(driver, "p/", Some("a"), usize::MAX)?, ["p/1", "p/2", "p/3"]);
    same!(page(driver, "p/", Some("z"), usize::MAX)?.len(), 0);
    same!(page(driver, "", Some("p/3"), usize::MAX)?, ["q"]);
    Ok(())
}

pub(crate) fn a_range_is_no_longer_than_its_limit(driver: &dyn Driver) -> Outcome {
    fill(driver, &["a", "b", "c", "d"])?;
    same!(page(driver, "", None, 0)?.len(), 0);
    same!(page(driver, "", None, 1)?, ["a"]);
    same!(page(driver, "", Some("a"), 2)?, ["b", "c"]);
    same!(page(driver, "", None, 4)?.len(), 4);
    same!(page(driver, "", None, 5)?.len(), 4);
    Ok(())
}

pub(crate) fn pages_meet_without_gap_or_overlap(driver: &dyn Driver) -> Outcome {
    let expected: Vec<String> = (0..200).map(|number| format!("page/{number:03}")).collect();
    for name in expected.iter().rev() {
        put(driver, name, b"")?;
    }
    let mut all: Vec<String> = vec![];
    loop {
        let next = page(driver, "page/", all.last().map(String::as_str), 7)?;
        if next.is_empty() {
            break;
        }
        all.extend(next);
        check!(all.len() <= expected.len(), "pages repeat themselves");
    }
    same!(all, expected);
    Ok(())
}

pub(crate) fn a_range_brings_values_only_when_asked(driver: &dyn Driver) -> Outcome {
    fill(driver, &["a", "b"])?;
    for entry in driver.range(&OPEN, Range::keys(VALUES, ""))? {
        check!(entry.value.is_empty(), "a value comes unasked");
    }
    for entry in driver.range(&OPEN, Range { values: true, ..Range::keys(VALUES, "") })? {
        same!(entry.value, format!("value of {}", entry.key).into_bytes());
        same!(Some(entry.head), driver.head(&OPEN, VALUES, &entry.key)?);
        same!(entry.head.state, State::Live);
    }
    Ok(())
}

pub(crate) fn keys_that_nobody_changes_are_in_every_range(driver: &dyn Driver) -> Outcome {
    let stable: Vec<String> = (0..100).map(|number| format!("stable/{number:02}")).collect();
    for name in &stable {
        put(driver, name, b"here")?;
    }
    let churn = || -> Outcome {
        for number in 0..3_000 {
            put(driver, &format!("churn/{}", number % 700), &vec![1; number % 90])?;
            if number % 3 == 0 {
                driver.delete(&OPEN, VALUES, &format!("churn/{}", number % 500))?;
            }
        }
        Ok(())
    };
    let look = || -> Outcome {
        for _ in 0..60 {
            same!(keys(driver, "stable/")?, stable);
            same!(driver.count(&OPEN, VALUES, "stable/")?, 100);
            check!(keys(driver, "")?.is_sorted(), "a range is out of order while others write");
        }
        Ok(())
    };
    super::super::tools::meanwhile(look, churn)?;
    Ok(())
}

pub(crate) fn only_the_asked_for_see_what_is_dead(driver: &dyn Driver) -> Outcome {
    put(driver, "alive", b"")?;
    put_for(driver, "lasting", b"", LONG)?;
    put_for(driver, "dead", b"", std::time::Duration::from_millis(1))?;
    std::thread::sleep(std::time::Duration::from_millis(20));
    same!(keys(driver, "")?, ["alive", "lasting"]);
    same!(driver.count(&OPEN, VALUES, "")?, 2);
    for entry in driver.range(&OPEN, Range { dead: true, ..Range::keys(VALUES, "") })? {
        let expected = if entry.key == "dead" { State::Expired } else { State::Live };
        same!(entry.head.state, expected);
    }
    Ok(())
}
