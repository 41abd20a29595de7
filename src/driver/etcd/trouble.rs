//! What can go wrong between here and a cluster, and what it means for the one who asked.

use super::address::Address;
use crate::error::{Error, ErrorKind};

// The numbers of gRPC's status codes.
const INVALID_ARGUMENT: i32 = 3;
const NOT_FOUND: i32 = 5;
const PERMISSION_DENIED: i32 = 7;
const RESOURCE_EXHAUSTED: i32 = 8;
const FAILED_PRECONDITION: i32 = 9;
const OUT_OF_RANGE: i32 = 11;
const UNAUTHENTICATED: i32 = 16;

/// Why a request has no answer of the kind that was hoped for.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It did not reach anybody: asking another one, or again, does no harm.
    Unsent(String),
    /// It may have been done, or may yet be.
    Unsure(String),
    /// The revision asked for is no longer kept.
    Compacted,
    /// There is no such lease (any more).
    NoLease,
    /// It was refused, for a reason to be told.
    Refused(ErrorKind, String),
}

impl From<etcd_client::Error> for Trouble {
    fn from(error: etcd_client::Error) -> Self {
        use etcd_client::Error as Theirs;
        match error {
            Theirs::GRpcStatus(status) => {
                let text = chain(status.message(), &status);
                Self::of_status(status.code() as i32, status.message(), text)
            }
            Theirs::TransportError(error) => Self::Unsent(chain(&error.to_string(), &error)),
            Theirs::LeaseKeepAliveError(text) if text.contains("not found") => Self::NoLease,
            Theirs::InvalidArgs(text) => Self::Refused(ErrorKind::Invalid, text),
            other => Self::Unsure(other.to_string()),
        }
    }
}

impl Trouble {
    fn of_status(code: i32, message: &str, text: String) -> Self {
        match code {
            NOT_FOUND if message.contains("lease") => Self::NoLease,
            OUT_OF_RANGE if message.contains("compacted") => Self::Compacted,
            UNAUTHENTICATED | PERMISSION_DENIED => Self::Refused(ErrorKind::Permission, message.to_owned()),
            // Told of authentication in all these codes.
            INVALID_ARGUMENT | FAILED_PRECONDITION if says_who(message) => {
                Self::Refused(ErrorKind::Permission, message.to_owned())
            }
            INVALID_ARGUMENT | RESOURCE_EXHAUSTED
                if message.contains("too large") || message.contains("larger than") =>
            {
                Self::Refused(ErrorKind::TooLarge, message.to_owned())
            }
            INVALID_ARGUMENT if message.contains("too many operations") => {
                Self::Refused(ErrorKind::TooLarge, message.to_owned())
            }
            RESOURCE_EXHAUSTED if message.contains("space exceeded") => {
                Self::Refused(ErrorKind::Full, message.to_owned())
            }
            INVALID_ARGUMENT | FAILED_PRECONDITION => Self::Refused(ErrorKind::Io, text),
            _ if was_never_sent(&text) => Self::Unsent(text),
            _ => Self::Unsure(text),
        }
    }

    /// What it was that kept the request from being answered.
    pub(super) fn reason(&self) -> Option<&str> {
        match self {
            Self::Unsent(why) | Self::Unsure(why) => Some(why),
            Self::Compacted | Self::NoLease | Self::Refused(..) => None,
        }
    }

    /// The error as it is told.
    pub(super) fn told(self, address: &Address) -> Error {
        let shown = address.shown();
        let hosts = address.endpoints.join(", ");
        match self {
            Self::Unsent(why) => {
                let next = match why.contains("ertificate") {
                    true => "check the options ca, name, cert and key, and what its certificate says",
                    false => "check that it runs there",
                };
                let message = format!("{shown}: cannot reach etcd at {hosts} ({why}): {next}");
                Error::new(ErrorKind::Unreachable, message)
            }
            Self::Unsure(why) => {
                let message = format!(
                    "{shown}: no answer from etcd at {hosts} ({why}): what was to be changed may have been changed, look before \
                     trying again"
                );
                Error::new(ErrorKind::Unreachable, message)
            }
            Self::Compacted => Error::new(ErrorKind::Lapped, format!("{shown}: what was asked for was compacted away")),
            Self::NoLease => {
                let message = format!(
                    "{shown}: the session of this process has ended meanwhile, and with it all it held: take it again"
                );
                Error::new(ErrorKind::Lost, message)
            }
            Self::Refused(kind, why) => {
                let next = match kind {
                    ErrorKind::Permission => "check user, password and role: etcd://USER:PASSWORD@HOST/PREFIX",
                    ErrorKind::Full => "compact and defragment etcd, then disarm its alarm",
                    ErrorKind::TooLarge => "split it",
                    _ => "nothing was changed",
                };
                Error::new(kind, format!("{shown}: etcd refuses ({why}): {next}"))
            }
        }
    }
}

fn says_who(message: &str) -> bool {
    ["auth", "user", "password", "permission"].iter().any(|word| message.contains(word))
}

/// What an error says, with what lies beneath it.
fn chain(message: &str, error: &dyn std::error::Error) -> String {
    let mut text = message.to_owned();
    let mut next = error.source();
    while let Some(error) = next {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = error.source();
    }
    text
}

/// Whether no connection came about.
fn was_never_sent(text: &str) -> bool {
    ["connect error", "dns error", "Connection refused", "certificate", "HandshakeFailure", "etcdserver: no leader"]
        .iter()
        .any(|sign| text.contains(sign))
}
