//! What others read about a process that has a session.

use crate::driver::{OwnerId, Participant, process, without_password};

/// This process, as text: a line for each thing.
pub(super) fn encode(lease: i64, label: &str) -> Vec<u8> {
    let me = process::name_of(std::process::id()).unwrap_or_default();
    let mut lines = [
        std::process::id().to_string(),
        me.start_time.to_string(),
        me.pid_namespace.to_string(),
        me.host,
        label.to_owned(),
        without_password(&me.command),
    ];
    for line in &mut lines {
        line.retain(|character| !character.is_control());
    }
    format!("{lease:x}\n{}", lines.join("\n")).into_bytes()
}

/// Somebody as written; what cannot be read is left out.
pub(super) fn decode(bytes: &[u8]) -> Option<Participant> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.split('\n');
    let id = u64::from_str_radix(lines.next()?, 16).ok()?;
    let mut who = Participant::new(OwnerId(id));
    who.pid = lines.next()?.parse().ok()?;
    who.start_time = lines.next()?.parse().ok()?;
    who.pid_namespace = lines.next()?.parse().ok()?;
    [who.host, who.label, who.command] = [lines.next()?, lines.next()?, lines.next()?].map(str::to_owned);
    Some(who)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_written_and_read() {
        let me = decode(&encode(0x7fff, "a\nlabel")).unwrap();
        assert_eq!((me.id, me.pid, me.label.as_str()), (OwnerId(0x7fff), std::process::id(), "alabel"));
        assert!(decode(b"plain").is_none() && decode(b"\xff").is_none());
    }
}
