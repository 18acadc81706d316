//! Read marks between real nodes: what comes behind a mark isn't read, on none of a user's devices, and nobody is told that
//! it was. What guests have read, who write no marks. And what a search finds of messages that came late.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{PATIENCE, away, config, eventually, join, near, node};
use covey_node::{
    Chat, Event, NetworkMode, Node, Role,
    chat::{Message, MessageState, NewMessage},
};

async fn say(chat: &Chat, channel: &str, words: &str) -> Message {
    chat.send(channel, NewMessage { text: words.into(), ..NewMessage::default() }).await.unwrap()
}

async fn unread(chat: &Chat) -> u64 {
    chat.channel("beds").await.map_or(u64::MAX, |channel| channel.unread)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_behind_the_mark_is_unread_on_all_devices_until_it_is_read_on_one() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob, phone) =
        (node(home.path(), "ada").await, node(home.path(), "bob").await, node(home.path(), "phone").await);
    let garden = ada.create_space("garden").await.unwrap();
    let theirs = join(&garden, &bob, Role::Member).await.chat();
    let invitation = ada.link_device(PATIENCE).await.unwrap();
    phone.link_to(&invitation.link, PATIENCE).await.unwrap();
    let mine = garden.chat();
    mine.create_channel("beds", false, "").await.unwrap();
    eventually("bob sees it", || async { theirs.channel("beds").await.is_ok() }).await;
    let first = say(&theirs, "beds", "bob, near").await;
    let on_phone = phone.space("garden").unwrap().chat();
    eventually("it is unread on both", || async { unread(&mine).await == 1 && unread(&on_phone).await == 1 })
        .await;

    // Bob writes while he is away; Ada reads on, on the phone, up to something newer.
    bob.shutdown().await;
    let mut alone = config(&home.path().join("bob"), "bob");
    alone.network = NetworkMode::Solo;
    let bob = Node::open(alone).await.unwrap();
    let late = say(&bob.space("garden").unwrap().chat(), "beds", "bob, away").await;
    bob.shutdown().await;
    let newest = say(&mine, "beds", "ada, at home").await;
    assert!(newest.at > late.at);
    eventually("the phone has it", || async { on_phone.message(&newest.id).await.is_ok() }).await;
    on_phone.mark_read("beds", &newest.id).await.unwrap();
    eventually("it is read on both", || async { unread(&mine).await == 0 && unread(&on_phone).await == 0 })
        .await;

    let mut near = config(&home.path().join("bob"), "bob");
    near.bootstrap = ada.listen_addresses().await;
    let bob = Node::open(near).await.unwrap();
    let theirs = bob.space("garden").unwrap().chat();
    eventually("the late one is unread on both", || async {
        unread(&mine).await == 1 && unread(&on_phone).await == 1
    })
    .await;
    assert_eq!(mine.channel("beds").await.unwrap().new_since.as_ref(), Some(&late.id));
    eventually("bob hears that it has come", || async {
        theirs.message(&late.id).await.unwrap().state == MessageState::Delivered
    })
    .await;
    let user = ada.identity().user;
    eventually("the first one was read", || async {
        theirs.message(&first.id).await.unwrap().read_by == [user]
    })
    .await;
    assert!(theirs.message(&late.id).await.unwrap().read_by.is_empty(), "and nobody says that this one was");

    // Read on the other device, up to the same newest message as before.
    mine.mark_read("beds", &newest.id).await.unwrap();
    eventually("it is read on both", || async { unread(&mine).await == 0 && unread(&on_phone).await == 0 })
        .await;
    eventually("bob sees that it was read", || async {
        theirs.message(&late.id).await.unwrap().state == MessageState::Read
    })
    .await;
    for node in [ada, bob, phone] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_was_away_takes_over_what_was_read_on_another_one() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob, phone) =
        (node(home.path(), "ada").await, node(home.path(), "bob").await, node(home.path(), "phone").await);
    let garden = ada.create_space("garden").await.unwrap();
    let theirs = join(&garden, &bob, Role::Member).await.chat();
    let invitation = ada.link_device(PATIENCE).await.unwrap();
    phone.link_to(&invitation.link, PATIENCE).await.unwrap();
    let mine = garden.chat();
    mine.create_channel("beds", false, "").await.unwrap();
    eventually("bob sees it", || async { theirs.channel("beds").await.is_ok() }).await;
    phone.shutdown().await;
    for n in 0..5 {
        say(&theirs, "beds", &format!("number {n}")).await;
    }
    eventually("all are unread", || async { unread(&mine).await == 5 }).await;
    let newest = mine.channel("beds").await.unwrap().last.unwrap();
    mine.mark_read("beds", &newest.id).await.unwrap();
    let mut config = config(&home.path().join("phone"), "phone");
    config.bootstrap = ada.listen_addresses().await;
    let phone = Node::open(config).await.unwrap();
    let on_phone = phone.space("garden").unwrap().chat();
    // In whatever order the messages and the mark come.
    eventually("the phone has all, and nothing to read", || async {
        let channel = on_phone.channel("beds").await;
        channel
            .is_ok_and(|channel| channel.unread == 0 && channel.last.is_some_and(|last| last.id == newest.id))
    })
    .await;
    say(&theirs, "beds", "one more").await;
    eventually("what is new is unread on both", || async {
        unread(&mine).await == 1 && unread(&on_phone).await == 1
    })
    .await;
    for node in [ada, bob, phone] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_has_read_marks_of_their_own_and_tells_nobody_of_them() {
    let home = tempfile::tempdir().unwrap();
    let (ada, gus) = (node(home.path(), "ada").await, node(home.path(), "gus").await);
    let garden = ada.create_space("garden").await.unwrap();
    let guests = join(&garden, &gus, Role::Guest).await.chat();
    let mine = garden.chat();
    mine.create_channel("beds", false, "").await.unwrap();
    let first = say(&mine, "beds", "one").await;
    let second = say(&mine, "beds", "two").await;
    eventually("the guest has both", || async { guests.message(&second.id).await.is_ok() }).await;
    assert_eq!(unread(&guests).await, 0, "they haven't looked into it yet");

    let entries = async |node: &Node| node.space("garden").unwrap().status().await.unwrap().entries;
    let before = entries(&gus).await;
    let mut events = gus.events();
    guests.mark_read("beds", &first.id).await.unwrap();
    let channel = guests.channel("beds").await.unwrap();
    assert_eq!((channel.unread, channel.new_since.as_ref(), channel.joined), (1, Some(&second.id), false));
    let told = std::iter::from_fn(|| events.try_recv().ok());
    let is_it = |event: Event| matches!(event, Event::ChannelChanged { channel: id, .. } if id == channel.id);
    assert!(told.into_iter().any(is_it), "whoever follows along hears of it");
    // An older place takes nothing back, and what is said later is new.
    guests.mark_read("beds", &second.id).await.unwrap();
    guests.mark_read("beds", &first.id).await.unwrap();
    assert_eq!(unread(&guests).await, 0);
    let third = say(&mine, "beds", "three").await;
    eventually("it is unread", || async { unread(&guests).await == 1 }).await;
    assert_eq!(entries(&gus).await, before + 1, "nothing was written but what Ada said");

    // It's kept, and whoever is away meanwhile comes in behind it.
    gus.shutdown().await;
    let gus = near(home.path(), "gus", &ada).await;
    let guests = gus.space("garden").unwrap().chat();
    assert_eq!(unread(&guests).await, 1);
    let bob = node(home.path(), "bob").await;
    let theirs = join(&garden, &bob, Role::Member).await.chat();
    eventually("bob sees it", || async { theirs.message(&third.id).await.is_ok() }).await;
    bob.shutdown().await;
    let bob = away(home.path(), "bob").await;
    let late = say(&bob.space("garden").unwrap().chat(), "beds", "bob, away").await;
    bob.shutdown().await;
    let newest = say(&mine, "beds", "four").await;
    eventually("the guest has it", || async { guests.message(&newest.id).await.is_ok() }).await;
    guests.mark_read("beds", &newest.id).await.unwrap();
    assert_eq!(unread(&guests).await, 0);
    let bob = near(home.path(), "bob", &ada).await;
    eventually("what came late is unread", || async { unread(&guests).await == 1 }).await;
    assert_eq!(guests.channel("beds").await.unwrap().new_since.as_ref(), Some(&late.id));
    guests.mark_read("beds", &newest.id).await.unwrap();
    assert_eq!(unread(&guests).await, 0);

    // Nobody heard of it, until the guest may write: then what they say they have read is a record.
    assert_eq!(mine.message(&newest.id).await.unwrap().read_by, []);
    let user = gus.identity().user;
    garden.set_role(user, Role::Member).await.unwrap();
    eventually("they may write", || async {
        gus.space("garden").unwrap().members().iter().any(|one| one.user == user && one.role == Role::Member)
    })
    .await;
    guests.mark_read("beds", &newest.id).await.unwrap();
    eventually("the others hear of it", || async {
        mine.message(&first.id).await.unwrap().read_by == [user]
            && mine.message(&late.id).await.is_ok_and(|late| late.read_by.contains(&user))
    })
    .await;
    for node in [ada, bob, gus] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_finds_the_newest_by_its_time_first_whatever_came_last() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let garden = ada.create_space("garden").await.unwrap();
    let theirs = join(&garden, &bob, Role::Member).await.chat();
    let mine = garden.chat();
    mine.create_channel("beds", false, "").await.unwrap();
    say(&mine, "beds", "plum 0").await;
    eventually("bob has it", || async { !found(&theirs, 10).await.is_empty() }).await;

    // Both write by turns while they hear nothing of each other.
    bob.shutdown().await;
    let bob = away(home.path(), "bob").await;
    let theirs = bob.space("garden").unwrap().chat();
    for n in 1..=6 {
        say(if n % 2 == 0 { &mine } else { &theirs }, "beds", &format!("plum {n}")).await;
    }
    bob.shutdown().await;
    let bob = near(home.path(), "bob", &ada).await;
    let theirs = bob.space("garden").unwrap().chat();
    let wanted: Vec<String> = (0..=6).rev().map(|n| format!("plum {n}")).collect();
    for chat in [&mine, &theirs] {
        eventually("all are found", || async { found(chat, 10).await.len() == 7 }).await;
        assert_eq!(found(chat, 10).await, wanted, "in one page");
        assert_eq!(found(chat, 2).await, wanted, "in several");
    }
    // A message that is edited stays in its place.
    let page = mine.search("plum", None, None, 10).await.unwrap();
    mine.edit(&page.items[6].message.id, "plum the first").await.unwrap();
    assert_eq!(found(&mine, 3).await[6], "plum the first");
    for node in [ada, bob] {
        node.shutdown().await;
    }
}

/// The texts of all messages in which there is a plum, read in pages of so many.
async fn found(chat: &Chat, limit: usize) -> Vec<String> {
    let (mut texts, mut below) = (Vec::new(), None);
    loop {
        let page = chat.search("plum", None, below, limit).await.unwrap();
        texts.extend(page.items.into_iter().map(|found| found.message.text));
        below = page.next;
        if below.is_none() {
            return texts;
        }
    }
}
