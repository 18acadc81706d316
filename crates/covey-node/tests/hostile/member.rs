//! A member that joined rightly and then says what no honest node says.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use covey_log::{BodyContext, Compared, Draft, Entry, EpochKey, Kind, delta, entry::entry_hash, seal};
use covey_node::{Node, Role, Space, WallClock};
use covey_pair::{Joiner, JoinerOutcome};
use covey_records::{BodyWriter, Op, RecordId};
use covey_space::{
    Device, DeviceCert, JoinRequest, KemSecret, KeyRing, Welcome, keyring::TagSession, ops::seal_acts,
};
use covey_sync::{Input, Offer, Output, Session, SessionConfig};
use covey_types::{
    DeviceSecret, EntryHash, Head, Heads, Hlc, Incarnation, LogId, SpaceId, UserSecret,
    keys::{Domain, random_bytes},
    wire,
};

use crate::peer::{ACK, ENTRIES, HEADS, PAIR, Peer, SYNC, Wire, frame};

/// The place at which a member offers its only space.
const PLACE: u32 = 0;

/// A member's device, its keys, and the newest entry of its log.
pub(crate) struct Member {
    pub(crate) peer: Peer,
    pub(crate) keys: KeyRing,
    pub(crate) space: SpaceId,
    pub(crate) log: LogId,
    pub(crate) head: Head,
    pub(crate) hlc: Hlc,
    /// The newest membership entries, as the node told them.
    pub(crate) deps: Vec<EntryHash>,
}

/// A code's exchange on the joiner's side; what came of it.
pub(crate) async fn pair(peer: &Peer, code: &str, request: Vec<u8>) -> JoinerOutcome {
    let mut wire = peer.open(PAIR).await;
    let code = code.parse().unwrap();
    let (mut joiner, first) = Joiner::start(&code, peer.id(), peer.node, request).unwrap();
    wire.send(&first).await;
    loop {
        let answer = wire.next().await.expect("the inviter answers");
        let step = joiner.handle(&answer).unwrap();
        if let Some(message) = step.send {
            wire.send(&message).await;
        }
        if let Some(outcome) = step.outcome {
            wire.finish().await;
            return outcome;
        }
    }
}

/// A request to join, as a new person.
pub(crate) fn request(device: &DeviceSecret) -> Vec<u8> {
    let (user, kem) = (UserSecret::generate(), KemSecret::generate());
    let cert = DeviceCert::sign(&user, device, kem.public());
    JoinRequest { user_name: "Eve".into(), device: Device { cert, name: "eve's laptop".into() } }.encode()
}

impl Member {
    /// Joins a space with a new device, by code.
    pub(crate) async fn join(node: &Node, space: &Space, role: Role) -> Self {
        let peer = Peer::near(node).await;
        let invitation = space.invite(role, Duration::from_secs(60)).await.unwrap();
        let outcome = pair(&peer, &invitation.code, request(&peer.secret)).await;
        let JoinerOutcome::Welcome { welcome, .. } = outcome else { panic!("let in, not {outcome:?}") };
        let Welcome { space, keys, .. } = Welcome::decode(&welcome).unwrap();
        let log = LogId { device: peer.id(), incarnation: Incarnation(1) };
        let hlc = Hlc::new(WallClock::default().now_ms(), 0);
        let mut member = Self { peer, keys, space, log, head: Head::EMPTY, hlc, deps: Vec::new() };
        // Whoever reads the membership entries knows the past that an entry has to name.
        let mut line = member.line().await;
        let membership = |entry: &&Entry| entry.header.kind.is_membership();
        loop {
            let known: Vec<_> = line.received.iter().filter(membership).cloned().collect();
            let past: Vec<_> = known.iter().flat_map(|entry| entry.header.deps.clone()).collect();
            member.deps = known.iter().map(|entry| entry.hash).filter(|hash| !past.contains(hash)).collect();
            // The founding and the own one at least; then nothing before the newest may be missing.
            if known.len() > 1 && past.iter().all(|hash| known.iter().any(|entry| entry.hash == *hash)) {
                break;
            }
            line.step().await.expect("the node sends what it has");
        }
        line.wire.finish().await;
        member
    }

    /// A new sync stream on which both sides have told their heads.
    pub(crate) async fn line(&self) -> Line {
        let mut line = self.start(true).await;
        while !line.session.view(self.space).is_some_and(|view| view.heads_known) {
            line.step().await.expect("the node finds the space");
        }
        line
    }

