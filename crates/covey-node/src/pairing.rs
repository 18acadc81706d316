//! Inviting and joining over the network: `covey-pair` driven over a raw stream.
//!
//! A joiner with a code asks every device that it can find whether the code is theirs; with a link it goes
//! to the one that the link names. The inviter writes the joiner into its log, durably, before it sends the
//! welcome; the joiner keeps the welcome, durably, before it says that it has it.
//!
//! Both sides bound what a stranger can guess: [`Invitations`] counts an inviter's wrong guesses, and
//! [`search`] what a joiner lets others check.

mod search;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use covey_log::Kind;
use covey_net::{Multiaddr, NetStream};
use covey_pair::{
    Code, CodeError, Invitations, InviteError, Inviter, InviterOutcome, Joiner, JoinerOutcome, Link,
    LinkError, PairError, Refusal, Terms,
};
use covey_space::{JoinRequest, Role, Welcome};
use covey_types::{
    DeviceId, SpaceId,
    limits::{MAX_INVITE_MS, MAX_PAIR_MESSAGE_BYTES},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::{Invitation, Joined, Node, NodeError, Space, engine};

/// The stream's protocol.
const PROTOCOL: &str = "/covey/pair/1";

/// How long one pairing may take on the inviter's side, and one attempt on the joiner's.
const PAIRING_TIMEOUT: Duration = Duration::from_secs(20);

/// Pairings that an inviter holds at a time: each is a guess at most.
const MAX_PAIRINGS: usize = 8;

/// Invitations and the pairings that are under way.
#[derive(Debug)]
pub(crate) struct Pairing {
    invitations: Mutex<Invitations>,
    slots: Semaphore,
    /// The devices that are pairing now: one at a time each, so that a single stranger can't take all the slots.
    busy: Mutex<BTreeSet<DeviceId>>,
    /// The devices that this one is asking to be let in, and by how many joins at once.
    asked: Mutex<BTreeMap<DeviceId, u32>>,
}

/// A device's turn to pair; ends when dropped.
struct Turn<'a> {
    pairing: &'a Pairing,
    device: DeviceId,
    _slot: tokio::sync::SemaphorePermit<'a>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pairing.busy().remove(&self.device);
    }
}

/// While it lives, this device is asking another to be let in.
struct Asking<'a> {
    pairing: &'a Pairing,
    device: DeviceId,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut asked = self.pairing.asked();
        if let Some(joins) = asked.get_mut(&self.device) {
            *joins -= 1;
            if *joins == 0 {
                asked.remove(&self.device);
            }
        }
    }
}

impl Default for Pairing {
    fn default() -> Self {
        Self {
            invitations: Mutex::default(),
            slots: Semaphore::new(MAX_PAIRINGS),
            busy: Mutex::default(),
            asked: Mutex::default(),
        }
    }
}

/// Why a space could not be joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Not a code.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// Not a link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The link's time is over.
    #[error("the invitation link has expired; ask for a new one")]
    LinkExpired,
    /// The inviter said no.
    #[error(transparent)]
    Refused(Refusal),
    /// Nobody knows the code.
    #[error(
        "nobody answered to this code within {} s; {asked} devices were asked. Is the inviting node running, and on the \
         same network? A link from `covey invite` works across networks.",
        waited.as_secs()
    )]
    NobodyAnswered {
        /// How long was waited.
        waited: Duration,
        /// How many devices were found and asked.
        asked: usize,
    },
    /// The inviter of a link could not be reached.
    #[error("the inviting device could not be reached at the addresses in the link: {0}")]
    Unreachable(String),
    /// Joined, but the inviter went away before everything was there.
    #[error("joined {space:?}, but the first sync did not finish within {} s; it goes on by itself", waited.as_secs())]
    NotSynced {
        /// The space's name.
        space: String,
        /// How long was waited.
        waited: Duration,
    },
    /// As many devices as may claimed the code as theirs, and none proved that it knows the code.
    #[error(
        "{devices} devices answered to this code and none of them knows it: either it is mistyped, or somebody on \
         this network is guessing. Ask for a new code, or for the link from `covey invite`."
    )]
    Guessed {
        /// How many.
        devices: u32,
    },
    /// The conversation broke off.
    #[error("pairing with {peer} broke off: {reason}")]
    Broken {
        /// With whom.
        peer: DeviceId,
        /// Why.
        reason: String,
    },
    /// This node has no network.
    #[error("this node runs without a network (solo); start it with --network lan to join")]
    Solo,
}

