//! What must not be possible on a pairing stream.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use covey_net::NetStream;
use covey_node::{Event, Happening, InvitationState, JoinError, Node, NodeError, Role, Space};
use covey_pair::{Joiner, JoinerOutcome, Refusal};
use covey_types::{keys::random_bytes, limits::MAX_PAIR_MESSAGE_BYTES, wire};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::broadcast,
    task::JoinSet,
};

use crate::{
    common::{PATIENCE, config, eventually, join, node},
    member::{pair, request},
    peer::{PAIR, Peer, Wire, blamed, dropped, nobody_blamed},
};

struct Inviting {
    home: tempfile::TempDir,
    ada: Node,
    garden: Space,
    code: String,
    events: broadcast::Receiver<Event>,
}

impl Inviting {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let ada = node(home.path(), "ada").await;
        let garden = ada.create_space("garden").await.unwrap();
        let code = garden.invite(Role::Member, std::time::Duration::from_secs(60)).await.unwrap().code;
        let events = ada.events();
        Self { home, ada, garden, code, events }
    }

    /// Somebody else still gets in.
    async fn lives_on(self) {
        let bob = node(self.home.path(), "bob").await;
        join(&self.garden, &bob, Role::Member).await;
        self.ada.shutdown().await;
        bob.shutdown().await;
    }
}

/// Begins to pair, as far as the inviter's reply: from then on it holds the device's turn. One that the inviter hasn't
/// noticed to be over yet may stand before it.
async fn begun(peer: &Peer, code: &str) -> Wire {
    let code = code.parse().unwrap();
    let begin = async {
        loop {
            let (_, start) = Joiner::start(&code, peer.id(), peer.node, request(&peer.secret)).unwrap();
            let mut wire = peer.open(PAIR).await;
            wire.send(&start).await;
            let answer = wire.next().await.unwrap();
            if answer != refused(Refusal::Busy) {
                assert_eq!(answer[0], 1, "a Reply");
                return wire;
            }
        }
    };
    tokio::time::timeout(PATIENCE, begin).await.expect("its turn comes")
}

/// What comes of pairing, once its turn has come.
async fn paired(peer: &Peer, code: &str) -> JoinerOutcome {
    let pairing = async {
        loop {
            match pair(peer, code, request(&peer.secret)).await {
                JoinerOutcome::Refused(Refusal::Busy) => {}
                other => return other,
            }
        }
    };
    tokio::time::timeout(PATIENCE, pairing).await.expect("its turn comes")
}

