//! The joiner's side: asking to be let in, and the first full sync.

use std::time::Duration;

use covey_net::Multiaddr;
use covey_pair::{Code, Joiner, JoinerOutcome, Link, Purpose, Refusal, Terms};
use covey_space::{DeviceCert, JoinRequest, LinkConsent, LinkQuestion, LinkRequest, Welcome};
use covey_types::{DeviceId, SpaceId};
use tokio::{
    io::AsyncWriteExt,
    time::{Instant, timeout_at},
};

use super::{JoinError, PAIRING_TIMEOUT, PROTOCOL, linking, receive, search, send};
use crate::{Joined, Node, NodeError, Space};

/// Joins by a code or a link, and waits for the first full sync.
pub(crate) async fn join(node: &Node, text: &str, timeout: Duration) -> Result<Joined, NodeError> {
    let started = Instant::now();
    let deadline = started + timeout;
    let text = text.trim();
    let (space, inviter) = if text.starts_with("covey:") {
        let link: Link = text.parse().map_err(JoinError::Link)?;
        needs_network(node)?;
        join_by_link(node, Purpose::Space, link, deadline).await?
    } else {
        let code: Code = text.parse().map_err(JoinError::Code)?;
        needs_network(node)?;
        search::join_by_code(node, Purpose::Space, &code, started, deadline).await?
    };
    node.space_added(space);
    first_sync(node, space, inviter, started, deadline).await
}

/// Asked once the code or the link could be read: a slip in it is the first thing to be told.
pub(super) fn needs_network(node: &Node) -> Result<(), JoinError> {
    if node.0.config.network == crate::NetworkMode::Solo { Err(JoinError::Solo) } else { Ok(()) }
}

pub(super) async fn join_by_link(
    node: &Node,
    purpose: Purpose,
    link: Link,
    deadline: Instant,
) -> Result<(SpaceId, DeviceId), NodeError> {
    if link.purpose != purpose {
        return Err(JoinError::OtherKind { found: link.purpose }.into());
    }
    if link.expires_at_ms <= node.now_ms() {
        return Err(JoinError::LinkExpired.into());
    }
    let addresses: Vec<Multiaddr> = link.addresses.iter().filter_map(|text| text.parse().ok()).collect();
    let _asking = node.0.pairing.asking(link.inviter);
    let guesses = search::Guesses::default();
    let mut tries = 0;
    loop {
        tries += 1;
        let connected = timeout_at(deadline, node.0.net.connect(link.inviter, addresses.clone())).await;
        match connected {
            Ok(Ok(())) => {}
            Ok(Err(err)) => return Err(JoinError::Unreachable(err.to_string()).into()),
            Err(_) => return Err(JoinError::Unreachable("nobody answered in time".into()).into()),
        }
        let answer = ask(node, purpose, &link.code, link.inviter, &guesses).await;
        let again = Instant::now() + search::pause_after(tries);
        match answer {
            Answer::Joined(space) => return Ok((space, link.inviter)),
            // It has others before this one, or hasn't noticed yet that this one's last pairing is over.
            Answer::Refused { refusal: Refusal::Busy, confirmed: false } if again < deadline => {
                tokio::time::sleep_until(again).await;
            }
            Answer::Refused { refusal, .. } => return Err(JoinError::Refused(refusal).into()),
            Answer::Broken { reason, .. } => {
                return Err(JoinError::Broken { peer: link.inviter, reason }.into());
            }
            Answer::NotKept(err) => return Err(err),
        }
    }
}

/// What came of asking a device to be let in. `confirmed`: it got a Confirm, and with it one guess.
pub(super) enum Answer {
    /// The space is kept, durably.
    Joined(SpaceId),
    Refused {
        refusal: Refusal,
        confirmed: bool,
    },
    Broken {
        reason: String,
        confirmed: bool,
    },
    /// It is the inviter and let us in, but what it sent could not be kept.
    NotKept(NodeError),
}

/// The joiner's side of one pairing.
pub(super) async fn ask(
    node: &Node,
    purpose: Purpose,
    code: &Code,
    inviter: DeviceId,
    guesses: &search::Guesses,
) -> Answer {
    let mut confirmed = false;
    let talk = talk(node, purpose, code, inviter, guesses, &mut confirmed);
    let reason = match tokio::time::timeout(PAIRING_TIMEOUT, talk).await {
        Ok(Ok(Ok(space))) => return Answer::Joined(space),
        Ok(Ok(Err(refusal))) => return Answer::Refused { refusal, confirmed },
        Ok(Err(Talk::NotKept(err))) => return Answer::NotKept(err),
        Ok(Err(Talk::Broken(reason))) => reason,
        Err(_) => format!("no answer within {} s", PAIRING_TIMEOUT.as_secs()),
    };
    Answer::Broken { reason, confirmed }
}

/// Why asking a device came to no answer.
enum Talk {
    Broken(String),
    NotKept(NodeError),
}

impl<E: ToString> From<E> for Talk {
    fn from(err: E) -> Self {
        Self::Broken(err.to_string())
    }
}

