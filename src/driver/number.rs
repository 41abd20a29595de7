//! Integers as MessagePack writes them: what `add` works on, in every driver.

use crate::error::{Error, ErrorKind, Result};

/// The most bytes that an encoded integer takes.
pub(crate) const MAX_LEN: usize = 9;

/// Writes `number` in its shortest form and returns that part of `into`.
pub(crate) fn encode(number: i64, into: &mut [u8; MAX_LEN]) -> &[u8] {
    // Positive numbers take the unsigned forms, as every MessagePack library writes them.
    let (marker, width) = match number {
        -32..=0x7f => {
            into[0] = number as u8;
            return &into[..1];
        }
        0x80..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        0x1_0000_0000.. => (0xcf, 8),
        -0x80.. => (0xd0, 1),
        -0x8000.. => (0xd1, 2),
        -0x8000_0000.. => (0xd2, 4),
        _ => (0xd3, 8),
    };
    into[0] = marker;
    // The digits moved to the front, so that the copy is one of a known length.
    into[1..].copy_from_slice(&(number << (64 - 8 * width)).to_be_bytes());
    &into[..=width]
}

/// Reads an integer that was written by anybody, in any form.
///
/// # Errors
/// `TypeMismatch` for another type, `Overflow` for an unsigned number above `i64::MAX`.
pub(crate) fn decode(key: &str, bytes: &[u8]) -> Result<i64> {
    let mismatch = || {
        let message = format!("the value of {key:?} is no integer: remove it, or use another key for the integer");
        Error::new(ErrorKind::TypeMismatch, message)
    };
    let (&marker, digits) = bytes.split_first().ok_or_else(mismatch)?;
    let width = match marker {
        0x00..=0x7f | 0xe0..=0xff => 0,
        0xcc | 0xd0 => 1,
        0xcd | 0xd1 => 2,
        0xce | 0xd2 => 4,
        0xcf | 0xd3 => 8,
        _ => return Err(mismatch()),
    };
    if digits.len() != width {
        return Err(mismatch());
    }
    if width == 0 {
        return Ok(i64::from(marker as i8));
    }
    let signed = marker >= 0xd0;
    let fill = if signed && digits[0] >= 0x80 { -1 } else { 0 };
    let number = digits.iter().fold(fill, |number, digit| number << 8 | i64::from(*digit));
    if !signed && number < 0 {
        let message = format!("the value of {key:?} is larger than any signed 64-bit integer");
        return Err(Error::new(ErrorKind::Overflow, message));
    }
    Ok(number)
}

/// The sum, or `Overflow`.
pub(crate) fn add(key: &str, number: i64, delta: i64) -> Result<i64> {
    number.checked_add(delta).ok_or_else(|| {
        let message = format!(
            "integer {key:?} is {number} and would leave its range if {delta} were added: set it to another number first"
        );
        Error::new(ErrorKind::Overflow, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_survives_a_round_trip() {
        for shift in 0..64 {
            for near in -2..=2 {
                for number in [(1i64 << shift).wrapping_add(near), (-1i64 << shift).wrapping_add(near)] {
                    let mut buffer = [0; MAX_LEN];
                    let bytes = encode(number, &mut buffer);
                    assert_eq!(decode("n", bytes).unwrap(), number);
                    assert_eq!(rmp_serde::from_slice::<i64>(bytes).unwrap(), number);
                    assert_eq!(bytes, rmp_serde::to_vec(&number).unwrap());
                }
            }
        }
    }

    #[test]
    fn what_is_no_integer_or_too_large_is_told_apart() {
        assert_eq!(decode("n", &[0xc3]).unwrap_err().kind(), ErrorKind::TypeMismatch);
        assert_eq!(decode("n", &[]).unwrap_err().kind(), ErrorKind::TypeMismatch);
        assert_eq!(decode("n", &[0xcf, 1]).unwrap_err().kind(), ErrorKind::TypeMismatch);
        let huge = rmp_serde::to_vec(&u64::MAX).unwrap();
        assert_eq!(decode("n", &huge).unwrap_err().kind(), ErrorKind::Overflow);
        assert_eq!(add("n", i64::MAX, 1).unwrap_err().kind(), ErrorKind::Overflow);
    }
}