/// The message that refuses, as docs/protocol/pair.md numbers it.
fn refused(reason: Refusal) -> Vec<u8> {
    [&[2], wire::encode(&reason).as_slice()].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_pairing_cost_the_peer_its_connection_and_the_code_nothing() {
    let mut it = Inviting::new().await;
    let too_long = (MAX_PAIR_MESSAGE_BYTES as u32 + 1).to_le_bytes().to_vec();
    let framed = |payload: &[u8]| covey_sync::framing::frame(payload);
    let attacks = [
        too_long,
        u32::MAX.to_le_bytes().to_vec(),
        framed(&[]),
        framed(&[200; 40]),
        framed(&[&[9], random_bytes::<500>().as_slice()].concat()),
        // An Accept, which only an inviter sends.
        framed(&[&[4], [0; 33].as_slice()].concat()),
    ];
    for attack in attacks {
        let peer = Peer::near(&it.ada).await;
        let mut wire = peer.open(PAIR).await;
        wire.raw(&attack).await;
        blamed(&mut it.events, peer.id()).await;
        assert_eq!(wire.next().await, None, "nothing is answered");
        dropped(&it.ada, peer.id()).await;
    }
    let good = Peer::near(&it.ada).await;
    let outcome = pair(&good, &it.code, request(&good.secret)).await;
    assert!(matches!(outcome, JoinerOutcome::Welcome { .. }), "{outcome:?}");
    it.lives_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pairing_that_breaks_off_is_no_guess_and_nobody_is_blamed() {
    let mut it = Inviting::new().await;
    let peer = Peer::near(&it.ada).await;
    for cut in [0, 2, 4, 10] {
        let mut wire = peer.open(PAIR).await;
        wire.raw(&covey_sync::framing::frame(&[0; 40])[..cut]).await;
        wire.finish().await;
    }
    // As far as the inviter's reply, more often than anybody may guess.
    for _ in 0..5 {
        begun(&peer, &it.code).await.finish().await;
    }
    let outcome = paired(&peer, &it.code).await;
    assert!(matches!(outcome, JoinerOutcome::Welcome { .. }), "{outcome:?}");
    nobody_blamed(&mut it.events);
    it.lives_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_guesses_count_however_many_devices_make_them() {
    let mut it = Inviting::new().await;
    let mut wrong = it.code.clone();
    let last = wrong.pop().unwrap();
    wrong.push(if last == '7' { '8' } else { '7' });
    let mut guessers = Vec::new();
    for _ in 0..3 {
        let peer = Peer::near(&it.ada).await;
        let outcome = pair(&peer, &wrong, request(&peer.secret)).await;
        assert_eq!(outcome, JoinerOutcome::Refused(Refusal::WrongCode));
        guessers.push(peer.id());
    }
    // Whoever made the code is told, and each guess is kept with whose it was.
    let burnt = async {
        loop {
            if let Event::Invitation { state, .. } = it.events.recv().await.unwrap() {
                return state;
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, burnt).await.unwrap(), InvitationState::Burnt);
    let kept: Vec<_> = it.garden.pairing().await.unwrap().into_iter().map(|act| act.what).collect();
    let mut told = vec![Happening::Opened];
    told.extend(guessers.iter().map(|guesser| Happening::GuessedWrong(*guesser)));
    told.push(Happening::BurntBy(guessers[2]));
    assert_eq!(kept, told);
    let peer = Peer::near(&it.ada).await;
    let outcome = pair(&peer, &it.code, request(&peer.secret)).await;
    assert_eq!(outcome, JoinerOutcome::Refused(Refusal::Burnt));
    assert_eq!(it.garden.members().len(), 1);
    it.lives_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_pairings_is_told_to_wait_and_the_next_one_gets_in() {
    let it = Inviting::new().await;
    let (mut streams, mut crowd) = (JoinSet::new(), Vec::new());
    for _ in 0..10 {
        crowd.push(Peer::near(&it.ada).await);
    }
    // Only when all are there: nobody is held for longer than a pairing may take.
    for peer in crowd.iter().chain(&crowd) {
        let mut wire: Wire = peer.open(PAIR).await;
        streams.spawn(async move { wire.next().await });
    }
    // Eight devices are held, with one stream each; the others hear that the device is busy.
    for _ in 0..12 {
        let answer = streams.join_next().await.unwrap().unwrap();
        assert_eq!(answer, Some(refused(Refusal::Busy)));
    }
    streams.shutdown().await;
    let peer = Peer::near(&it.ada).await;
    // The node may not have noticed yet that the eight are gone.
    let outcome = paired(&peer, &it.code).await;
    assert!(matches!(outcome, JoinerOutcome::Welcome { .. }), "{outcome:?}");
    it.lives_on().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_for_another_device_is_declined() {
    let mut it = Inviting::new().await;
    let peer = Peer::near(&it.ada).await;
    let someone = covey_types::DeviceSecret::generate();
    let outcome = pair(&peer, &it.code, request(&someone)).await;
    assert_eq!(outcome, JoinerOutcome::Refused(Refusal::Declined));
    assert_eq!(it.garden.members().len(), 1);
    nobody_blamed(&mut it.events);
    it.lives_on().await;
}

/// A device that a joiner finds and asks, and what it does then.
struct Asked {
    starts: AtomicU32,
    confirms: AtomicU32,
}

async fn next(stream: &mut NetStream) -> Option<Vec<u8>> {
    let len = stream.read_u32_le().await.ok()?;
    let mut message = vec![0; len as usize];
    stream.read_exact(&mut message).await.ok()?;
    Some(message)
}

async fn say(stream: &mut NetStream, message: &[u8]) {
    let _ = stream.write_all(&covey_sync::framing::frame(message)).await;
    let _ = stream.flush().await;
}

impl Asked {
    /// Connects a new device to the node; to whoever asks it says `answer` and hangs up after the next message.
    async fn near(node: &Node, answer: Vec<u8>) -> Arc<Self> {
        Self::by(Peer::near(node).await, vec![answer])
    }

    /// The same by this device, which says these one after the other, and the last again and again.
    fn by(peer: Peer, answers: Vec<Vec<u8>>) -> Arc<Self> {
        let asked = Arc::new(Self { starts: AtomicU32::new(0), confirms: AtomicU32::new(0) });
        let seen = Arc::clone(&asked);
        let mut incoming = peer.net.accept(PAIR).unwrap();
        tokio::spawn(async move {
            let peer = peer;
            while let Some((_, mut stream)) = incoming.next().await {
                assert_eq!(next(&mut stream).await.unwrap()[0], 0, "a Start");
                let before = seen.starts.fetch_add(1, Ordering::SeqCst) as usize;
                say(&mut stream, &answers[before.min(answers.len() - 1)]).await;
                if next(&mut stream).await.is_some_and(|message| message[0] == 3) {
                    seen.confirms.fetch_add(1, Ordering::SeqCst);
                }
            }
            drop(peer);
        });
        asked
    }

    /// One that claims every code as its own.
    async fn impostor(node: &Node) -> Arc<Self> {
        let code = "COVEY-0000-0000".parse().unwrap();
        let device = node.identity().device;
        let (_, start) = Joiner::start(&code, device, device, Vec::new()).unwrap();
        // A Start ends with the element, which a Reply holds too.
        Self::near(node, [&[1], &start[start.len() - 32..]].concat()).await
    }

    fn confirms(&self) -> u32 {
        self.confirms.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joiner_lets_strangers_check_three_guesses_and_no_more() {
    let home = tempfile::tempdir().unwrap();
    let bob = node(home.path(), "bob").await;
    let mut impostors = Vec::new();
    for _ in 0..5 {
        impostors.push(Asked::impostor(&bob).await);
    }
    let joined = bob.join("COVEY-7QK4-9M2T", PATIENCE).await;
    assert!(matches!(joined, Err(NodeError::Pairing(JoinError::Guessed { devices: 3 }))), "{joined:?}");
    let confirms: Vec<u32> = impostors.iter().map(|impostor| impostor.confirms()).collect();
    assert!(confirms.iter().all(|count| *count <= 1), "{confirms:?}");
    assert_eq!(confirms.iter().sum::<u32>(), 3);
    assert!(bob.spaces().is_empty());
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inviter_that_is_busy_is_asked_again_by_link() {
    let home = tempfile::tempdir().unwrap();
    let bob = node(home.path(), "bob").await;
    let inviter = Peer::near(&bob).await;
    let link = covey_pair::Link {
        purpose: covey_pair::Purpose::Space,
        code: "COVEY-7QK4-9M2T".parse().unwrap(),
        inviter: inviter.id(),
        addresses: inviter.net.listen_addrs().await.iter().map(ToString::to_string).collect(),
        expires_at_ms: u64::MAX,
        space_name: "garden".into(),
    };
    let answers = [Refusal::Busy, Refusal::Busy, Refusal::Burnt].map(refused).to_vec();
    let asked = Asked::by(inviter, answers);
    let joined = bob.join(&link.to_string(), PATIENCE).await;
    assert!(
        matches!(joined, Err(NodeError::Pairing(JoinError::Refused(Refusal::Burnt)))),
        "busy is not its last word: {joined:?}"
    );
    assert_eq!(asked.starts.load(Ordering::SeqCst), 3);
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_that_answer_first_do_not_end_a_join() {
    let it = Inviting::new().await;
    let mut crowd = Vec::new();
    for _ in 0..8 {
        crowd.push(Peer::near(&it.ada).await);
    }
    let mut near = config(&it.home.path().join("bob"), "bob");
    near.bootstrap = it.ada.listen_addresses().await;
    let bob = Node::open(near).await.unwrap();
    let impostors = [Asked::impostor(&bob).await, Asked::impostor(&bob).await];
    let busy = Asked::near(&bob, refused(Refusal::Busy)).await;
    let newer = Asked::near(&bob, refused(Refusal::Version)).await;
    // The inviter has no room for the joiner until every stranger was asked.
    let mut held = Vec::new();
    for peer in &crowd {
        held.push(begun(peer, &it.code).await);
    }
    let (joiner, code) = (bob.clone(), it.code.clone());
    let joining = tokio::spawn(async move { joiner.join(&code, PATIENCE).await });
    eventually("every stranger was asked, the busy one again", || async {
        impostors.iter().all(|impostor| impostor.confirms() == 1)
            && newer.starts.load(Ordering::SeqCst) == 1
            && busy.starts.load(Ordering::SeqCst) > 1
    })
    .await;
    assert!(!joining.is_finished());
    drop((held, crowd));
    let joined = joining.await.unwrap().unwrap();
    assert_eq!(joined.space.name(), "garden");
    assert_eq!(impostors.map(|impostor| impostor.confirms()), [1, 1]);
    assert_eq!(newer.starts.load(Ordering::SeqCst), 1);
    it.ada.shutdown().await;
    bob.shutdown().await;
}
