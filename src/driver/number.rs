//! Integers as MessagePack writes them: what `add` works on, in every driver.

use crate::error::{Error, ErrorKind, Result};

/// The most bytes that an encoded integer takes.
pub(crate) const MAX_LEN: usize = 9;

/// Writes `number` in its shortest form and returns that part of `into`.
#[inline]
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
    let mut short = [0; 16];
    // What is longer is no number, as its first bytes alone say.
    let len = bytes.len().min(short.len());
    short[..len].copy_from_slice(&bytes[..len]);
    decode_short(key, short, bytes.len())
}

/// The same for a value of that length of which these are the first bytes.
pub(crate) fn decode_short(key: &str, bytes: [u8; 16], len: usize) -> Result<i64> {
    read(bytes, len).map_err(|is_one| if is_one { too_large(key) } else { mismatch(key) })
}

/// The same; the error says whether it is an integer at all.
#[inline(always)]
pub(crate) fn read(bytes: [u8; 16], len: usize) -> std::result::Result<i64, bool> {
    let marker = bytes[0];
    let width = match marker {
        0x00..=0x7f | 0xe0..=0xff => 0,
        0xcc | 0xd0 => 1,
        0xcd | 0xd1 => 2,
        0xce | 0xd2 => 4,
        0xcf | 0xd3 => 8,
        _ => return Err(false),
    };
    if len != 1 + width {
        return Err(false);
    }
    if width == 0 {
        return Ok(i64::from(marker as i8));
    }
    // The digits at the upper end of a word, from where they are moved down, with their sign or without.
    let [_, digits @ .., _, _, _, _, _, _, _] = bytes;
    let (digits, shift) = (i64::from_be_bytes(digits), 64 - 8 * width);
    if marker >= 0xd0 {
        return Ok(digits >> shift);
    }
    i64::try_from(digits as u64 >> shift).map_err(|_| true)
}

#[cold]
fn mismatch(key: &str) -> Error {
    let message = format!("the value of {key:?} is no integer: remove it, or use another key for the integer");
    Error::new(ErrorKind::TypeMismatch, message)
}

#[cold]
fn too_large(key: &str) -> Error {
    let message = format!("the value of {key:?} is larger than any signed 64-bit integer");
    Error::new(ErrorKind::Overflow, message)
}

/// The sum, or `Overflow`.
#[inline]
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
