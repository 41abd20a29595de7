//! Paths as keys: any bytes in, readable text out, and back.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// A path as text: as it is where it is UTF-8; other bytes as `\xNN`, a backslash doubled.
pub(super) fn to_text(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text += &chunk.valid().replace('\\', r"\\");
        for byte in chunk.invalid() {
            text += &format!("\\x{byte:02x}");
        }
    }
    text
}

/// The path of such a text.
pub(super) fn from_text(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('x').and_then(|rest| u8::from_str_radix(rest.get(..2)?, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[3..];
            }
            None => {
                bytes.push(b'\\');
                rest = rest.strip_prefix('\\').unwrap_or(rest);
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    PathBuf::from(OsStr::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_comes_back() {
        let cases: [&[u8]; 6] = [b"src/lib.rs", "ä/ö\n".as_bytes(), b"a\xff\xfeb", b"\\xff", b"\\\\x41\\", b"x\\"];
        for bytes in cases {
            let path = Path::new(OsStr::from_bytes(bytes));
            assert_eq!(from_text(&to_text(path)), path, "{}", to_text(path));
        }
        assert_eq!(to_text(Path::new("src/ä.rs")), "src/ä.rs");
    }
}
