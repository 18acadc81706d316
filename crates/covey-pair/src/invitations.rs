//! Which codes are open, and what became of the others.
//!
//! A code is good for one device, until it expires. That device may come again: the answer to
//! its first try may have been lost. [`MAX_WRONG_GUESSES`] wrong guesses burn the code. What is over is
//! remembered for a while, without its secret, so that a joiner is told why instead of "unknown".
//!
//! What happens to invitations is told by [`Invitations::poll_news`], to be kept and shown: call it after whatever may have
//! changed one.

use std::collections::{BTreeMap, VecDeque};

use covey_types::{
    DeviceId,
    limits::{MAX_INVITE_MS, MAX_WRONG_GUESSES},
};

use crate::{
    Purpose, Terms,
    code::{Code, Nameplate, Secret},
    message::Refusal,
};

/// Most invitations open at a time: beyond what people do, and small beside the 2^20 nameplates.
pub const MAX_OPEN_INVITATIONS: usize = 64;

/// Most invitations remembered, open ones included; of the others the oldest are forgotten first.
pub const MAX_REMEMBERED_INVITATIONS: usize = 256;

/// Most news that waits for being polled: what all remembered invitations can give rise to. The oldest goes first.
const MAX_NEWS: usize = MAX_REMEMBERED_INVITATIONS * (2 + MAX_WRONG_GUESSES as usize);

/// The invitations of one device.
#[derive(Debug, Default)]
pub struct Invitations {
    known: BTreeMap<Nameplate, Invitation>,
    news: VecDeque<News>,
}

/// Something that happened to an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct News {
    /// To which.
    pub nameplate: Nameplate,
    /// What its code is for.
    pub purpose: Purpose,
    /// What it invites to, and until when.
    pub terms: Terms,
    /// When, milliseconds since 1970.
    pub at_ms: u64,
    /// What.
    pub what: Happening,
}

/// What may happen to an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// It was made.
    Opened,
    /// This device gave a wrong code for it.
    GuessedWrong(DeviceId),
    /// This device gave the right code.
    UsedBy(DeviceId),
    /// This device gave one wrong code too many.
    BurntBy(DeviceId),
    /// Its time was over, and nobody had used it.
    Expired,
    /// It was withdrawn.
    Withdrawn,
}

/// One invitation.
#[derive(Debug)]
pub struct Invitation {
    /// Gone once nobody may use it any more.
    secret: Option<Secret>,
    purpose: Purpose,
    terms: Terms,
    wrong_guesses: u32,
    state: InvitationState,
}

/// What became of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvitationState {
    /// Nobody has used it yet.
    Open,
    /// This device gave the right code.
    UsedBy(DeviceId),
    /// Guessed wrong too often.
    Burnt,
    /// Its time is over.
    Expired,
    /// Whoever made it took it back.
    Withdrawn,
}

impl Invitation {
    /// What its code is for.
    pub const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// What it invites to, and until when.
    pub const fn terms(&self) -> Terms {
        self.terms
    }

    /// What became of it.
    pub const fn state(&self) -> InvitationState {
        self.state
    }

    /// How often a wrong code was given.
    pub const fn wrong_guesses(&self) -> u32 {
        self.wrong_guesses
    }

    fn is_open(&self) -> bool {
        self.state == InvitationState::Open
    }

    fn close(&mut self, state: InvitationState) {
        self.secret = None;
        self.state = state;
    }
}

/// Why there is no new invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InviteError {
    /// [`MAX_OPEN_INVITATIONS`] are open.
    #[error(
        "{MAX_OPEN_INVITATIONS} invitations are open already; wait until one is used or expires, or withdraw one"
    )]
    TooMany,
    /// It would be over before it begins.
    #[error("the invitation would have expired {ago_ms} ms ago")]
    Past {
        /// Since when.
        ago_ms: u64,
    },
    /// Longer than [`MAX_INVITE_MS`].
    #[error("an invitation for {for_ms} ms is longer than the limit of {MAX_INVITE_MS} ms")]
    TooLong {
        /// How long it was to be.
        for_ms: u64,
    },
}

impl Invitations {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new invitation into a space on these terms, which say when it expires. `now_ms` is the wall clock,
    /// milliseconds since 1970.
    pub fn open(&mut self, terms: Terms, now_ms: u64) -> Result<Code, InviteError> {
        self.open_for(Purpose::Space, terms, now_ms)
    }

    /// As [`Invitations::open`], for this purpose.
    pub fn open_for(&mut self, purpose: Purpose, terms: Terms, now_ms: u64) -> Result<Code, InviteError> {
        self.expire(now_ms);
        let for_ms = terms.expires_at_ms.saturating_sub(now_ms);
        if for_ms == 0 {
            return Err(InviteError::Past { ago_ms: now_ms - terms.expires_at_ms });
        }
        if for_ms > MAX_INVITE_MS {
            return Err(InviteError::TooLong { for_ms });
        }
        if self.known.values().filter(|invitation| invitation.is_open()).count() >= MAX_OPEN_INVITATIONS {
            return Err(InviteError::TooMany);
        }
        self.forget_oldest();
        // At most one nameplate in four thousand is taken: the loop all but never runs twice.
        let code = loop {
            let code = Code::generate();
            if !self.known.contains_key(&code.nameplate) {
                break code;
            }
        };
        let secret = Some(code.secret.clone());
        let invitation =
            Invitation { secret, purpose, terms, wrong_guesses: 0, state: InvitationState::Open };
        self.known.insert(code.nameplate, invitation);
        self.tell(code.nameplate, Happening::Opened, now_ms);
        Ok(code)
    }

