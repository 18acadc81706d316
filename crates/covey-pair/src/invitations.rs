//! Which codes are open, and what became of the others.
//!
//! A code is good for one device, until it expires. That device may come again: the answer to
//! its first try may have been lost. [`MAX_WRONG_GUESSES`] wrong guesses burn the code. What is over is
//! remembered for a while, without its secret, so that a joiner is told why instead of "unknown".

use std::collections::BTreeMap;

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

/// The invitations of one device.
#[derive(Debug, Default)]
pub struct Invitations(BTreeMap<Nameplate, Invitation>);

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
    /// Its time is over, or it was withdrawn.
    Expired,
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
        if self.0.values().filter(|invitation| invitation.is_open()).count() >= MAX_OPEN_INVITATIONS {
            return Err(InviteError::TooMany);
        }
        self.forget_oldest();
        // At most one nameplate in four thousand is taken: the loop all but never runs twice.
        let code = loop {
            let code = Code::generate();
            if !self.0.contains_key(&code.nameplate) {
                break code;
            }
        };
        let secret = Some(code.secret.clone());
        let invitation =
            Invitation { secret, purpose, terms, wrong_guesses: 0, state: InvitationState::Open };
        self.0.insert(code.nameplate, invitation);
        Ok(code)
    }

    /// Ends an invitation early; whether there was one to end.
    pub fn withdraw(&mut self, nameplate: Nameplate) -> bool {
        let open = self.0.get_mut(&nameplate).filter(|invitation| invitation.secret.is_some());
        open.map(|invitation| invitation.close(InvitationState::Expired)).is_some()
    }

    /// Ends the invitations whose time is over.
    pub fn expire(&mut self, now_ms: u64) {
        for invitation in self.0.values_mut() {
            if invitation.secret.is_some() && invitation.terms.expires_at_ms <= now_ms {
                let used = matches!(invitation.state, InvitationState::UsedBy(_));
                invitation.close(if used { invitation.state } else { InvitationState::Expired });
            }
        }
    }

    /// When [`Invitations::expire`] next has something to do, milliseconds since 1970.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        let open = self.0.values().filter(|invitation| invitation.secret.is_some());
        open.map(|invitation| invitation.terms.expires_at_ms).min()
    }

    /// What is known of this invitation.
    pub fn invitation(&self, nameplate: Nameplate) -> Option<&Invitation> {
        self.0.get(&nameplate)
    }

    /// All that are remembered.
    pub fn iter(&self) -> impl Iterator<Item = (Nameplate, &Invitation)> {
        self.0.iter().map(|(nameplate, invitation)| (*nameplate, invitation))
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
        let invitation = self.0.get(&nameplate).ok_or(Refusal::UnknownNameplate)?;
        if invitation.purpose != purpose {
            return Err(Refusal::OtherPurpose);
        }
        match (invitation.state, &invitation.secret) {
            (InvitationState::Burnt, _) => Err(Refusal::Burnt),
            (InvitationState::UsedBy(device), _) if device != joiner => Err(Refusal::Used),
            (InvitationState::Expired, _) | (_, None) => Err(Refusal::Expired),
            (_, Some(secret)) => Ok((secret, invitation.terms)),
        }
    }

    /// Counts a wrong guess; whether it was the one that burns the code.
    pub(crate) fn wrong_guess(&mut self, nameplate: Nameplate) -> bool {
        let Some(invitation) = self.0.get_mut(&nameplate) else { return false };
        invitation.wrong_guesses += 1;
        let burnt = invitation.wrong_guesses >= MAX_WRONG_GUESSES;
        if burnt {
            invitation.close(InvitationState::Burnt);
        }
        burnt
    }

    pub(crate) fn use_up(&mut self, nameplate: Nameplate, joiner: DeviceId) {
        if let Some(invitation) = self.0.get_mut(&nameplate) {
            invitation.state = InvitationState::UsedBy(joiner);
        }
    }

    fn forget_oldest(&mut self) {
        while self.0.len() >= MAX_REMEMBERED_INVITATIONS {
            let over = self.0.iter().filter(|(_, invitation)| !invitation.is_open());
            let oldest = over.min_by_key(|(_, invitation)| invitation.terms.expires_at_ms);
            let Some(nameplate) = oldest.map(|(nameplate, _)| *nameplate) else { return };
            self.0.remove(&nameplate);
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
        assert!(invitations.withdraw(code.nameplate()));
        assert!(!invitations.withdraw(code.nameplate()));
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
            invitations.use_up(code.nameplate(), DeviceId([1; 32]));
        }
        assert_eq!(invitations.iter().count(), MAX_REMEMBERED_INVITATIONS);
    }
}