async fn talk(
    node: &Node,
    purpose: Purpose,
    code: &Code,
    inviter: DeviceId,
    guesses: &search::Guesses,
    confirmed: &mut bool,
) -> Result<Result<SpaceId, Refusal>, Talk> {
    let mut stream = node.0.net.open(inviter, PROTOCOL).await?;
    let (mut joiner, first) =
        Joiner::start_for(purpose, code, node.device(), inviter, request(node, purpose))?;
    let mut agreed = None;
    send(&mut stream, &first).await?;
    loop {
        let message = receive(&mut stream).await?;
        let step = joiner.handle(&message)?;
        match step.outcome {
            None => {}
            Some(JoinerOutcome::Refused(refusal)) => return Ok(Err(refusal)),
            Some(JoinerOutcome::Asked(question)) => {
                let LinkQuestion { user } = LinkQuestion::decode(&question)?;
                agreed = Some(user);
                let secrets = node.secrets();
                let signature = DeviceCert::consent(user, &secrets.device, secrets.kem.public());
                send(&mut stream, &joiner.answer(LinkConsent { signature }.encode())?).await?;
            }
            Some(JoinerOutcome::Welcome { welcome, terms }) => {
                let entered = match purpose {
                    Purpose::Space => enter(node, inviter, &welcome, terms).await,
                    Purpose::Device => linking::take_over(node, inviter, &welcome, terms, agreed).await,
                };
                let space = entered.map_err(Talk::NotKept)?;
                if let Some(done) = step.send {
                    // The inviter knows already that this device is in; its thanks may be lost.
                    let _ = send(&mut stream, &done).await;
                    let _ = stream.shutdown().await;
                }
                return Ok(Ok(space));
            }
        }
        if let Some(confirm) = step.send {
            // Counted before it's sent: whatever becomes of it, it may have arrived.
            if !guesses.take() {
                return Err(Talk::Broken("as many devices as may claim the code already".into()));
            }
            *confirmed = true;
            send(&mut stream, &confirm).await?;
        }
    }
}

/// What is said first, once both have proved to know the code.
fn request(node: &Node, purpose: Purpose) -> Vec<u8> {
    let secrets = node.secrets();
    match purpose {
        Purpose::Space => {
            let user_name = secrets.profile.user_name.clone();
            JoinRequest { user_name, device: secrets.certified() }.encode()
        }
        Purpose::Device => {
            let device_name = secrets.profile.device_name.clone();
            LinkRequest { device_name, kem: secrets.kem.public() }.encode()
        }
    }
}

/// Keeps a welcome.
async fn enter(node: &Node, inviter: DeviceId, welcome: &[u8], terms: Terms) -> Result<SpaceId, NodeError> {
    let welcome = Welcome::decode(welcome).map_err(|err| NodeError::Invalid(err.to_string()))?;
    if welcome.space != terms.space
        || welcome.role.to_u8() != terms.role
        || welcome.inviter.cert.device != inviter
    {
        return Err(NodeError::Invalid("the welcome contradicts what was agreed".into()));
    }
    node.0.peers.remember(node, inviter, &welcome.addresses);
    let Welcome { space, name, keys, .. } = welcome;
    let (secrets, now) = (node.secrets(), node.now_ms());
    let entered = node.write(move |tx, engine| {
        engine.enter_space(tx, space, &name, keys, inviter)?;
        // Somebody who was here before may hold what these keys open.
        Ok(engine.release(tx, &secrets, space, covey_engine::HoldReason::Key, now)?)
    });
    crate::sync::conclude(node, space, &entered.await?);
    Ok(space)
}

/// Waits until this device has everything that the inviter had.
pub(super) async fn first_sync(
    node: &Node,
    space: SpaceId,
    inviter: DeviceId,
    started: Instant,
    deadline: Instant,
) -> Result<Joined, NodeError> {
    let mut events = node.events();
    loop {
        let is_member = node.engine().space(space)?.membership.role_of(node.device()).is_some();
        let view = node.0.sessions.view(inviter, space);
        if is_member && view.is_some_and(|view| view.heads_known && view.missing_here == 0) {
            let space = Space::new(node.clone(), space);
            let records = space.status().await?.records;
            return Ok(Joined { space, records });
        }
        // The view also moves without an event: look at it now and then.
        let look_again = (Instant::now() + Duration::from_millis(20)).min(deadline);
        let _ = timeout_at(look_again, events.recv()).await;
        if Instant::now() >= deadline {
            return Err(not_synced(node, space, inviter, started.elapsed()).into());
        }
    }
}

fn not_synced(node: &Node, space: SpaceId, inviter: DeviceId, waited: Duration) -> JoinError {
    let is_connected = node.0.sessions.has(inviter);
    let reason = node.0.sessions.trouble(inviter).map(|trouble| trouble.reason);
    let reason = reason.unwrap_or_else(|| {
        let state = if is_connected { "still sends" } else { "can't be reached just now" };
        format!("the device that let this one in {state}")
    });
    JoinError::NotSynced { space: Space::new(node.clone(), space).name(), reason, waited }
}
