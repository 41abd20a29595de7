//! What lies between us and a member: it can be cut, slowed down and made to swallow everything, and it counts requests.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    /// They arrive later.
    Slow,
    /// They never arrive, and nobody is told.
    Swallow,
    /// Answers never arrive.
    Deaf,
    /// There is no connection.
    Cut,
}

const WAYS: [Way; 5] = [Way::Open, Way::Slow, Way::Swallow, Way::Deaf, Way::Cut];
/// How much later.
const LATER: Duration = Duration::from_millis(30);

/// A way to one member. What uses it ends with the test.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    way: AtomicU8,
    requests: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// A way to that port of this machine.
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared { way: AtomicU8::new(0), requests: AtomicU64::new(0), open: Mutex::default() });
        let theirs = Arc::clone(&shared);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if theirs.way() != Way::Cut
                    && let Ok(far) = TcpStream::connect(("127.0.0.1", port))
                {
                    theirs.join(near, far);
                }
            }
        });
        Self { port: own, shared }
    }

    /// From now on, for what is open already, too.
    pub(crate) fn set(&self, way: Way) {
        let number = WAYS.iter().position(|known| *known == way).unwrap_or(0) as u8;
        let before = WAYS[usize::from(self.shared.way.swap(number, SeqCst))];
        // Whatever was swallowed is missing: such a connection is good for nothing any more.
        if way == Way::Cut || way == Way::Open && before != Way::Slow {
            let mut open = self.shared.open.lock().expect("no panic");
            open.drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        }
    }

    /// How many requests have passed; of streams that stay open, only the first.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.requests.load(SeqCst)
    }
}

impl Shared {
    fn way(&self) -> Way {
        WAYS[usize::from(self.way.load(SeqCst))]
    }

    fn join(self: &Arc<Self>, near: TcpStream, far: TcpStream) {
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        let copy = |stream: &TcpStream| stream.try_clone().expect("a copy of a socket");
        self.open.lock().expect("no panic").extend([copy(&near), copy(&far)]);
        let (there, back) = (Arc::clone(self), Arc::clone(self));
        let (near_copy, far_copy) = (copy(&near), copy(&far));
        thread::spawn(move || there.pass(near, far, true));
        thread::spawn(move || back.pass(far_copy, near_copy, false));
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream, is_there: bool) {
        let (mut buffer, mut frames) = (vec![0; 64 << 10], Frames::default());
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if is_there {
                self.requests.fetch_add(frames.headers(&buffer[..length]), SeqCst);
            }
            match self.way() {
                Way::Slow => thread::sleep(LATER),
                Way::Swallow => continue,
                Way::Deaf if !is_there => continue,
                _ => {}
            }
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
}

/// Counts frames of HTTP/2 (RFC 9113, section 4.1) that begin a request.
#[derive(Default)]
struct Frames {
    /// Bytes until the next frame begins; the greeting of a client has 24.
    skip: usize,
    has_begun: bool,
    head: Vec<u8>,
}

impl Frames {
    fn headers(&mut self, mut bytes: &[u8]) -> u64 {
        const HEADERS: u8 = 1;
        if !self.has_begun {
            (self.has_begun, self.skip) = (true, 24);
        }
        let mut count = 0;
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let missing = (9 - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if let [a, b, c, kind, ..] = self.head[..]
                && self.head.len() == 9
            {
                self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                count += u64::from(kind == HEADERS);
                self.head.clear();
            }
        }
        count
    }
}
