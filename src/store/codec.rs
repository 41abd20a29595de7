//! Values as bytes: MessagePack, structs as maps, decoded from private copies only.

use std::fmt::Display;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    driver::MAX_VALUE_LEN,
    error::{Error, ErrorKind, Result},
};

/// The encoded null.
pub(crate) const NULL: [u8; 1] = [0xc0];

/// Deeper values are refused, when written and when read: decoding them into types that contain themselves takes some
/// kilobytes of stack per level, and threads have two megabytes.
const MAX_DEPTH: usize = 128;

/// Appends the encoding of `value` to `into`.
pub(crate) fn encode<T: Serialize + ?Sized>(key: &str, value: &T, into: &mut Vec<u8>) -> Result<()> {
    let mut serializer = rmp_serde::Serializer::new(&mut *into).with_struct_map();
    value.serialize(&mut serializer).map_err(|error| {
        let message = format!("the value for {key:?} cannot be encoded, nothing was changed: {error}");
        Error::new(ErrorKind::Invalid, message).with_source(error)
    })?;
    check_size(key, into.len())?;
    if may_be_too_deep(into) { check_encoded(key, into) } else { Ok(()) }
}

/// A quick look that spares most values the thorough one: each level takes at least one byte that begins a list or map.
fn may_be_too_deep(bytes: &[u8]) -> bool {
    let begins = |byte: &&u8| matches!(byte, 0x80..=0x9f | 0xdc..=0xdf);
    bytes.len() >= MAX_DEPTH && bytes.iter().filter(begins).count() >= MAX_DEPTH - 1
}

/// Decodes a value.
pub(crate) fn decode<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_DEPTH);
    T::deserialize(&mut deserializer).map_err(|error| undecodable::<T>(key, bytes, error))
}

/// Decodes a value; a null that the type has no place for is none.
pub(crate) fn decode_or_null<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<Option<T>> {
    match decode(key, bytes) {
        Err(_) if bytes == NULL => Ok(None),
        decoded => decoded.map(Some),
    }
}

#[cold]
fn undecodable<T>(key: &str, bytes: &[u8], error: impl Display) -> Error {
    let wanted = std::any::type_name::<T>();
    match check(bytes) {
        Ok(()) => {
            let found = describe(bytes);
            let message = format!("the value of {key:?} is {found}, not a {wanted} ({error}): read it as what it is");
            Error::new(ErrorKind::TypeMismatch, message)
        }
        Err(reason) => {
            let message = format!("the value of {key:?} is no MessagePack ({reason}): set or remove it");
            Error::new(ErrorKind::Corrupt, message)
        }
    }
}

/// Refuses what is not one value that can be decoded again.
#[inline]
pub(crate) fn check_encoded(key: &str, bytes: &[u8]) -> Result<()> {
    check(bytes).map_err(|reason| {
        let message = format!("the bytes for {key:?} are not one MessagePack value, nothing was changed: {reason}");
        Error::new(ErrorKind::Invalid, message)
    })
}

/// Refuses what no store could hold.
#[inline]
pub(crate) fn check_size(key: &str, len: usize) -> Result<()> {
    if len > MAX_VALUE_LEN {
        let message = format!("the value for {key:?} takes {len} bytes, more than {MAX_VALUE_LEN}: split it");
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    Ok(())
}

/// Appends bytes as MessagePack `bin`.
pub(crate) fn encode_bytes(bytes: &[u8], into: &mut Vec<u8>) {
    match bytes.len() {
        len @ 0..=0xff => into.extend([0xc4, len as u8]),
        len @ 0x100..=0xffff => {
            into.push(0xc5);
            into.extend((len as u16).to_be_bytes());
        }
        // More than 4 GiB is more than `MAX_VALUE_LEN` and refused by the caller.
        len => {
            into.push(0xc6);
            into.extend((len as u32).to_be_bytes());
        }
    }
    into.extend_from_slice(bytes);
}

/// A copy that a process with little memory is told of instead of ended by.
fn owned(key: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut owned = Vec::new();
    owned.try_reserve_exact(bytes.len()).map_err(|error| {
        let message = format!("no memory for the {} bytes of {key:?}; raise the limit", bytes.len());
        Error::new(ErrorKind::Io, message).with_source(error)
    })?;
    owned.extend_from_slice(bytes);
    Ok(owned)
}

/// Reads MessagePack `bin`, and nothing else.
pub(crate) fn decode_bytes(key: &str, encoded: &[u8]) -> Result<Vec<u8>> {
    let is_binary = matches!(encoded.first(), Some(0xc4..=0xc6));
    match check(encoded) {
        Ok(()) if is_binary => {
            let item = Item::read(encoded).expect("it was checked");
            owned(key, &encoded[item.header..])
        }
        _ => Err(undecodable::<Vec<u8>>(key, encoded, "no MessagePack bin")),
    }
}

/// Whether these bytes are exactly one value that can be decoded.
#[inline]
pub(crate) fn check(bytes: &[u8]) -> std::result::Result<(), &'static str> {
    match Item::read(bytes) {
        Some(item) if item.children == 0 && item.header + item.payload == bytes.len() => Ok(()),
        _ => check_nested(bytes),
    }
}

