//! Read marks between real nodes: what comes behind a mark isn't read, on none of a user's devices, and nobody is told that
//! it was.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use common::{PATIENCE, config, eventually, join, node};
use covey_node::{
    Chat, NetworkMode, Node, Role,
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