    /// Ends an invitation early; whether there was one to end. One that was used stays so: its device can't come again.
    pub fn withdraw(&mut self, nameplate: Nameplate, now_ms: u64) -> bool {
        self.expire(now_ms);
        let open = self.known.get_mut(&nameplate).filter(|invitation| invitation.secret.is_some());
        let Some(invitation) = open else { return false };
        if invitation.is_open() {
            invitation.close(InvitationState::Withdrawn);
            self.tell(nameplate, Happening::Withdrawn, now_ms);
        } else {
            invitation.close(invitation.state);
        }
        true
    }

    /// Ends the invitations whose time is over.
    pub fn expire(&mut self, now_ms: u64) {
        let mut expired = Vec::new();
        for (nameplate, invitation) in &mut self.known {
            if invitation.secret.is_some() && invitation.terms.expires_at_ms <= now_ms {
                if invitation.is_open() {
                    expired.push((*nameplate, invitation.terms.expires_at_ms));
                    invitation.close(InvitationState::Expired);
                } else {
                    invitation.close(invitation.state);
                }
            }
        }
        expired.into_iter().for_each(|(nameplate, at_ms)| self.tell(nameplate, Happening::Expired, at_ms));
    }

    /// The next thing that happened, of those not polled yet.
    pub fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    fn tell(&mut self, nameplate: Nameplate, what: Happening, at_ms: u64) {
        let Some(&Invitation { purpose, terms, .. }) = self.known.get(&nameplate) else { return };
        if self.news.len() >= MAX_NEWS {
            self.news.pop_front();
        }
        self.news.push_back(News { nameplate, purpose, terms, at_ms, what });
    }

    /// When [`Invitations::expire`] next has something to do, milliseconds since 1970.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        let open = self.known.values().filter(|invitation| invitation.secret.is_some());
        open.map(|invitation| invitation.terms.expires_at_ms).min()
    }

    /// What is known of this invitation.
    pub fn invitation(&self, nameplate: Nameplate) -> Option<&Invitation> {
        self.known.get(&nameplate)
    }

    /// All that are remembered.
    pub fn iter(&self) -> impl Iterator<Item = (Nameplate, &Invitation)> {
        self.known.iter().map(|(nameplate, invitation)| (*nameplate, invitation))
    }

    /// Whether this device may try this invitation now, and with what.
    pub(crate) fn admit(
        &mut self,
        nameplate: Nameplate,
        purpose: Purpose,
        joiner: DeviceId,
        now_ms: u64,
    ) -> Result<(&Secret, Terms), Refusal> {
        self.expire(now_ms);
        let invitation = self.known.get(&nameplate).ok_or(Refusal::UnknownNameplate)?;
        if invitation.purpose != purpose {
            return Err(Refusal::OtherPurpose);
        }
        match (invitation.state, &invitation.secret) {
            (InvitationState::Burnt, _) => Err(Refusal::Burnt),
            (InvitationState::UsedBy(device), _) if device != joiner => Err(Refusal::Used),
            (InvitationState::Expired | InvitationState::Withdrawn, _) | (_, None) => Err(Refusal::Expired),
            (_, Some(secret)) => Ok((secret, invitation.terms)),
        }
    }

    /// Counts a wrong guess; whether it was the one that burns the code.
    pub(crate) fn wrong_guess(&mut self, nameplate: Nameplate, guesser: DeviceId, now_ms: u64) -> bool {
        let Some(invitation) = self.known.get_mut(&nameplate) else { return false };
        invitation.wrong_guesses += 1;
        let burnt = invitation.wrong_guesses >= MAX_WRONG_GUESSES;
        if burnt {
            invitation.close(InvitationState::Burnt);
        }
        self.tell(nameplate, Happening::GuessedWrong(guesser), now_ms);
        if burnt {
            self.tell(nameplate, Happening::BurntBy(guesser), now_ms);
        }
        burnt
    }

    pub(crate) fn use_up(&mut self, nameplate: Nameplate, joiner: DeviceId, now_ms: u64) {
        let Some(invitation) = self.known.get_mut(&nameplate) else { return };
        let is_news = invitation.is_open();
        invitation.state = InvitationState::UsedBy(joiner);
        if is_news {
            self.tell(nameplate, Happening::UsedBy(joiner), now_ms);
        }
    }

    fn forget_oldest(&mut self) {
        while self.known.len() >= MAX_REMEMBERED_INVITATIONS {
            let over = self.known.iter().filter(|(_, invitation)| !invitation.is_open());
            let oldest = over.min_by_key(|(_, invitation)| invitation.terms.expires_at_ms);
            let Some(nameplate) = oldest.map(|(nameplate, _)| *nameplate) else { return };
            self.known.remove(&nameplate);
        }
    }
}