    /// A new sync stream on which the node has told its heads, and this side has not.
    pub(crate) async fn line_without_heads(&self) -> Line {
        let mut line = self.start(false).await;
        loop {
            let payload = line.wire.next().await.expect("the node finds the space");
            if payload[0] == HEADS {
                let (_, heads): (u32, Vec<(LogId, Head)>) =
                    wire::decode("heads", &payload[1..], 1 << 20).unwrap();
                line.received_heads = heads.into_iter().collect();
                return line;
            }
            line.take(payload).await;
        }
    }

    /// A new sync stream on which these heads come at once after the offer, before the node can have told its own.
    pub(crate) async fn line_in_haste(&self, heads: &[(LogId, Head)]) -> Line {
        let mut line = self.start(false).await;
        line.step().await.expect("the node greets");
        line.wire.send(&frame(HEADS, &(PLACE, heads))).await;
        line
    }

    async fn start(&self, opens: bool) -> Line {
        self.peer.connect().await;
        let wire = self.peer.open(SYNC).await;
        let nonce = random_bytes();
        let config = SessionConfig { window_bytes: 8 << 20, nonce, agent: "test".into(), clock_ms: 0 };
        let (shower, viewer) = (self.peer.id(), self.peer.node);
        let mut line = Line {
            wire,
            session: Session::new(config, Duration::ZERO),
            keys: self.keys.clone(),
            space: self.space,
            tags: TagSession { shower, viewer, shower_nonce: nonce, viewer_nonce: [0; 32] },
            opens,
            introduced: BTreeMap::new(),
            received: Vec::new(),
            received_heads: BTreeMap::new(),
        };
        line.carry_out().await;
        line
    }

    /// The draft of this device's next entry.
    pub(crate) fn draft(&mut self, kind: Kind) -> Draft {
        self.hlc = Hlc::from_u64(self.hlc.to_u64() + 1);
        Draft {
            space: self.space,
            log: self.log,
            head: self.head,
            hlc: self.hlc,
            kind,
            epoch: self.keys.newest().unwrap().id(),
            deps: self.deps.clone(),
        }
    }

    /// Signs a draft whose body is `plain`, and takes it for the newest entry.
    pub(crate) fn sign(&mut self, draft: Draft, plain: &[u8]) -> Entry {
        let key = self.keys.newest().unwrap().clone();
        self.sign_under(&key, draft, plain)
    }

    pub(crate) fn sign_under(&mut self, key: &EpochKey, draft: Draft, plain: &[u8]) -> Entry {
        let place =
            BodyContext { space: draft.space, log: draft.log, seq: draft.head.seq + 1, kind: draft.kind };
        // Garbage has no keys that could stand outside of what is encrypted.
        let has_acts = draft.kind.is_membership() && covey_space::ops::decode(plain).is_ok();
        let body = if has_acts { seal_acts(key, place, plain) } else { seal(key, place, plain) };
        let entry = Entry::sign(&self.peer.secret, draft, body);
        self.head = entry.head();
        entry
    }

    /// The next entry: it puts a record.
    pub(crate) fn put(&mut self, id: &str, value: &str) -> Entry {
        let draft = self.draft(Kind::RECORDS);
        self.sign(draft, &put_body(id, value))
    }
}

/// The body of an entry that puts `{"v": value}` into the collection "plants".
pub(crate) fn put_body(id: &str, value: &str) -> Vec<u8> {
    let mut body = BodyWriter::new();
    let (id, value) = (RecordId::parse(id).unwrap(), format!("{value:?}"));
    body.push(&Op::Put { collection: "plants", id, fields: vec![("v", &value)] }).unwrap();
    body.finish()
}

/// The same entry with another header, signed anew.
pub(crate) fn resigned(
    secret: &DeviceSecret,
    entry: &Entry,
    change: impl FnOnce(&mut covey_log::Header),
) -> Entry {
    let mut header = entry.header.clone();
    change(&mut header);
    let header_bytes: Arc<[u8]> = wire::encode(&header).into();
    let signature = secret.sign(Domain::Entry, &header_bytes);
    Entry { hash: entry_hash(&header_bytes), header, header_bytes, signature, body: entry.body.clone() }
}

