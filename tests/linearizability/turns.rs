//! Workers that take turns: under a lock, or as the leader of a group.

use std::time::Duration;

use shmsync::{ErrorKind, LockState, Result, Sync, Token};

use super::{
    model::Model,
    operation::{Answer, Call},
    worker::{Work, name},
};

/// A lock that is held, or a leadership.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
enum Turn {
    Lock(shmsync::LockGuard),
    Leader(shmsync::Leadership),
}

impl Turn {
    /// Tries, waits for a while, or waits for as long as it takes.
    fn take(store: &Sync, model: Model, key: usize, patience: Option<Duration>) -> Result<Option<Self>> {
        let (lock, leader) = (store.lock(&name(key))?, store.leader(&name(key))?);
        let taken = match (model, patience) {
            (Model::Leader, Some(Duration::ZERO)) => return Ok(leader.try_elect("somebody")?.map(Self::Leader)),
            (Model::Leader, Some(time)) => leader.elect_timeout("somebody", time).map(Self::Leader),
            (Model::Leader, None) => leader.elect("somebody").map(Self::Leader),
            (_, Some(Duration::ZERO)) => return Ok(lock.try_acquire()?.map(Self::Lock)),
            (_, Some(time)) => lock.acquire_timeout(time).map(Self::Lock),
            (_, None) => lock.acquire().map(Self::Lock),
        };
        match taken {
            Err(error) if error.kind() == ErrorKind::Timeout => Ok(None),
            taken => taken.map(Some),
        }
    }

    fn token(&self) -> Token {
        match self {
            Self::Lock(guard) => guard.token(),
            Self::Leader(leadership) => leadership.token(),
        }
    }

    /// What it is asked meanwhile, and what it says.
    fn look(&self) -> (Call, Box<dyn Fn() -> Result<Answer> + '_>) {
        let token = self.token().get();
        match self {
            Self::Lock(guard) => (Call::Holds(token), Box::new(|| guard.is_held().map(Answer::Was))),
            Self::Leader(leader) => (Call::IsRevoked(token), Box::new(|| Ok(Answer::Was(leader.is_revoked())))),
        }
    }

    fn release(self) -> Result<Answer> {
        match self {
            Self::Lock(guard) => guard.release().map(Answer::Was),
            Self::Leader(leadership) => leadership.resign().map(Answer::Was),
        }
    }
}

impl Work<'_> {
    pub(super) fn use_turns(&mut self, key: usize) {
        match self.dice().below(20) {
            0..10 => self.look_who(key),
            10 => self.force(key),
            11..14 => self.take_turn(key, Some(Duration::ZERO)),
            14..16 => {
                let time = Duration::from_micros(1 + self.dice().below(3_000));
                self.take_turn(key, Some(time));
            }
            _ => self.take_turn(key, None),
        }
    }

    /// Takes it, and where that succeeds, looks and gives it back; a token that was given back is good for nothing.
    pub(super) fn take_turn(&mut self, key: usize, patience: Option<Duration>) {
        let (model, owner, mut turn) = (self.worker.setting.model, std::process::id(), None);
        self.record(key, Call::Take { owner }, |store| {
            turn = Turn::take(store, model, key, patience)?;
            Ok(turn.as_ref().map_or(Answer::Conflict, |turn| Answer::Stored(turn.token().get())))
        });
        let Some(turn) = turn else { return };
        let token = turn.token();
        if self.dice().below(3) == 0 {
            std::thread::sleep(Duration::from_micros(self.dice().below(200)));
        }
        let (call, look) = turn.look();
        self.record(key, call, |_| look());
        drop(look);
        self.record(key, Call::Release(token.get()), |_| turn.release());
        if model == Model::Lock && self.dice().below(2) == 0 {
            let again = |store: &Sync| store.lock(&name(key))?.release_with(token).map(Answer::Was);
            self.record(key, Call::Release(token.get()), again);
        }
    }

    fn look_who(&mut self, key: usize) {
        let model = self.worker.setting.model;
        self.record(key, Call::Who, |store| {
            let token = match model {
                Model::Leader => store.leader(&name(key))?.current()?.map(|leader| leader.token),
                _ => match store.lock(&name(key))?.state()? {
                    LockState::Held(owner) | LockState::Orphaned(owner) => Some(owner.token),
                    _ => None,
                },
            };
            Ok(Answer::Holder(token.map_or(0, Token::get)))
        });
    }

    fn force(&mut self, key: usize) {
        let model = self.worker.setting.model;
        self.record(key, Call::Force, |store| {
            Ok(Answer::Was(match model {
                Model::Leader => store.leader(&name(key))?.force_resign()?,
                _ => store.lock(&name(key))?.force_release()?,
            }))
        });
    }
}
