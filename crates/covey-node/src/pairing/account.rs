//! The account of this device's invitations: what happens to them is told as events, and kept, since no entry says it.
//!
//! [`Invitations`](covey_pair::Invitations) are in memory only, so that a code is dead when the node stops. What is kept
//! says so: an invitation of an earlier run that has no end yet is noted as expired.

use std::time::Duration;

use covey_engine::Engine;
use covey_pair::{Happening, InvitationState, Nameplate, News, Purpose};
use covey_space::Role;
use covey_store::{PairingKind, PairingRow};
use covey_types::{DeviceId, SpaceId};

use crate::{Event, Node, NodeError, Person, Space};

/// How long the keeper sleeps at most before it looks at the clock again: that may have been set, or the machine have slept.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Something that happened to an invitation of this device. No entry proves it: this device alone says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingAct {
    /// Its number: larger than those of what was kept before.
    pub number: u64,
    /// When, by this device's clock, milliseconds since 1970.
    pub at_ms: u64,
    /// Which invitation: the public half of its code.
    pub invitation: Nameplate,
    /// What happened.
    pub what: Happening,
    /// Who did it: this device, or the one that gave a code.
    pub who: Person,
    /// Whether the code was to make a device one of this user's, in place of letting somebody into the space.
    pub is_link: bool,
    /// The role that it gave; `None` for one of a later version.
    pub role: Option<Role>,
    /// Until when it was to last, milliseconds since 1970.
    pub expires_at_ms: u64,
}

fn kept(news: &News) -> PairingRow {
    let (kind, device) = match news.what {
        Happening::Opened => (PairingKind::Invited, None),
        Happening::GuessedWrong(device) => (PairingKind::WrongCode, Some(device)),
        Happening::UsedBy(device) => (PairingKind::Used, Some(device)),
        Happening::BurntBy(device) => (PairingKind::Burnt, Some(device)),
        Happening::Expired => (PairingKind::Expired, None),
        Happening::Withdrawn => (PairingKind::Withdrawn, None),
    };
    PairingRow {
        at_ms: news.at_ms,
        nameplate: news.nameplate.number(),
        kind,
        purpose: u8::from(news.purpose == Purpose::Device),
        role: news.terms.role,
        expires_ms: news.terms.expires_at_ms,
        device,
    }
}

/// What a kept row says; `None` if it can't be read, as after damage.
fn happening(row: &PairingRow) -> Option<Happening> {
    Some(match row.kind {
        PairingKind::Invited => Happening::Opened,
        PairingKind::WrongCode => Happening::GuessedWrong(row.device?),
        PairingKind::Used => Happening::UsedBy(row.device?),
        PairingKind::Burnt => Happening::BurntBy(row.device?),
        PairingKind::Expired => Happening::Expired,
        PairingKind::Withdrawn => Happening::Withdrawn,
    })
}

fn tell(node: &Node, news: &News) {
    let state = match news.what {
        Happening::Opened | Happening::GuessedWrong(_) => return,
        Happening::UsedBy(device) => InvitationState::UsedBy(device),
        Happening::BurntBy(_) => InvitationState::Burnt,
        Happening::Expired => InvitationState::Expired,
        Happening::Withdrawn => InvitationState::Withdrawn,
    };
    node.emit(Event::Invitation { space: news.terms.space, invitation: news.nameplate, state });
}

/// Keeps and tells what has happened to invitations since this was last done.
pub(crate) async fn note(node: &Node) -> Result<(), NodeError> {
    let node_of_task = node.clone();
    let noting = async move {
        let node = node_of_task;
        // One after the other, so that the end of an invitation is kept behind its beginning.
        let _turn = node.0.pairing.noting.lock().await;
        let news: Vec<News> = {
            let mut invitations = node.0.pairing.invitations();
            std::iter::from_fn(|| invitations.poll_news()).collect()
        };
        if news.is_empty() {
            return Ok(());
        }
        let rows: Vec<(SpaceId, PairingRow)> =
            news.iter().map(|news| (news.terms.space, kept(news))).collect();
        let written = node.write(move |tx, engine| {
            for (space, row) in &rows {
                // A space that is gone has nothing left to be told of.
                if let Ok(state) = engine.space(*space) {
                    tx.add_pairing(state.key, row)?;
                }
            }
            Ok(())
        });
        let written = written.await;
        news.iter().for_each(|news| tell(&node, news));
        written
    };
    node.to_its_end(noting).await
}

/// Ends what an earlier run left open: its codes went with it.
async fn end_what_was_left(node: &Node) -> Result<(), NodeError> {
    let spaces: Vec<_> = node.engine().spaces.values().map(|space| space.key).collect();
    let now = node.now_ms();
    let left = node.0.store.read(move |reader| {
        let mut left = Vec::new();
        for space in spaces {
            left.extend(reader.unended_pairing(space)?.into_iter().map(|row| (space, row)));
        }
        Ok(left)
    });
    let left = left.await?;
    if left.is_empty() {
        return Ok(());
    }
    let end = move |tx: &mut covey_store::Tx<'_>, _: &mut Engine| {
        for (space, row) in &left {
            let at_ms = row.expires_ms.min(now);
            tx.add_pairing(*space, &PairingRow { at_ms, kind: PairingKind::Expired, ..*row })?;
        }
        Ok(())
    };
    node.write(end).await
}

