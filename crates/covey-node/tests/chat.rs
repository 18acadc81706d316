//! Chat between nodes: channels, messages and what is said about them, search, unread counts; and members who write
//! straight into its collections what they may not say.
#![allow(clippy::unwrap_used, reason = "a test stops where it stands")]

mod common;

use common::{PATIENCE, away, config, eventually, join, near, node};
use covey_node::{
    Chat, Node, NodeError, Role, Space, WallClock,
    chat::{ChannelChange, ChannelKind, FoundPage, Message, MessageState, NewMessage, Presence, Wanted},
};

fn text(text: &str) -> NewMessage {
    NewMessage { text: text.into(), ..NewMessage::default() }
}

async fn say(chat: &Chat, channel: &str, words: &str) -> Message {
    chat.send(channel, text(words)).await.unwrap()
}

async fn newest(chat: &Chat, channel: &str, limit: usize) -> Vec<Message> {
    chat.page(channel, None, Wanted::Newest, limit).await.map(|page| page.items).unwrap_or_default()
}

async fn texts(chat: &Chat, channel: &str) -> Vec<String> {
    newest(chat, channel, 100).await.into_iter().map(|message| message.text).collect()
}

async fn alone() -> (tempfile::TempDir, Node, Space) {
    let home = tempfile::tempdir().unwrap();
    let node = away(home.path(), "ada").await;
    let space = node.create_space("garden").await.unwrap();
    (home, node, space)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_sent_edited_answered_and_deleted_with_no_peer_at_all() {
    let (_home, node, space) = alone().await;
    let chat = space.chat();
    let channel = chat.create_channel("#beds", false, "what grows where").await.unwrap();
    assert_eq!((channel.name.as_str(), channel.kind, channel.joined), ("beds", ChannelKind::Public, true));
    let first = say(&chat, "beds", "👩‍🌾 hello @ada: שלום").await;
    assert_eq!((first.author, first.author_name.as_str()), (node.identity().user, "ada"));
    assert_eq!(
        (first.mentions.as_slice(), first.state),
        (&[node.identity().user][..], MessageState::Pending)
    );

    let mut answer = text("indeed");
    answer.reply_to = Some(first.id.clone());
    let second = chat.send("beds", answer.clone()).await.unwrap();
    answer.reply_to = Some(second.id.clone());
    chat.send("beds", answer).await.unwrap();
    let thread = chat.page("beds", Some(first.id.clone()), Wanted::Newest, 10).await.unwrap();
    assert_eq!(thread.items.len(), 2, "an answer to an answer is in the same thread");
    assert_eq!(chat.message(&first.id).await.unwrap().thread.unwrap().0, 2);

    let edited = chat.edit(&second.id, "edited").await.unwrap();
    assert_eq!((edited.text.as_str(), edited.edited, &edited.position), ("edited", true, &second.position));
    chat.react(&first.id, "👍", true).await.unwrap();
    assert_eq!(chat.message(&first.id).await.unwrap().reactions["👍"], [node.identity().user]);
    chat.react(&first.id, "👍", false).await.unwrap();
    assert!(chat.message(&first.id).await.unwrap().reactions.is_empty());
    chat.delete(&second.id).await.unwrap();
    let gone = chat.message(&second.id).await.unwrap();
    assert_eq!((gone.text.as_str(), gone.deleted), ("", true));
    assert!(matches!(chat.edit(&second.id, "again").await, Err(NodeError::Conflict(_))));
    assert_eq!(chat.message(&first.id).await.unwrap().thread.unwrap().0, 1, "what was deleted doesn't count");

    let mut again = text("once");
    again.client_id = Some("client-0001".into());
    let one = chat.send("beds", again.clone()).await.unwrap();
    assert_eq!(chat.send("beds", again).await.unwrap().id, one.id);
    for bad in ["", " \n", "\u{1}"] {
        assert!(matches!(chat.send("beds", text(bad)).await, Err(NodeError::Invalid(_))));
    }
    let long = "x".repeat(covey_types::limits::MAX_RECORD_BYTES);
    assert!(matches!(chat.send("beds", text(&long)).await, Err(NodeError::TooLarge { .. })));
    chat.set_draft("beds", "half a thou").await.unwrap();
    assert_eq!(chat.channel("beds").await.unwrap().draft, "half a thou");

    let archived = ChannelChange { archived: Some(true), ..ChannelChange::default() };
    chat.change("beds", archived).await.unwrap();
    assert!(matches!(chat.send("beds", text("late")).await, Err(NodeError::Conflict(_))));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_pages_in_both_directions_and_a_late_message_moves_nobody() {
    let (_home, node, space) = alone().await;
    let chat = space.chat();
    chat.create_channel("beds", false, "").await.unwrap();
    for n in 0..25 {
        say(&chat, "beds", &format!("message {n:02}")).await;
    }
    let page = chat.page("beds", None, Wanted::Newest, 10).await.unwrap();
    assert_eq!((page.items.len(), page.items[9].text.as_str(), &page.after), (10, "message 24", &None));
    let older = chat.page("beds", None, Wanted::Before(page.before.clone().unwrap()), 10).await.unwrap();
    assert_eq!((older.items[0].text.as_str(), older.items[9].text.as_str()), ("message 05", "message 14"));
    let oldest = chat.page("beds", None, Wanted::Before(older.before.unwrap()), 10).await.unwrap();
    assert_eq!((oldest.items.len(), oldest.before), (5, None));
    let newer = chat.page("beds", None, Wanted::After(oldest.after.unwrap()), 10).await.unwrap();
    assert_eq!(newer.items[0].text, "message 05");
    let around = chat.page("beds", None, Wanted::Around(newer.items[7].id.clone()), 6).await.unwrap();
    let around: Vec<_> = around.items.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(around[3], "message 12", "{around:?}");
    assert_eq!(around.len(), 6);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_finds_words_and_follows_edits_and_deletions() {
    let (_home, node, space) = alone().await;
    let chat = space.chat();
    chat.create_channel("beds", false, "").await.unwrap();
    chat.create_channel("secret", true, "").await.unwrap();
    let one = say(&chat, "beds", "the first broad beans 🌱 are up").await;
    let two = say(&chat, "secret", "Café with beans").await;
    let ids =
        |page: FoundPage| -> Vec<String> { page.items.into_iter().map(|found| found.message.id).collect() };
    let (one_id, two_id) = (one.id.as_str(), two.id.as_str());
    assert_eq!(ids(chat.search("beans", None, None, 10).await.unwrap()), [two_id, one_id]);
    assert_eq!(ids(chat.search("beans", Some("beds"), None, 10).await.unwrap()), [one_id]);
    assert_eq!(ids(chat.search("cafe be", None, None, 10).await.unwrap()), [two_id]);
    let found = chat.search("BROAD", None, None, 10).await.unwrap();
    assert_eq!(found.items[0].highlights, [(10, 15)]);
    let first = chat.search("beans", None, None, 1).await.unwrap();
    assert_eq!(ids(chat.search("beans", None, first.next, 1).await.unwrap()), [one_id]);

    chat.edit(&one.id, "peas").await.unwrap();
    assert!(ids(chat.search("broad", None, None, 10).await.unwrap()).is_empty());
    assert_eq!(ids(chat.search("peas", None, None, 10).await.unwrap()), [one_id]);
    chat.delete(&one.id).await.unwrap();
    assert!(ids(chat.search("peas", None, None, 10).await.unwrap()).is_empty());
    assert!(matches!(chat.search("***", None, None, 10).await, Err(NodeError::Invalid(_))));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_write_apart_come_to_the_same_order_and_see_who_has_read() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let here = ada.create_space("garden").await.unwrap();
    let there = join(&here, &bob, Role::Member).await;
    let (mine, theirs) = (here.chat(), there.chat());
    mine.create_channel("beds", false, "").await.unwrap();
    eventually("bob sees the channel", || async { theirs.channel("beds").await.is_ok() }).await;
    assert!(!theirs.channel("beds").await.unwrap().joined);
    let sent = say(&mine, "beds", "one").await;
    eventually("bob reads it", || async { texts(&theirs, "beds").await == ["one"] }).await;
    theirs.join("beds").await.unwrap();
    eventually("ada sees bob", || async { mine.channel("beds").await.unwrap().members.len() == 2 }).await;
    say(&mine, "beds", "@bob two").await;
    eventually("one that mentions him is unread", || async {
        let channel = theirs.channel("beds").await.unwrap();
        (channel.unread, channel.mentions) == (1, 1) && channel.new_since.is_some()
    })
    .await;
    eventually("it is delivered", || async {
        mine.message(&sent.id).await.unwrap().state == MessageState::Delivered
    })
    .await;
    let last = newest(&theirs, "beds", 1).await.remove(0);
    theirs.mark_read("beds", &last.id).await.unwrap();
    assert_eq!(theirs.channel("beds").await.unwrap().unread, 0);
    eventually("ada sees that he has read", || async {
        let message = mine.message(&sent.id).await.unwrap();
        message.state == MessageState::Read && message.read_by == [bob.identity().user]
    })
    .await;

    // Bob is away; both go on.
    bob.shutdown().await;
    let bob = away(home.path(), "bob").await;
    let theirs = bob.space("garden").unwrap().chat();
    say(&theirs, "beds", "bob, away").await;
    let late = say(&mine, "beds", "ada, at home").await;
    mine.mark_read("beds", &late.id).await.unwrap();
    assert_eq!(mine.channel("beds").await.unwrap().unread, 0);
    bob.shutdown().await;
    let bob = near(home.path(), "bob", &ada).await;
    let theirs = bob.space("garden").unwrap().chat();
    eventually("both have all", || async {
        texts(&mine, "beds").await.len() == 4 && texts(&theirs, "beds").await.len() == 4
    })
    .await;
    assert_eq!(texts(&mine, "beds").await, texts(&theirs, "beds").await);
    assert_eq!(texts(&mine, "beds").await, ["one", "@bob two", "bob, away", "ada, at home"]);
    assert_eq!(
        mine.channel("beds").await.unwrap().unread,
        1,
        "what came behind the mark is unread all the same"
    );
    mine.mark_read("beds", &late.id).await.unwrap();
    assert_eq!(mine.channel("beds").await.unwrap().unread, 0);
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_that_are_off_do_not_turn_a_talk_around() {
    let home = tempfile::tempdir().unwrap();
    let ada = node(home.path(), "ada").await;
    let mut slow = config(&home.path().join("bob"), "bob");
    slow.clock = WallClock::new(|| WallClock::default().now_ms() - 4 * 60 * 1000);
    let bob = Node::open(slow).await.unwrap();
    let here = ada.create_space("garden").await.unwrap();
    let there = join(&here, &bob, Role::Member).await;
    let (mine, theirs) = (here.chat(), there.chat());
    mine.create_channel("beds", false, "").await.unwrap();
    eventually("bob sees it", || async { theirs.channel("beds").await.is_ok() }).await;
    let mut said = Vec::new();
    for n in 0..3 {
        for (chat, other, who) in [(&mine, &theirs, "ada"), (&theirs, &mine, "bob")] {
            said.push(format!("{who} {n}"));
            say(chat, "beds", said.last().unwrap()).await;
            eventually("the other has it", || async { texts(other, "beds").await.len() == said.len() }).await;
        }
    }
    assert_eq!(texts(&mine, "beds").await, said);
    assert_eq!(texts(&theirs, "beds").await, said);
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_writes_in_another_ones_name_or_over_what_they_said() {
    let home = tempfile::tempdir().unwrap();
    let (ada, eve) = (node(home.path(), "ada").await, node(home.path(), "eve").await);
    let here = ada.create_space("garden").await.unwrap();
    let there = join(&here, &eve, Role::Member).await;
    let (mine, theirs) = (here.chat(), there.chat());
    mine.create_channel("beds", false, "").await.unwrap();
    let sent = say(&mine, "beds", "what I said").await;
    eventually("eve reads it", || async { texts(&theirs, "beds").await.len() == 1 }).await;

    // Straight into the collections: another device's records are refused here, as they'd be passed over everywhere.
    let messages = there.collection("own.chat.messages").unwrap();
    let forged = messages.put(Some(&sent.id), r#"{"text":"what eve says"}"#).await;
    assert!(matches!(forged, Err(NodeError::Invalid(_))), "{forged:?}");
    assert!(messages.delete(&sent.id).await.is_err());
    assert!(matches!(messages.put(None, r#"{"in":"x","text":"x"}"#).await, Err(NodeError::Invalid(_))));

    // Her own records may say what they like of others' messages, and have no effect.
    let tag = theirs.send("beds", text("mine")).await.unwrap().id.split('.').next().unwrap().to_owned();
    let edits = there.collection("own.chat.edits").unwrap();
    let about = format!("{tag}.{}", sent.id);
    edits.put(Some(&about), r#"{"text":"forged","deleted":true,"author":"ada"}"#).await.unwrap();
    let changes = there.collection("own.chat.changes").unwrap();
    let channel = mine.channel("beds").await.unwrap().id;
    changes.put(Some(&format!("{tag}.{channel}")), r#"{"name":"forged","archived":true}"#).await.unwrap();
    let named =
        format!(r#"{{"in":"{channel}","text":"as ada","author":"ada","user":"{}"}}"#, ada.identity().user);
    messages.put(Some(&format!("{tag}.12345678")), &named).await.unwrap();
    for bad in [
        r#"{"in":"nowhere","text":"x"}"#.to_owned(),
        r#"{"text":7}"#.to_owned(),
        format!(r#"{{"in":"{channel}","text":"{}"}}"#, "x".repeat(20_000)),
    ] {
        messages.put(Some(&format!("{tag}.{}", uuid_like())), &bad).await.unwrap();
    }
    assert!(matches!(theirs.edit(&sent.id, "forged").await, Err(NodeError::NotYours(_))));
    assert!(matches!(theirs.delete(&sent.id).await, Err(NodeError::NotYours(_))));
    eventually("ada has all that eve wrote", || async { texts(&mine, "beds").await.len() == 3 }).await;
    for chat in [&mine, &theirs] {
        let seen = chat.message(&sent.id).await.unwrap();
        assert_eq!((seen.text.as_str(), seen.edited, seen.deleted), ("what I said", false, false));
        let last = newest(chat, "beds", 10).await.pop().unwrap();
        assert_eq!((last.text.as_str(), last.author), ("as ada", eve.identity().user));
        let channel = chat.channel("beds").await.unwrap();
        assert_eq!((channel.name.as_str(), channel.archived), ("beds", false));
    }

    // An admin deletes what others wrote; that stays so when they are an admin no more, and later ones don't count.
    let hers = newest(&mine, "beds", 10).await.remove(1);
    mine.delete(&hers.id).await.unwrap();
    eventually("it is deleted for eve too", || async {
        theirs.message(&hers.id).await.is_ok_and(|message| message.deleted)
    })
    .await;
    here.set_role(eve.identity().user, Role::Admin).await.unwrap();
    eventually("eve is an admin", || async { there.role() == Some(Role::Admin) }).await;
    theirs.delete(&sent.id).await.unwrap();
    eventually("ada sees it", || async { mine.message(&sent.id).await.unwrap().deleted }).await;
    here.set_role(eve.identity().user, Role::Member).await.unwrap();
    eventually("eve is no admin any more", || async { there.role() == Some(Role::Member) }).await;
    let other = say(&mine, "beds", "after that").await;
    eventually("eve has it", || async { theirs.message(&other.id).await.is_ok() }).await;
    edits.put(Some(&format!("{tag}.{}", other.id)), r#"{"deleted":true}"#).await.unwrap();
    let end = say(&theirs, "beds", "the end").await;
    eventually("ada has the end", || async { mine.message(&end.id).await.is_ok() }).await;
    for chat in [&mine, &theirs] {
        assert!(chat.message(&sent.id).await.unwrap().deleted, "she was an admin when she did it");
        assert!(!chat.message(&other.id).await.unwrap().deleted);
    }
    ada.shutdown().await;
    eve.shutdown().await;
}

fn uuid_like() -> String {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    format!("part-{:08}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_channels_and_direct_messages_are_seen_by_those_in_them_alone() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob, cem) =
        (node(home.path(), "ada").await, node(home.path(), "bob").await, node(home.path(), "cem").await);
    let here = ada.create_space("garden").await.unwrap();
    let of_bob = join(&here, &bob, Role::Member).await;
    let of_cem = join(&here, &cem, Role::Member).await;
    eventually("all know all", || async { of_bob.members().len() == 3 && of_cem.members().len() == 3 }).await;
    let (mine, bobs, cems) = (here.chat(), of_bob.chat(), of_cem.chat());
    let private = mine.create_channel("plans", true, "").await.unwrap();
    assert_eq!(private.kind, ChannelKind::Private);
    say(&mine, "plans", "hush").await;
    mine.invite("plans", bob.identity().user, false).await.unwrap();
    eventually("bob reads it", || async { texts(&bobs, "plans").await == ["hush"] }).await;
    say(&bobs, "plans", "hush hush").await;
    eventually("ada reads bob", || async { texts(&mine, "plans").await.len() == 2 }).await;

    let (direct, is_new) = mine.direct(&[bob.identity().user]).await.unwrap();
    assert_eq!((direct.kind, direct.name.as_str(), is_new), (ChannelKind::Direct, "bob", true));
    say(&mine, &direct.id, "hello").await;
    eventually("bob reads the direct message", || async { texts(&bobs, &direct.id).await == ["hello"] })
        .await;
    let (same, is_new) = bobs.direct(&[ada.identity().user]).await.unwrap();
    assert_eq!((same.id, same.name.as_str(), is_new), (direct.id.clone(), "ada", false));
    mine.create_channel("open", false, "").await.unwrap();
    eventually("cem sees the open one", || async { cems.channel("open").await.is_ok() }).await;
    assert_eq!(cems.channels().await.unwrap().len(), 1);
    assert_eq!(cem.spaces().len(), 1, "cem holds nothing of the others");
    assert!(cems.message(&newest(&mine, "plans", 1).await[0].id).await.is_err());

    mine.put_out("plans", bob.identity().user).await.unwrap();
    eventually("bob is out", || async { bobs.channel("plans").await.is_err() }).await;
    assert!(matches!(mine.put_out("open", bob.identity().user).await, Err(NodeError::Conflict(_))));
    for node in [ada, bob, cem] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_message_that_both_begin_apart_becomes_one() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let here = ada.create_space("garden").await.unwrap();
    join(&here, &bob, Role::Member).await;
    let (to_bob, to_ada) = (bob.identity().user, ada.identity().user);
    bob.shutdown().await;
    let bob = away(home.path(), "bob").await;
    let theirs = bob.space("garden").unwrap().chat();
    let (one, _) = here.chat().direct(&[to_bob]).await.unwrap();
    let (two, _) = theirs.direct(&[to_ada]).await.unwrap();
    assert_eq!(one.id, two.id);
    say(&here.chat(), &one.id, "from ada").await;
    say(&theirs, &two.id, "from bob").await;
    bob.shutdown().await;
    let bob = near(home.path(), "bob", &ada).await;
    let theirs = bob.space("garden").unwrap().chat();
    let mine = here.chat();
    eventually("both see both", || async {
        texts(&mine, &one.id).await == ["from ada", "from bob"]
            && texts(&theirs, &one.id).await == ["from ada", "from bob"]
    })
    .await;
    assert_eq!(here.children().len(), 2);
    assert_eq!(mine.channels().await.unwrap().len(), 1);
    say(&mine, &one.id, "and on").await;
    eventually("it goes on in one", || async { texts(&theirs, &one.id).await.len() == 3 }).await;
    assert!(tokio::time::timeout(PATIENCE, ada.shutdown()).await.is_ok());
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_removed_member_wrote_too_late_is_taken_back_from_the_messages() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob, cem) =
        (node(home.path(), "ada").await, node(home.path(), "bob").await, node(home.path(), "cem").await);
    let here = ada.create_space("garden").await.unwrap();
    let of_bob = join(&here, &bob, Role::Member).await.chat();
    let cems = join(&here, &cem, Role::Member).await.chat();
    here.chat().create_channel("beds", false, "").await.unwrap();
    eventually("both see it", || async {
        cems.channel("beds").await.is_ok() && of_bob.channel("beds").await.is_ok()
    })
    .await;
    let user = bob.identity().user;
    for node in [ada, bob] {
        node.shutdown().await;
    }
    // Cem alone hears what Bob writes, while Ada puts him out.
    let bob = near(home.path(), "bob", &cem).await;
    say(&bob.space("garden").unwrap().chat(), "beds", "too late").await;
    eventually("cem reads it", || async { texts(&cems, "beds").await == ["too late"] }).await;
    assert_eq!(cems.search("late", None, None, 10).await.unwrap().items.len(), 1);
    bob.shutdown().await;
    let ada = away(home.path(), "ada").await;
    ada.space("garden").unwrap().remove_member(user).await.unwrap();
    ada.shutdown().await;
    let ada = near(home.path(), "ada", &cem).await;
    eventually("it is taken back", || async { texts(&cems, "beds").await.is_empty() }).await;
    assert!(cems.search("late", None, None, 10).await.unwrap().items.is_empty());
    assert_eq!(cems.channel("beds").await.unwrap().members.len(), 1, "bob had joined by writing");
    ada.shutdown().await;
    cem.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_are_near_see_who_is_there_and_who_types() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let here = ada.create_space("garden").await.unwrap();
    let there = join(&here, &bob, Role::Member).await;
    let (mine, theirs) = (here.chat(), there.chat());
    let me = ada.identity().user;
    let of_ada = || theirs.presence().into_iter().find(|(user, ..)| *user == me).map(|(_, state, _)| state);
    eventually("bob sees that ada is there", || async { of_ada() == Some(Presence::Online) }).await;
    ada.set_presence(true);
    eventually("ada is away", || async { of_ada() == Some(Presence::Away) }).await;
    let channel = mine.create_channel("beds", false, "").await.unwrap();
    eventually("whoever does something is there", || async { of_ada() == Some(Presence::Online) }).await;
    let mut events = bob.events();
    mine.typing("beds").await.unwrap();
    let typing = async {
        loop {
            if let Ok(covey_node::Event::Typing { channel, user, .. }) = events.recv().await {
                return (channel, user);
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, typing).await.unwrap(), (channel.id, me));
    ada.shutdown().await;
    eventually("ada is gone", || async { of_ada() == Some(Presence::Offline) }).await;
    bob.shutdown().await;
}