/// Opens an invitation.
pub(crate) async fn invite(space: &Space, role: Role, expires: Duration) -> Result<Invitation, NodeError> {
    let node = &space.node;
    let device = node.device();
    let name = {
        let engine = node.engine();
        let state = engine.space(space.id())?;
        engine::require_role(state, device, role.max(Role::Admin))?;
        state.name().to_owned()
    };
    let now = node.now_ms();
    let terms = Terms {
        space: space.id(),
        role: role.to_u8(),
        expires_at_ms: now.saturating_add(u64::try_from(expires.as_millis()).unwrap_or(u64::MAX)),
    };
    let code = node.0.pairing.invitations().open(terms, now).map_err(|err| match err {
        InviteError::TooLong { .. } => NodeError::Invalid(format!(
            "an invitation can last at most {} h",
            Duration::from_millis(MAX_INVITE_MS).as_secs() / 3600
        )),
        other => NodeError::Invalid(other.to_string()),
    })?;
    let link = Link {
        code: code.clone(),
        inviter: device,
        addresses: node.0.net.listen_addrs().await.iter().map(ToString::to_string).collect(),
        expires_at_ms: terms.expires_at_ms,
        space_name: name,
    }
    .bounded();
    tracing::info!(space = %space.id(), %role, "opened an invitation");
    Ok(Invitation {
        code: code.to_string(),
        link: link.to_string(),
        expires_at_ms: terms.expires_at_ms,
        role,
    })
}

impl Pairing {
    fn busy(&self) -> std::sync::MutexGuard<'_, BTreeSet<DeviceId>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, device: DeviceId) -> Option<Turn<'_>> {
        let slot = self.slots.try_acquire().ok()?;
        self.busy().insert(device).then(|| Turn { pairing: self, device, _slot: slot })
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, BTreeMap<DeviceId, u32>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asking(&self, device: DeviceId) -> Asking<'_> {
        *self.asked().entry(device).or_insert(0) += 1;
        Asking { pairing: self, device }
    }

    /// Whether a pairing with this device is under way, on either side.
    pub(crate) fn is_pairing(&self, device: DeviceId) -> bool {
        self.busy().contains(&device) || self.asked().contains_key(&device)
    }

    fn invitations(&self) -> std::sync::MutexGuard<'_, Invitations> {
        self.invitations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Accepts the streams of devices that want to join.
pub(crate) fn accept(node: Node) -> Result<impl Future<Output = ()>, covey_net::NetError> {
    let mut incoming = node.0.net.accept(PROTOCOL)?;
    Ok(async move {
        while let Some((joiner, mut stream)) = incoming.next().await {
            let node_of_task = node.clone();
            node.spawn(async move {
                let Some(_turn) = node_of_task.0.pairing.turn(joiner) else {
                    let _ = send(&mut stream, &Inviter::refusal(Refusal::Busy)).await;
                    return;
                };
                let paired =
                    tokio::time::timeout(PAIRING_TIMEOUT, answer(&node_of_task, joiner, &mut stream)).await;
                match paired {
                    Ok(Ok(())) => {}
                    Ok(Err(Failure::Broken(reason))) => tracing::warn!(%joiner, reason, "a pairing failed"),
                    Ok(Err(Failure::Misbehaved(reason))) => {
                        let peers = &node_of_task.0.peers;
                        peers.misbehaved(&node_of_task, joiner, format!("pairing: {reason}")).await;
                    }
                    Err(_) => tracing::warn!(%joiner, "a pairing took too long"),
                }
            });
        }
    })
}

/// Why a conversation ended early.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// It broke off, or a person mistyped.
    #[error("{0}")]
    Broken(String),
    /// The other side sent what no honest one sends.
    #[error("{0}")]
    Misbehaved(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Broken(reason)
    }
}

impl From<PairError> for Failure {
    fn from(err: PairError) -> Self {
        match err {
            PairError::Decode(_) | PairError::Unexpected { .. } | PairError::KeyExchange(_) => {
                Self::Misbehaved(err.to_string())
            }
            other => Self::Broken(other.to_string()),
        }
    }
}