#[cfg(test)]
mod tests {
    use covey_types::{SpaceId, limits::DEFAULT_INVITE_MS};

    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn terms(for_ms: u64) -> Terms {
        Terms { space: SpaceId([1; 32]), role: 2, expires_at_ms: NOW_MS + for_ms }
    }

    #[test]
    fn the_number_of_open_invitations_and_their_life_are_bounded() {
        let mut invitations = Invitations::new();
        let past = InviteError::Past { ago_ms: 0 };
        assert_eq!(invitations.open(terms(0), NOW_MS), Err(past));
        let for_ms = MAX_INVITE_MS + 1;
        assert_eq!(invitations.open(terms(for_ms), NOW_MS), Err(InviteError::TooLong { for_ms }));
        let code = invitations.open(terms(1000), NOW_MS).unwrap();
        for _ in 1..MAX_OPEN_INVITATIONS {
            invitations.open(terms(DEFAULT_INVITE_MS), NOW_MS).unwrap();
        }
        assert_eq!(invitations.open(terms(1000), NOW_MS), Err(InviteError::TooMany));
        assert_eq!(invitations.next_expiry_ms(), Some(NOW_MS + 1000));
        assert!(invitations.withdraw(code.nameplate(), NOW_MS));
        assert!(!invitations.withdraw(code.nameplate(), NOW_MS));
        assert_eq!(invitations.invitation(code.nameplate()).unwrap().state(), InvitationState::Withdrawn);
        assert!(invitations.open(terms(1000), NOW_MS).is_ok());
    }

    #[test]
    fn what_is_over_is_remembered_for_a_while_without_its_secret() {
        let mut invitations = Invitations::new();
        let first = invitations.open(terms(1), NOW_MS).unwrap().nameplate();
        for i in 1..2 * MAX_REMEMBERED_INVITATIONS as u64 {
            invitations.open(terms(1 + i), NOW_MS + i).unwrap();
            if i == 1 {
                let expired = invitations.invitation(first).unwrap();
                assert_eq!((expired.state(), expired.secret.is_none()), (InvitationState::Expired, true));
            }
        }
        assert!(invitations.invitation(first).is_none());
        assert_eq!(invitations.iter().count(), MAX_REMEMBERED_INVITATIONS);
    }

    #[test]
    fn used_invitations_make_room_for_new_ones() {
        let mut invitations = Invitations::new();
        for _ in 0..2 * MAX_REMEMBERED_INVITATIONS {
            let code = invitations.open(terms(DEFAULT_INVITE_MS), NOW_MS).unwrap();
            invitations.use_up(code.nameplate(), DeviceId([1; 32]), NOW_MS);
        }
        assert_eq!(invitations.iter().count(), MAX_REMEMBERED_INVITATIONS);
    }

    #[test]
    fn whatever_becomes_of_an_invitation_is_told_once() {
        let (joiner, stranger) = (DeviceId([1; 32]), DeviceId([2; 32]));
        let mut invitations = Invitations::new();
        let [used, burnt, expired, withdrawn] =
            [0; 4].map(|_| invitations.open(terms(1000), NOW_MS).unwrap().nameplate());
        for _ in 0..2 {
            invitations.use_up(used, joiner, NOW_MS + 1);
            invitations.withdraw(withdrawn, NOW_MS + 2);
        }
        let burns =
            [0; MAX_WRONG_GUESSES as usize].map(|_| invitations.wrong_guess(burnt, stranger, NOW_MS + 3));
        assert_eq!(burns, [false, false, true]);
        (0..2).for_each(|_| invitations.expire(NOW_MS + 5000));
        let all: Vec<News> = std::iter::from_fn(|| invitations.poll_news()).collect();
        let of = |nameplate| -> Vec<(Happening, u64)> {
            let its = all.iter().filter(|news| news.nameplate == nameplate);
            its.map(|news| (news.what, news.at_ms - NOW_MS)).collect()
        };
        let opened = (Happening::Opened, 0);
        assert_eq!(of(used), [opened, (Happening::UsedBy(joiner), 1)]);
        assert_eq!(of(withdrawn), [opened, (Happening::Withdrawn, 2)]);
        // Found out late, it expired when it did.
        assert_eq!(of(expired), [opened, (Happening::Expired, 1000)]);
        let wrong = (Happening::GuessedWrong(stranger), 3);
        assert_eq!(of(burnt), [opened, wrong, wrong, wrong, (Happening::BurntBy(stranger), 3)]);
    }

    #[test]
    fn news_that_nobody_polls_is_bounded() {
        let mut invitations = Invitations::new();
        for i in 0..2 * MAX_NEWS as u64 {
            let code = invitations.open(terms(1 + i), NOW_MS + i).unwrap();
            invitations.withdraw(code.nameplate(), NOW_MS + i);
        }
        let last = invitations.news.back().unwrap();
        assert_eq!((invitations.news.len(), last.at_ms), (MAX_NEWS, NOW_MS + 2 * MAX_NEWS as u64 - 1));
    }
}
