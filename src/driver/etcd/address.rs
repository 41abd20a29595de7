//! What a name says about a cluster: where it is, who asks, and how patiently.

use std::{fmt, path::PathBuf, time::Duration};

use crate::error::{Error, ErrorKind, Result};

const PORT: u16 = 2379;
/// The shortest session that etcd's own clocks can keep: it looks at leases twice a second.
const SHORTEST_SESSION: Duration = Duration::from_secs(2);

/// What `etcd://[USER:PASSWORD@]HOST[:PORT],…/PREFIX[?OPTION=VALUE&…]` says; `etcds://` is the same over TLS.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// `host:port`, as given.
    pub(super) endpoints: Vec<String>,
    pub(super) user: Option<(String, String)>,
    pub(super) prefix: String,
    /// How long opening may take.
    pub(super) connect: Duration,
    /// How long a call may take.
    pub(super) call: Duration,
    /// How long the cluster waits for a sign of life before it ends this process's session.
    pub(super) session: Duration,
    pub(super) tls: Option<Tls>,
}

/// Files in PEM form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tls {
    /// Whom to trust.
    pub(super) ca: PathBuf,
    /// Who we are: certificate and key.
    pub(super) identity: Option<(PathBuf, PathBuf)>,
    /// The name that the server's certificate must have, where it is not the host's.
    pub(super) name: Option<String>,
}

fn invalid(why: impl fmt::Display) -> Error {
    let form = "etcd://[USER:PASSWORD@]HOST[:PORT],…/PREFIX[?OPTION=VALUE&…]";
    Error::new(ErrorKind::Invalid, format!("no address of a store on a cluster: {why}: write {form}"))
}

impl Address {
    /// # Errors
    /// `Invalid`; the message has no password in it.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (is_safe, rest) = match (text.strip_prefix("etcds://"), text.strip_prefix("etcd://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(invalid("it does not begin with etcd:// or etcds://")),
        };
        // Whatever comes before an @ may be a password; it is not even echoed.
        if rest.find(['/', '?']).is_some_and(|end| rest[end..].contains('@')) {
            return Err(invalid("an @ behind the hosts is written %40, and in a password / is %2F and ? is %3F"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, prefix) = rest.split_once('/').ok_or_else(|| invalid("after the hosts comes /PREFIX"))?;
        let (user, hosts) = match hosts.rsplit_once('@') {
            Some((user, hosts)) => (Some(parse_user(user)?), hosts),
            None => (None, hosts),
        };
        let prefix = decoded(prefix).ok_or_else(|| invalid("the prefix is no text"))?;
        check_prefix(&prefix)?;
        let mut address = Self {
            endpoints: hosts.split(',').map(parse_endpoint).collect::<Result<_>>()?,
            user,
            prefix,
            connect: Duration::from_secs(5),
            call: Duration::from_secs(5),
            session: Duration::from_secs(10),
            tls: is_safe.then(Tls::default),
        };
        address.read_options(query)?;
        Ok(address)
    }

    fn read_options(&mut self, query: &str) -> Result<()> {
        let (mut certificate, mut key) = (None, None);
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').ok_or_else(|| invalid(format!("option {option:?} has no =")))?;
            let value = decoded(value).ok_or_else(|| invalid(format!("the value of option {name:?} is no text")))?;
            match (name, &mut self.tls) {
                ("connect", _) => self.connect = parse_time(name, &value)?,
                ("timeout", _) => self.call = parse_time(name, &value)?,
                ("session", _) => self.session = parse_time(name, &value)?,
                ("ca", Some(tls)) => tls.ca = value.into(),
                ("cert", Some(_)) => certificate = Some(value.into()),
                ("key", Some(_)) => key = Some(value.into()),
                ("name", Some(tls)) => tls.name = Some(value),
                ("ca" | "cert" | "key" | "name", None) => {
                    return Err(invalid(format!("option {name:?} is for etcds://")));
                }
                _ => {
                    let known = "connect, timeout, session, and with etcds:// ca, cert, key, name";
                    return Err(invalid(format!("option {name:?} is unknown, known are {known}")));
                }
            }
        }
        if self.session < SHORTEST_SESSION {
            return Err(invalid(format!("a session lasts at least {} s", SHORTEST_SESSION.as_secs())));
        }
        let Some(tls) = &mut self.tls else { return Ok(()) };
        if tls.ca.as_os_str().is_empty() {
            return Err(invalid("etcds:// needs ?ca=FILE, the certificates to trust"));
        }
        tls.identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(invalid("cert=FILE and key=FILE go together")),
        };
        Ok(())
    }

    /// As it is shown to people: without a password.
    pub(super) fn shown(&self) -> String {
        let scheme = if self.tls.is_some() { "etcds" } else { "etcd" };
        let prefix = self.prefix.replace('%', "%25").replace('@', "%40").replace('?', "%3F");
        format!("{scheme}://{}/{prefix}", self.endpoints.join(","))
    }
}

/// Whoever prints an address does not print its password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

