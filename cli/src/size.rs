//! Sizes and modes as people write them: `64M`, `1GiB`, `0660`.

/// Bytes from text: a whole number with an optional unit of 1,024 (`K`, `M`, `G`, `T`, also `KiB` …).
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size; write bytes, or 512K, 64M, 2G");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" | "B" => 0,
        "K" | "k" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(|| format!("{text:?} is too large; give a smaller size"))
}

/// Permission bits from octal text.
pub(crate) fn parse_mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o777 && !digits.starts_with('+') => Ok(mode),
        _ => Err(format!("{text:?} is not a file mode; write it in octal, as 0600 or 0660")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_1024() {
        assert_eq!(parse("4096"), Ok(4_096));
        assert_eq!(parse("512K"), Ok(512 << 10));
        assert_eq!(parse("64MiB"), Ok(64 << 20));
        assert_eq!(parse("2G"), Ok(2 << 30));
        for text in ["", "G", "-1", "1.5G", "1X", "99999999999T"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(parse_mode("0660"), Ok(0o660));
        assert_eq!(parse_mode("600"), Ok(0o600));
        for text in ["", "999", "01000", "rw", "+600", "-1"] {
            assert!(parse_mode(text).is_err(), "{text}");
        }
    }
}