/// The inviter's side of one pairing.
async fn answer(node: &Node, joiner: DeviceId, stream: &mut NetStream) -> Result<(), Failure> {
    let mut inviter = Inviter::new(node.device(), joiner);
    loop {
        let message = receive(stream).await?;
        let step = {
            let mut invitations = node.0.pairing.invitations();
            inviter.handle(&message, &mut invitations, node.now_ms())?
        };
        if let Some(message) = step.send {
            send(stream, &message).await?;
        }
        match step.outcome {
            None => {}
            Some(InviterOutcome::Request { terms, request, .. }) => {
                let reply = match admit(node, joiner, terms, &request).await {
                    Ok((welcome, terms)) => inviter.accept(&welcome, terms)?,
                    Err(err) => {
                        tracing::error!(%joiner, %err, "could not let a device in");
                        inviter.decline()?
                    }
                };
                send(stream, &reply).await?;
            }
            Some(InviterOutcome::WrongGuess { burnt, .. }) => {
                let consequence = if burnt { "the code is burnt" } else { "the code stays open" };
                return Err(Failure::Broken(format!("it guessed a code wrongly; {consequence}")));
            }
            Some(InviterOutcome::Refused(refusal)) => {
                tracing::debug!(%joiner, %refusal, "refused a pairing");
                return Ok(());
            }
            Some(InviterOutcome::Finished) => return Ok(()),
        }
    }
}

/// Writes the joiner into the space and makes its welcome; the terms say the role that it has now.
///
/// A member that comes again keeps the higher of its role and the one that it is invited to.
async fn admit(
    node: &Node,
    joiner: DeviceId,
    terms: Terms,
    request: &[u8],
) -> Result<(Vec<u8>, Terms), NodeError> {
    let request = JoinRequest::decode(request).map_err(|err| NodeError::Invalid(err.to_string()))?;
    if request.device.cert.device != joiner {
        return Err(NodeError::Invalid("the certificate is of another device than the one that asks".into()));
    }
    let invited = Role::from_u8(terms.role).ok_or_else(|| NodeError::Internal("an unknown role".into()))?;
    let (secrets, now, id) = (node.0.secrets.clone(), node.now_ms(), terms.space);
    let (already, raised) = {
        let engine = node.engine();
        let membership = &engine.space(id)?.membership;
        let same_user = membership.user_of(joiner) == Some(request.device.cert.user);
        (membership.has_device(joiner), same_user && membership.role_of(joiner) < Some(invited))
    };
    if !already || raised {
        let JoinRequest { user_name, device } = request;
        let name = user_name.clone();
        let entry = node
            .write(move |tx, engine| {
                engine.append_own(tx, &secrets, id, Kind::MEMBERSHIP, now, |_, engine, _| {
                    engine.invitation_body(id, device.cert.user, &user_name, invited, &device)
                })
            })
            .await?;
        node.published(id, &[entry]);
        node.0.sessions.membership_changed(node, id);
        tracing::info!(space = %id, %joiner, role = %invited, raised, "let a device in");
        if !already {
            node.emit(crate::Event::MemberJoined { space: id, name, device: joiner });
        }
    }
    let addresses = node.0.net.listen_addrs().await.iter().map(ToString::to_string).collect();
    let engine = node.engine();
    let state = engine.space(id)?;
    let role = state.membership.role_of(joiner).unwrap_or(invited);
    let welcome = Welcome {
        space: id,
        name: state.name().to_owned(),
        role,
        keys: state.info.keys.clone(),
        inviter_name: node.0.secrets.profile.user_name.clone(),
        inviter: node.0.secrets.certified(),
        addresses,
    };
    Ok((welcome.encode(), Terms { role: role.to_u8(), ..terms }))
}

/// Joins by a code or a link, and waits for the first full sync.
pub(crate) async fn join(node: &Node, text: &str, timeout: Duration) -> Result<Joined, NodeError> {
    let started = Instant::now();
    let deadline = started + timeout;
    if node.0.config.network == crate::NetworkMode::Solo {
        return Err(JoinError::Solo.into());
    }
    let text = text.trim();
    let (space, inviter) = if text.starts_with("covey:") {
        join_by_link(node, text, deadline).await?
    } else {
        search::join_by_code(node, &text.parse().map_err(JoinError::Code)?, started, deadline).await?
    };
    node.space_added(space);
    first_sync(node, space, inviter, started, deadline).await
}

