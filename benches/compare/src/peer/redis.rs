//! A Redis server of our own behind a Unix socket, without a disk, spoken to in its own protocol, one request at a time.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use super::Peer;
use crate::{
    failure::{Outcome, fail},
    keys::Key,
};

const PROGRAM: &str = "redis-server";
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Redis {
    server: Child,
    socket: BufReader<UnixStream>,
    request: Vec<u8>,
    line: String,
}

impl Redis {
    /// `None` where it is not installed.
    pub(crate) fn start(folder: &Path) -> Outcome<Option<Self>> {
        let path = folder.join("socket");
        let mut command = Command::new(PROGRAM);
        command.current_dir(folder).args(["--port", "0", "--save", "", "--appendonly", "no"]);
        command.arg("--unixsocket").arg(&path).stdin(Stdio::null()).stdout(Stdio::null());
        let mut server = match command.spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            started => started?,
        };
        let start = Instant::now();
        let socket = loop {
            match UnixStream::connect(&path) {
                Ok(socket) => break socket,
                Err(_) if start.elapsed() < PATIENCE && server.try_wait()?.is_none() => {
                    sleep(Duration::from_millis(5));
                }
                Err(error) => {
                    let _ = server.kill().and_then(|()| server.wait());
                    return fail(format!("{PROGRAM} was started but does not answer at {}: {error}", path.display()));
                }
            }
        };
        Ok(Some(Self { server, socket: BufReader::new(socket), request: vec![], line: String::new() }))
    }

    /// What `redis-server --version` says, where there is one.
    pub(crate) fn version() -> Option<String> {
        let output = Command::new(PROGRAM).arg("--version").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        text.split_whitespace().find_map(|word| word.strip_prefix("v=")).map(str::to_owned)
    }

    fn queue(&mut self, words: &[&[u8]]) {
        let _ = write!(self.request, "*{}\r\n", words.len());
        for word in words {
            let _ = write!(self.request, "${}\r\n", word.len());
            self.request.extend_from_slice(word);
            self.request.extend_from_slice(b"\r\n");
        }
    }

    fn send(&mut self) -> Outcome<()> {
        self.socket.get_mut().write_all(&self.request)?;
        self.request.clear();
        Ok(())
    }

    /// The first line of an answer without its mark.
    fn answer(&mut self, mark: char) -> Outcome<&str> {
        self.line.clear();
        self.socket.read_line(&mut self.line)?;
        match self.line.trim_end().strip_prefix(mark) {
            Some(rest) => Ok(rest),
            None => fail(format!("{PROGRAM} answers {:?}", self.line)),
        }
    }

    fn bytes(&mut self, into: &mut Vec<u8>) -> Outcome<()> {
        let length: usize = self.answer('$')?.parse().map_err(|_| "a key is missing")?;
        into.resize(length + 2, 0);
        self.socket.read_exact(into)?;
        into.truncate(length);
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill().and_then(|()| self.server.wait());
    }
}

impl Peer for Redis {
    const NAME: &'static str = "redis";

    fn get(&mut self, key: Key<'_>, into: &mut Vec<u8>) -> Outcome<()> {
        self.queue(&[b"GET", key.text.as_bytes()]);
        self.send()?;
        self.bytes(into)
    }

    fn set(&mut self, key: Key<'_>, value: &[u8]) -> Outcome<()> {
        self.queue(&[b"SET", key.text.as_bytes(), value]);
        self.send()?;
        self.answer('+').map(drop)
    }

    fn add(&mut self, by: i64) -> Outcome<i64> {
        self.queue(&[b"INCRBY", b"count", by.to_string().as_bytes()]);
        self.send()?;
        Ok(self.answer(':')?.parse()?)
    }

    /// MULTI and EXEC, sent together: one round trip.
    fn shift(&mut self, from: Key<'_>, to: Key<'_>) -> Outcome<()> {
        self.queue(&[b"MULTI"]);
        self.queue(&[b"DECR", from.text.as_bytes()]);
        self.queue(&[b"INCR", to.text.as_bytes()]);
        self.queue(&[b"EXEC"]);
        self.send()?;
        for mark in ['+', '+', '+', '*', ':', ':'] {
            self.answer(mark)?;
        }
        Ok(())
    }

    fn number(&mut self, key: Key<'_>) -> Outcome<i64> {
        let mut text = vec![];
        self.queue(&[b"INCRBY", key.text.as_bytes(), b"0"]);
        self.send()?;
        text.extend_from_slice(self.answer(':')?.as_bytes());
        Ok(std::str::from_utf8(&text)?.parse()?)
    }
}