fn parse_user(text: &str) -> Result<(String, String)> {
    let parts = text.split_once(':').and_then(|(user, password)| Some((decoded(user)?, decoded(password)?)));
    parts.filter(|(user, _)| !user.is_empty()).ok_or_else(|| invalid("before the @ stands USER:PASSWORD"))
}

fn parse_endpoint(text: &str) -> Result<String> {
    let bad = || invalid(format!("{text:?} is no HOST[:PORT]"));
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse::<u16>().map_err(|_| bad())?),
        _ => (text, PORT),
    };
    let is_name = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
    };
    let is_address = |host: &str| {
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
    };
    if port == 0 || !is_name(host) && !is_address(host) {
        return Err(bad());
    }
    Ok(format!("{host}:{port}"))
}

fn check_prefix(prefix: &str) -> Result<()> {
    let is_plain = (1..=255).contains(&prefix.len()) && !prefix.chars().any(char::is_control);
    if is_plain && prefix.split('/').all(|part| !part.is_empty()) {
        return Ok(());
    }
    let start: String = prefix.chars().take(40).collect();
    Err(invalid(format!("prefix {start:?} needs 1 to 255 bytes without control characters and empty parts")))
}

/// `5`, `5s`, `1.5` or `500ms`.
fn parse_time(name: &str, text: &str) -> Result<Duration> {
    let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1e-3),
        (None, Some(number)) => (number, 1.0),
        (None, None) => (text, 1.0),
    };
    let seconds = number.parse().ok().map(|number: f64| number * unit);
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.filter(|time| (Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(time))
        .ok_or_else(|| invalid(format!("option {name:?} is a time such as 5s or 500ms, not {text:?}")))
}

/// Without `%41` for A and the like.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let byte = if *first == b'%' {
            let (digits, tail) = rest.split_first_chunk::<2>()?;
            rest = tail;
            let digits = digits.map(|digit| char::from(digit).to_digit(16));
            (digits[0]? * 16 + digits[1]?) as u8
        } else {
            *first
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_all_its_parts() {
        let address = Address::parse("etcd://a,b.c:1,[::1]:2/p/q?connect=500ms&timeout=2&session=3s").unwrap();
        assert_eq!(address.endpoints, ["a:2379", "b.c:1", "[::1]:2"]);
        assert_eq!((address.prefix.as_str(), address.tls), ("p/q", None));
        assert_eq!(address.connect, Duration::from_millis(500));
        assert_eq!((address.call, address.session), (Duration::from_secs(2), Duration::from_secs(3)));
        let address = Address::parse("etcds://u:p%40ss@h/x?ca=/c%20a&cert=/c&key=/k&name=n").unwrap();
        assert_eq!(address.user, Some(("u".into(), "p@ss".into())));
        let tls = address.tls.unwrap();
        assert_eq!((tls.ca, tls.name), ("/c a".into(), Some("n".into())));
        assert_eq!(tls.identity, Some(("/c".into(), "/k".into())));
    }

    #[test]
    fn a_prefix_may_have_signs_with_a_meaning_in_addresses() {
        let address = Address::parse("etcd://h/team%40x/50%25%3F").unwrap();
        assert_eq!(address.prefix, "team@x/50%?");
        assert_eq!(Address::parse(&address.shown()).unwrap().prefix, address.prefix);
        assert!(Address::parse("etcd://h/%zz").is_err());
    }

    #[test]
    fn a_password_is_never_shown() {
        let address = Address::parse("etcd://user:secret@h/x").unwrap();
        assert!(!address.shown().contains("secret") && !format!("{address:?}").contains("secret"));
        for bad in
            ["etcd://user:secret@h", "etcd://user:secret@h/", "etcd://user:secret@h/x?secre", "etcd://:secret@/x"]
                .iter()
                .chain(&[
                    "etcd://user:secret/more@h/x",
                    "etcd://user:12/secret@h/x",
                    "etcd://user:secret?more@h/x",
                    "etcd://u:12/a?secret@h/x",
                    "etcd://u:p@x/secret@h/x",
                ])
        {
            let error = Address::parse(bad).unwrap_err();
            assert!(error.kind() == ErrorKind::Invalid && !error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "etcd://",
            "etcd:///x",
            "etcd://h",
            "etcd://h/",
            "etcd://h//x",
            "etcd://h/x/",
            "etcd://h/a//b",
            "etcd://h/\n",
            "etcd://h:0/x",
            "etcd://h:70000/x",
            "etcd://h:/x",
            "etcd://h i/x",
            "etcd://h,/x",
            "etcd://[::g]/x",
            "etcd://u@h/x",
            "etcd://h/x?ca=/f",
            "etcd://h/x?nope=1",
            "etcd://h/x?timeout=soon",
            "etcd://h/x?timeout=0",
            "etcd://h/x?session=1",
            "etcds://h/x",
            "etcds://h/x?ca=/f&cert=/c",
            "etcd://h/x?timeout=%zz",
        ] {
            assert_eq!(Address::parse(bad).map_err(|error| error.kind()), Err(ErrorKind::Invalid), "{bad:?}");
        }
    }
}
