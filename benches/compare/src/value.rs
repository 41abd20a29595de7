//! What is stored: one MessagePack `bin` whose encoding has the wanted length, with a number in it.

/// The bytes of a value; every peer stores exactly these.
pub(crate) struct Value {
    bytes: Vec<u8>,
    at: usize,
}

impl Value {
    /// The usual one.
    pub(crate) fn small() -> Self {
        Self::of_length(64)
    }

    pub(crate) fn of_length(length: usize) -> Self {
        let header = match length {
            ..=257 => vec![0xc4, (length - 2) as u8],
            _ => [&[0xc6][..], &((length - 5) as u32).to_be_bytes()].concat(),
        };
        let at = header.len();
        let mut bytes = header;
        bytes.resize(length, 0x5a);
        Self { bytes, at }
    }

    #[inline]
    pub(crate) fn of(&mut self, number: u64) -> &[u8] {
        self.bytes[self.at..self.at + 8].copy_from_slice(&number.to_le_bytes());
        &self.bytes
    }
}

/// The number in a value that was read, with its length mixed in: half a value gives another one.
#[inline]
pub(crate) fn sum_of(bytes: &[u8]) -> u64 {
    let at = if bytes.first() == Some(&0xc4) { 2 } else { 5 };
    let number = bytes.get(at..at + 8).map_or(0, |part| u64::from_le_bytes(part.try_into().expect("eight bytes")));
    number.wrapping_add((bytes.len() as u64) << 48)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_messagepack_of_exactly_that_length() {
        for length in [64, 1 << 20] {
            let mut value = Value::of_length(length);
            let bytes = value.of(77).to_vec();
            let store = shmsync::Sync::open("memory:").expect("a store");
            store.set_encoded("value", &bytes).expect("one value");
            assert_eq!((bytes.len(), sum_of(&bytes)), (length, 77 + ((length as u64) << 48)));
        }
    }
}
