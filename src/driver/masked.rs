//! Names of stores as they may be shown: without passwords.

const SCHEMES: [&str; 2] = ["etcd://", "etcds://"];

/// A text in which names of stores may stand, without the passwords that are in them: for messages.
pub fn without_password(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    let after_scheme = |rest: &str| SCHEMES.iter().filter_map(|scheme| Some(rest.find(scheme)? + scheme.len())).min();
    while let Some(at) = after_scheme(rest) {
        shown.push_str(&rest[..at]);
        rest = &rest[at..];
        let hosts = rest.find(|character: char| character == '/' || character.is_whitespace()).unwrap_or(rest.len());
        if let Some(user) = rest[..hosts].rfind('@') {
            shown.push_str(rest[..user].split(':').next().unwrap_or_default());
            rest = &rest[user..];
        }
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_left_out_of_what_is_shown() {
        assert_eq!(without_password("etcd://u:secret@h/x"), "etcd://u@h/x");
        assert_eq!(without_password("a etcds://u:se@cret@h,i/x b etcd://v:p@i/y"), "a etcds://u@h,i/x b etcd://v@i/y");
        for text in ["progress", "./a@b", "etcd://h/x@y", "memory:etcd://"] {
            assert_eq!(without_password(text), text);
        }
    }
}