/// What became of entries that were sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The node has dealt with them; what it says is durable now, by the log's place and the entry's.
    Acknowledged(Vec<(u32, u64)>),
    /// The node ended the stream.
    Ended,
}

/// A sync stream of a member. The session speaks as honest ones do; entries go past it.
pub(crate) struct Line {
    pub(crate) wire: Wire,
    session: Session,
    keys: KeyRing,
    space: SpaceId,
    tags: TagSession,
    /// Whether the session may tell its heads.
    opens: bool,
    introduced: BTreeMap<LogId, (u32, delta::Context)>,
    pub(crate) received: Vec<Entry>,
    pub(crate) received_heads: BTreeMap<LogId, Head>,
}

impl Line {
    /// Takes in one frame; `None` when the node has ended the stream.
    pub(crate) async fn step(&mut self) -> Option<()> {
        let payload = self.wire.next().await?;
        self.take(payload).await;
        Some(())
    }

    async fn take(&mut self, payload: Vec<u8>) {
        self.session.handle(Input::Frame(payload), Duration::ZERO).unwrap();
        self.carry_out().await;
    }

    async fn carry_out(&mut self) {
        while let Some(output) = self.session.poll_output() {
            let input = match output {
                Output::Send(payload) => {
                    self.wire.send(&payload).await;
                    continue;
                }
                Output::Greeted(hello) => {
                    self.tags.viewer_nonce = hello.nonce;
                    let (mine, theirs) = (self.keys.tag(&self.tags), self.keys.tag(&self.tags.reversed()));
                    Input::Offer(vec![Offer { space: self.space, mine, theirs }])
                }
                Output::Matched(_) if !self.opens => continue,
                Output::Matched(space) => Input::Open { space, heads: Heads::default(), may_send: true },
                Output::Ingest { space, entries, bytes } => {
                    let durable = entries.iter().map(|entry| (entry.header.log, entry.head())).collect();
                    self.received.extend(entries);
                    Input::Ingested { space, durable, rejected: Vec::new(), bytes }
                }
                Output::Load { space, .. } => Input::Loaded { space, acts: Vec::new(), entries: Vec::new() },
                Output::Evidence { space, bytes, .. } | Output::Branch { space, bytes, .. } => {
                    Input::Ingested { space, durable: Vec::new(), rejected: Vec::new(), bytes }
                }
                Output::Prove { space, .. } => Input::Evidence { space, evidence: None },
                Output::Compare { space, log, .. } | Output::Forked { space, log } => {
                    Input::Compared { space, log, answer: Compared::Same }
                }
                Output::Changed(_) | Output::Theirs { .. } | Output::Closed(_) => continue,
            };
            self.session.handle(input, Duration::ZERO).unwrap();
        }
    }

    /// Entries as they are packed on this stream.
    pub(crate) fn pack(&mut self, entries: &[Entry]) -> Vec<u8> {
        let mut packed = Vec::new();
        for entry in entries {
            let log = entry.header.log;
            if let Some((reference, context)) = self.introduced.get_mut(&log) {
                packed.extend(wire::encode(&(*reference + 1)));
                context.encode(entry, &mut packed);
                continue;
            }
            packed.push(0);
            packed.extend_from_slice(&log.device.0);
            packed.extend_from_slice(&log.incarnation.0.to_le_bytes());
            let mut context = delta::Context::new(self.space, log);
            context.encode(entry, &mut packed);
            self.introduced.insert(log, (self.introduced.len() as u32, context));
        }
        packed
    }

    /// Sends entries in one frame and doesn't wait.
    pub(crate) async fn push(&mut self, entries: &[Entry]) {
        let packed = self.pack(entries);
        let payload = [frame(ENTRIES, &PLACE), packed].concat();
        self.wire.send(&payload).await;
    }

    /// Sends entries in one frame, and waits until the node has dealt with them or ended the stream.
    pub(crate) async fn deliver(&mut self, entries: &[Entry]) -> Answer {
        self.push(entries).await;
        self.answer().await
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        while let Some(payload) = self.wire.next().await {
            if payload[0] == ACK {
                let (_, lines, _): (u32, Vec<(u32, u64)>, u32) =
                    wire::decode("an acknowledgement", &payload[1..], 1 << 20).unwrap();
                return Answer::Acknowledged(lines);
            }
            self.take(payload).await;
        }
        Answer::Ended
    }
}