/// Keeps the account while the node runs, and ends invitations when their time is over.
pub(crate) async fn keep(node: Node) {
    loop {
        if let Err(err) = note(&node).await {
            tracing::warn!(%err, "keeping what became of invitations");
        }
        let next = node.0.pairing.invitations().next_expiry_ms();
        let wait = next.map_or(LOOK_AGAIN, |at_ms| {
            Duration::from_millis(at_ms.saturating_sub(node.now_ms())).min(LOOK_AGAIN)
        });
        // Whoever changes an invitation says so; without one there is nothing to wait for.
        tokio::select! {
            () = node.0.pairing.changed.notified() => {}
            () = tokio::time::sleep(wait), if next.is_some() => {
                let now = node.now_ms();
                node.0.pairing.invitations().expire(now);
            }
        }
    }
}

/// As [`end_what_was_left`], at a start, which doesn't fail for it.
pub(crate) async fn begin(node: &Node) {
    if let Err(err) = end_what_was_left(node).await {
        tracing::warn!(%err, "ending the invitations of an earlier run");
    }
}

/// Takes an invitation back: how it has ended then.
async fn withdraw(
    node: &Node,
    text: &str,
    wanted: (SpaceId, Purpose),
) -> Result<(Nameplate, InvitationState), NodeError> {
    // What was given isn't repeated: a mistyped code holds most of a secret.
    let no_name =
        |_| NodeError::Invalid("an invitation is named by the first half of its code, like 7K2M".into());
    let nameplate: Nameplate = text.parse().map_err(no_name)?;
    let missing = || NodeError::NotFound { kind: "invitation", name: nameplate.to_string() };
    let now = node.now_ms();
    let state = {
        let mut invitations = node.0.pairing.invitations();
        let is_meant =
            |invitation: &&covey_pair::Invitation| (invitation.terms().space, invitation.purpose()) == wanted;
        invitations.expire(now);
        invitations.invitation(nameplate).filter(is_meant).ok_or_else(missing)?;
        invitations.withdraw(nameplate, now);
        invitations.invitation(nameplate).ok_or_else(missing)?.state()
    };
    note(node).await?;
    if let InvitationState::UsedBy(device) = state {
        let why = format!("the code {nameplate} was used already, by the device {device}");
        return Err(NodeError::Conflict(why));
    }
    Ok((nameplate, state))
}

/// Who a device is, by what the space tells of it.
fn person(engine: &Engine, space: SpaceId, device: DeviceId) -> Person {
    let nobody = Person { device: Some(device), ..Person::default() };
    let Ok(state) = engine.space(space) else { return nobody };
    let membership = &state.membership;
    let user = membership.user_of(device);
    Person {
        user,
        user_name: user.and_then(|user| membership.user_name(user)).map(str::to_owned),
        device_name: membership.device_name(device).map(str::to_owned),
        ..nobody
    }
}

impl Space {
    /// Takes an invitation to it back, by its nameplate. One that was burnt or has expired is over anyhow: which of these it
    /// is, is told.
    ///
    /// # Errors
    /// [`NodeError::NotFound`] if this run of the node has made no such invitation; [`NodeError::Conflict`] if it was used.
    pub async fn withdraw(&self, invitation: &str) -> Result<(Nameplate, InvitationState), NodeError> {
        withdraw(&self.node, invitation, (self.id(), Purpose::Space)).await
    }

    /// What happened to this device's invitations to it, oldest first: kept here, and told by nobody else.
    ///
    /// # Errors
    /// The store's.
    pub async fn pairing(&self) -> Result<Vec<PairingAct>, NodeError> {
        note(&self.node).await?;
        let (key, id, own) = (self.node.engine().space(self.id())?.key, self.id(), self.node.device());
        let rows = self.node.0.store.read(move |reader| reader.pairing(key)).await?;
        let engine = self.node.engine();
        let act = |(number, row): (u64, PairingRow)| {
            Some(PairingAct {
                number,
                at_ms: row.at_ms,
                invitation: Nameplate::new(row.nameplate)?,
                what: happening(&row)?,
                who: person(&engine, id, row.device.unwrap_or(own)),
                is_link: row.purpose == 1,
                role: Role::from_u8(row.role),
                expires_at_ms: row.expires_ms,
            })
        };
        Ok(rows.into_iter().filter_map(act).collect())
    }
}

impl Node {
    /// As [`Space::withdraw`], of an invitation to be a device of this user's.
    ///
    /// # Errors
    /// As there.
    pub async fn withdraw_link(&self, invitation: &str) -> Result<(Nameplate, InvitationState), NodeError> {
        let missing = || NodeError::Internal("there is no personal space".into());
        let personal = self.0.own.personal().ok_or_else(missing)?;
        withdraw(self, invitation, (personal, Purpose::Device)).await
    }
}
