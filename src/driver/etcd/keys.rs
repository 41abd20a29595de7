//! Where things lie below the prefix of a store.

use crate::driver::Space;

/// The keys of one store on a cluster.
///
/// | key below the prefix | what |
/// |---|---|
/// | `store` | marks that here is a store, and of which format |
/// | `gate` | who has the store exclusively |
/// | `who/ID` | a participant, with the lease of its session |
/// | `v/KEY`, `c/KEY` | the entries of the two spaces |
#[derive(Debug, Clone)]
pub(super) struct Keys {
    base: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { base: format!("{prefix}/") }
    }

    pub(super) fn marker(&self) -> Vec<u8> {
        self.below("store")
    }

    /// Marks of stores that this one would lie within.
    pub(super) fn around(&self) -> Vec<Vec<u8>> {
        let prefix = self.base.trim_end_matches('/');
        prefix.match_indices('/').map(|(end, _)| format!("{}/store", &prefix[..end]).into_bytes()).collect()
    }

    pub(super) fn gate(&self) -> Vec<u8> {
        self.below("gate")
    }

    pub(super) fn participant(&self, id: i64) -> Vec<u8> {
        self.below(&format!("who/{id:x}"))
    }

    /// From and to where participants lie.
    pub(super) fn participants(&self) -> (Vec<u8>, Vec<u8>) {
        span(self.below("who/"))
    }

    /// From and to where everything lies.
    pub(super) fn everything(&self) -> (Vec<u8>, Vec<u8>) {
        span(self.below(""))
    }

    pub(super) fn entry(&self, space: Space, key: &str) -> Vec<u8> {
        let mut whole = self.below(Self::folder(space));
        whole.extend_from_slice(key.as_bytes());
        whole
    }

    /// From and to where the entries of a prefix lie.
    pub(super) fn entries(&self, space: Space, prefix: &str) -> (Vec<u8>, Vec<u8>) {
        span(self.entry(space, prefix))
    }

    /// The key as the contract has it; `None` for what no driver of ours has written.
    pub(super) fn name<'a>(&self, space: Space, whole: &'a [u8]) -> Option<&'a str> {
        let below = whole.strip_prefix(self.base.as_bytes())?;
        std::str::from_utf8(below.strip_prefix(Self::folder(space).as_bytes())?).ok()
    }

    fn below(&self, rest: &str) -> Vec<u8> {
        [self.base.as_bytes(), rest.as_bytes()].concat()
    }

    fn folder(space: Space) -> &'static str {
        match space {
            Space::Values => "v/",
            Space::Coordination => "c/",
        }
    }
}

/// From a prefix to the first key after all that begin so. The last byte of a text is never the highest one.
fn span(prefix: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let mut end = prefix.clone();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    (prefix, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_and_stores_never_meet() {
        let keys = Keys::new("a/b");
        assert_eq!(keys.entry(Space::Values, "k"), b"a/b/v/k");
        assert_eq!(keys.name(Space::Values, b"a/b/v/k"), Some("k"));
        assert_eq!(keys.name(Space::Coordination, b"a/b/v/k"), None);
        assert_eq!(keys.name(Space::Values, b"a/b/v/\xff"), None);
        let (from, to) = keys.everything();
        assert!(from.as_slice() < &b"a/b/store"[..] && to.as_slice() > &b"a/b/who/\xff"[..]);
        assert!(!(from..to).contains(&b"a/b0/store".to_vec()));
    }
}