/// The same for lists and maps, and for what is wrong.
fn check_nested(bytes: &[u8]) -> std::result::Result<(), &'static str> {
    let mut rest = bytes;
    // How many values are still to come on each level that was begun.
    let (mut left, mut depth) = ([0_u64; MAX_DEPTH], 0);
    loop {
        let item = Item::read(rest).ok_or("it ends too early or has a forbidden marker")?;
        rest = rest.get(item.header + item.payload..).ok_or("it ends too early")?;
        if item.children > 0 {
            // The decoder counts one level more for the value itself.
            if depth + 1 == MAX_DEPTH {
                return Err("it is nested too deeply");
            }
            left[depth] = item.children;
            depth += 1;
        } else {
            while depth > 0 {
                left[depth - 1] -= 1;
                if left[depth - 1] > 0 {
                    break;
                }
                depth -= 1;
            }
        }
        if depth == 0 {
            return if rest.is_empty() { Ok(()) } else { Err("bytes follow the value") };
        }
    }
}

/// The head of one MessagePack value.
struct Item {
    header: usize,
    payload: usize,
    children: u64,
}

impl Item {
    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        let marker = *bytes.first()?;
        let length = |width: usize| {
            let digits = bytes.get(1..=width)?;
            Some(digits.iter().fold(0, |number, &digit| number << 8 | u64::from(digit)))
        };
        let flat = |header: usize, payload: u64| Some(Self { header, payload: payload as usize, children: 0 });
        let nested = |header: usize, children: u64| Some(Self { header, payload: 0, children });
        match marker {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => flat(1, 0),
            0x80..=0x8f => nested(1, u64::from(marker & 0xf) * 2),
            0x90..=0x9f => nested(1, u64::from(marker & 0xf)),
            0xa0..=0xbf => flat(1, u64::from(marker & 0x1f)),
            0xc4 | 0xd9 => flat(2, length(1)?),
            0xc5 | 0xda => flat(3, length(2)?),
            0xc6 | 0xdb => flat(5, length(4)?),
            0xc7 => flat(2, length(1)? + 1),
            0xc8 => flat(3, length(2)? + 1),
            0xc9 => flat(5, length(4)? + 1),
            0xcc | 0xd0 => flat(1, 1),
            0xcd | 0xd1 | 0xd4 => flat(1, 2),
            0xd5 => flat(1, 3),
            0xca | 0xce | 0xd2 => flat(1, 4),
            0xd6 => flat(1, 5),
            0xcb | 0xcf | 0xd3 => flat(1, 8),
            0xd7 => flat(1, 9),
            0xd8 => flat(1, 17),
            0xdc => nested(3, length(2)?),
            0xdd => nested(5, length(4)?),
            0xde => nested(3, length(2)? * 2),
            0xdf => nested(5, length(4)? * 2),
            0xc1 => None,
        }
    }
}

fn describe(bytes: &[u8]) -> &'static str {
    match bytes.first() {
        None | Some(0xc1) => "nothing",
        Some(0xc0) => "null",
        Some(0xc2 | 0xc3) => "a boolean",
        Some(0xca | 0xcb) => "a float",
        Some(0xc4..=0xc6) => "bytes",
        Some(0xc7..=0xc9 | 0xd4..=0xd8) => "an extension",
        Some(0xa0..=0xbf | 0xd9..=0xdb) => "a string",
        Some(0x90..=0x9f | 0xdc | 0xdd) => "a list",
        Some(0x80..=0x8f | 0xde | 0xdf) => "a map",
        Some(_) => "an integer",
    }
}