async fn join_by_link(node: &Node, text: &str, deadline: Instant) -> Result<(SpaceId, DeviceId), NodeError> {
    let link: Link = text.parse().map_err(JoinError::Link)?;
    if link.expires_at_ms <= node.now_ms() {
        return Err(JoinError::LinkExpired.into());
    }
    let addresses: Vec<Multiaddr> = link.addresses.iter().filter_map(|text| text.parse().ok()).collect();
    let _asking = node.0.pairing.asking(link.inviter);
    let connected = timeout_at(deadline, node.0.net.connect(link.inviter, addresses)).await;
    match connected {
        Ok(Ok(())) => {}
        Ok(Err(err)) => return Err(JoinError::Unreachable(err.to_string()).into()),
        Err(_) => return Err(JoinError::Unreachable("nobody answered in time".into()).into()),
    }
    match ask(node, &link.code, link.inviter, &search::Guesses::default()).await {
        Answer::Joined(space) => Ok((space, link.inviter)),
        Answer::Refused { refusal, .. } => Err(JoinError::Refused(refusal).into()),
        Answer::Broken { reason, .. } => Err(JoinError::Broken { peer: link.inviter, reason }.into()),
        Answer::NotKept(err) => Err(err),
    }
}

/// What came of asking a device to be let in. `confirmed`: it got a Confirm, and with it one guess.
enum Answer {
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
async fn ask(node: &Node, code: &Code, inviter: DeviceId, guesses: &search::Guesses) -> Answer {
    let mut confirmed = false;
    let talk = talk(node, code, inviter, guesses, &mut confirmed);
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
    code: &Code,
    inviter: DeviceId,
    guesses: &search::Guesses,
    confirmed: &mut bool,
) -> Result<Result<SpaceId, Refusal>, Talk> {
    let mut stream = node.0.net.open(inviter, PROTOCOL).await?;
    let request = JoinRequest {
        user_name: node.0.secrets.profile.user_name.clone(),
        device: node.0.secrets.certified(),
    };
    let (mut joiner, first) = Joiner::start(code, node.device(), inviter, request.encode())?;
    send(&mut stream, &first).await?;
    loop {
        let message = receive(&mut stream).await?;
        let step = joiner.handle(&message)?;
        match step.outcome {
            None => {}
            Some(JoinerOutcome::Refused(refusal)) => return Ok(Err(refusal)),
            Some(JoinerOutcome::Welcome { welcome, terms }) => {
                let space = enter(node, inviter, &welcome, terms).await.map_err(Talk::NotKept)?;
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
    node.write(move |tx, engine| engine.enter_space(tx, space, &name, keys, inviter)).await?;
    Ok(space)
}

/// Waits until this device has everything that the inviter had.
async fn first_sync(
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
            let name = Space::new(node.clone(), space).name();
            return Err(JoinError::NotSynced { space: name, waited: started.elapsed() }.into());
        }
    }
}

async fn send(stream: &mut NetStream, message: &[u8]) -> Result<(), String> {
    let frame = [&(message.len() as u32).to_le_bytes(), message].concat();
    stream.write_all(&frame).await.map_err(|err| err.to_string())?;
    stream.flush().await.map_err(|err| err.to_string())
}

async fn receive(stream: &mut NetStream) -> Result<Vec<u8>, Failure> {
    let mut len = [0; 4];
    stream.read_exact(&mut len).await.map_err(|err| err.to_string())?;
    let len = u32::from_le_bytes(len) as usize;
    if len > MAX_PAIR_MESSAGE_BYTES {
        let limit = MAX_PAIR_MESSAGE_BYTES;
        return Err(Failure::Misbehaved(format!(
            "a message of {len} bytes is longer than the limit of {limit}"
        )));
    }
    let mut message = vec![0; len];
    stream.read_exact(&mut message).await.map_err(|err| err.to_string())?;
    Ok(message)
}
