//! Numbers and short texts as bytes, and back: what coordination keeps is read by this crate only, and may be garbage.

/// Writes one after the other.
#[derive(Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    /// Seven bits a byte, the lowest first.
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// Eight bytes: what looks like dice takes no less.
    pub(super) fn word(&mut self, word: u64) {
        self.0.extend_from_slice(&word.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// Reads what a [`Writer`] has written; `None` where it cannot be that.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return None;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn word(&mut self) -> Option<u64> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*word))
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let len = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        String::from_utf8(text.to_owned()).ok()
    }

    /// Whether all of it was read.
    pub(super) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let numbers = [0, 1, 127, 128, 300, 1 << 40, u64::MAX - 1, u64::MAX];
        let mut writer = Writer::default();
        for number in numbers {
            writer.number(number);
            writer.word(number);
        }
        writer.text("");
        writer.text("重庆");
        let mut reader = Reader(&writer.0);
        for number in numbers {
            assert_eq!((reader.number(), reader.word()), (Some(number), Some(number)));
        }
        assert_eq!(reader.text().as_deref(), Some(""));
        assert_eq!(reader.text().as_deref(), Some("重庆"));
        assert!(reader.is_at_end() && reader.byte().is_none() && reader.word().is_none());
    }

    #[test]
    fn garbage_is_no_number_and_no_text() {
        assert_eq!(Reader(&[0xff; 20]).number(), None);
        assert_eq!(Reader(&[0x80]).number(), None);
        assert_eq!(Reader(&[0xff, 0xff, 0xff, 0x7f, 1]).text(), None);
        assert_eq!(Reader(&[2, 0xff, 0xfe]).text(), None);
    }
}
