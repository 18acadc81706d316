//! Who is in channels, between real nodes: groups, admins who are named and put back, owners who leave, names that change,
//! and what an admin deleted when their device's log forked.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::path::Path;

use common::{PATIENCE, config, eventually, join, node};
use covey_node::{
    Chat, Event, NetworkMode, Node, NodeConfig, NodeError, Role, Space, WallClock,
    chat::{Channel, ChannelKind, Message, NewMessage, Wanted},
};
use tokio::sync::broadcast::error::RecvError;

async fn say(chat: &Chat, channel: &str, words: &str) -> Message {
    chat.send(channel, NewMessage { text: words.into(), ..NewMessage::default() }).await.unwrap()
}

async fn texts(chat: &Chat, channel: &str) -> Vec<String> {
    let page = chat.page(channel, None, Wanted::Newest, 100).await;
    page.map(|page| page.items.into_iter().map(|message| message.text).collect()).unwrap_or_default()
}

/// The names of a channel's people, and those of its admins.
async fn people(chat: &Chat, channel: &str) -> (Vec<String>, Vec<String>) {
    let Ok(Channel { mut members, .. }) = chat.channel(channel).await else { return Default::default() };
    members.sort_by(|a, b| a.name.cmp(&b.name));
    let admins = members.iter().filter(|member| member.is_admin).map(|member| member.name.clone()).collect();
    (members.into_iter().map(|member| member.name).collect(), admins)
}

async fn three(home: &Path) -> ([Node; 3], [Space; 3]) {
    let (ada, bob) = (node(home, "ada").await, node(home, "bob").await);
    // Bob and Cem hear each other without Ada too.
    let mut config = config(&home.join("cem"), "cem");
    config.bootstrap = bob.listen_addresses().await;
    let nodes = [ada, bob, Node::open(config).await.unwrap()];
    let here = nodes[0].create_space("garden").await.unwrap();
    let (bobs, cems) =
        (join(&here, &nodes[1], Role::Member).await, join(&here, &nodes[2], Role::Member).await);
    eventually("all know all", || async { bobs.members().len() == 3 && cems.members().len() == 3 }).await;
    (nodes, [here, bobs, cems])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_talk_among_themselves_and_a_fourth_holds_nothing_of_it() {
    let home = tempfile::tempdir().unwrap();
    let ([ada, bob, cem], [here, of_bob, of_cem]) = three(home.path()).await;
    let dan = node(home.path(), "dan").await;
    let of_dan = join(&here, &dan, Role::Member).await;
    eventually("all know all", || async { of_bob.members().len() == 4 && of_cem.members().len() == 4 }).await;
    let chats = [here.chat(), of_bob.chat(), of_cem.chat()];
    let (direct, is_new) = chats[0].direct(&[bob.identity().user, cem.identity().user]).await.unwrap();
    assert_eq!((direct.kind, direct.name.as_str(), is_new), (ChannelKind::Direct, "bob, cem", true));
    for (n, chat) in chats.iter().enumerate() {
        eventually("the channel is there", || async { chat.channel(&direct.id).await.is_ok() }).await;
        say(chat, &direct.id, &format!("secret number {n}")).await;
    }
    for chat in &chats {
        eventually("all three have all", || async { texts(chat, &direct.id).await.len() == 3 }).await;
        assert_eq!(texts(chat, &direct.id).await, texts(&chats[0], &direct.id).await);
    }
    let names: Vec<String> =
        chats[2].channels().await.unwrap().into_iter().map(|channel| channel.name).collect();
    assert_eq!(names, ["ada, bob"]);
    let same = chats[2].direct(&[ada.identity().user, bob.identity().user]).await.unwrap();
    assert_eq!(
        (same.0.id.as_str(), same.1),
        (direct.id.as_str(), false),
        "the same people: the same channel"
    );

    // What is told of it as a space is who it is with.
    let child = here.children().pop().unwrap();
    let status = of_cem.children().pop().unwrap().status().await.unwrap();
    assert_eq!((status.name.as_str(), status.channel), ("ada, bob", Some(ChannelKind::Direct)));

    // Something that Dan does get shows that he had the time to get the other.
    here.chat().create_channel("open", false, "").await.unwrap();
    say(&here.chat(), "open", "for all").await;
    let dans = of_dan.chat();
    eventually("dan reads what is for all", || async { texts(&dans, "open").await == ["for all"] }).await;
    assert_eq!(dans.channels().await.unwrap().len(), 1);
    assert!(dan.space(&child.id().to_string()).is_err() && of_dan.children().is_empty());
    assert!(dans.search("secret", None, None, 10).await.unwrap().items.is_empty());
    dan.shutdown().await;
    // With the key of Dan's home his store is read as it is: no entry of the child is in it, sealed or not.
    let store = tokio::task::spawn_blocking({
        let home = home.path().join("dan");
        move || covey_store::Store::open(&home, covey_store::Unlock::KeyFile)
    });
    let store = store.await.unwrap().unwrap();
    let secret = child.id();
    let held = store.read(move |rows| Ok(rows.spaces()?.iter().any(|space| space.id == secret)));
    assert!(!held.await.unwrap(), "nothing of the child is stored at Dan's");
    tokio::task::spawn_blocking(move || store.close()).await.unwrap().unwrap();
    for node in [ada, bob, cem] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_named_admin_of_a_channel_can_be_put_back() {
    let home = tempfile::tempdir().unwrap();
    let ([ada, bob, cem], [here, of_bob, of_cem]) = three(home.path()).await;
    let (mine, bobs, cems) = (here.chat(), of_bob.chat(), of_cem.chat());
    let (him, her) = (bob.identity().user, cem.identity().user);
    mine.create_channel("plans", true, "").await.unwrap();
    bobs.create_channel("beds", false, "").await.unwrap();
    mine.invite("plans", him, true).await.unwrap();
    mine.invite("plans", her, false).await.unwrap();
    let two_admins = || async { people(&cems, "plans").await.1 == ["ada", "bob"] };
    eventually("bob is admin of the private channel", two_admins).await;
    eventually("bob knows it too", || async { people(&bobs, "plans").await.1 == ["ada", "bob"] }).await;
    mine.set_admin("plans", him, false).await.unwrap();
    eventually("bob is none any more", || async { people(&cems, "plans").await.1 == ["ada"] }).await;
    eventually("bob hears of it", || async { people(&bobs, "plans").await.1 == ["ada"] }).await;
    assert_eq!(people(&bobs, "plans").await.0, ["ada", "bob", "cem"], "and is still in it");
    let refused = bobs.set_admin("plans", him, true).await;
    assert!(matches!(refused, Err(NodeError::Membership(_))), "{refused:?}");

    // Of a public one whoever made it names admins, and so does an admin of the space.
    eventually("cem sees it", || async { cems.channel("beds").await.is_ok() }).await;
    cems.join("beds").await.unwrap();
    eventually("bob sees her in it", || async { people(&bobs, "beds").await.0 == ["bob", "cem"] }).await;
    bobs.set_admin("beds", her, true).await.unwrap();
    eventually("cem is admin", || async { people(&cems, "beds").await.1 == ["bob", "cem"] }).await;
    eventually("ada sees it", || async { people(&mine, "beds").await.1 == ["bob", "cem"] }).await;
    let refused = cems.set_admin("beds", ada.identity().user, true).await;
    assert!(matches!(refused, Err(NodeError::NotFound { .. })), "ada isn't in it: {refused:?}");
    mine.join("beds").await.unwrap();
    eventually("cem sees ada", || async { people(&cems, "beds").await.0.len() == 3 }).await;
    let refused = cems.set_admin("beds", him, false).await;
    assert!(matches!(refused, Err(NodeError::NotYours(_))), "who was named names nobody: {refused:?}");
    mine.set_admin("beds", her, false).await.unwrap();
    eventually("cem is put back", || async { people(&cems, "beds").await.1 == ["ada", "bob"] }).await;
    let refused = mine.set_admin("beds", him, false).await;
    assert!(matches!(refused, Err(NodeError::Conflict(_))), "who made it stays admin: {refused:?}");
    for node in [ada, bob, cem] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_owner_leaves_a_private_channel_to_the_most_senior_and_who_is_alone_just_leaves() {
    let home = tempfile::tempdir().unwrap();
    let ([ada, bob, cem], [here, of_bob, of_cem]) = three(home.path()).await;
    let (mine, bobs, cems) = (here.chat(), of_bob.chat(), of_cem.chat());
    mine.create_channel("plans", true, "").await.unwrap();
    mine.invite("plans", cem.identity().user, false).await.unwrap();
    mine.invite("plans", bob.identity().user, false).await.unwrap();
    say(&mine, "plans", "before I go").await;
    eventually("all read it", || async {
        texts(&bobs, "plans").await.len() == 1 && texts(&cems, "plans").await.len() == 1
    })
    .await;
    mine.leave("plans").await.unwrap();
    assert!(matches!(mine.channel("plans").await, Err(NodeError::NotFound { .. })));
    // Cem was taken in first.
    eventually("cem has it now", || async {
        people(&bobs, "plans").await == (names(&["bob", "cem"]), names(&["cem"]))
    })
    .await;
    eventually("she knows it", || async { people(&cems, "plans").await.1 == ["cem"] }).await;
    let owner = of_cem.children().pop().unwrap();
    assert_eq!(owner.role(), Some(Role::Owner));
    say(&cems, "plans", "without ada").await;
    eventually("bob reads on", || async { texts(&bobs, "plans").await.len() == 2 }).await;
    assert_eq!(here.children().pop().unwrap().role(), None);

    // An admin comes before those who are in it longer.
    cems.invite("plans", ada.identity().user, true).await.unwrap();
    eventually("ada is back", || async { people(&mine, "plans").await.1 == ["ada", "cem"] }).await;
    cems.leave("plans").await.unwrap();
    eventually("ada has it", || async {
        people(&mine, "plans").await == (names(&["ada", "bob"]), names(&["ada"]))
    })
    .await;
    eventually("bob has heard of it", || async { people(&bobs, "plans").await.0 == ["ada", "bob"] }).await;
    bobs.leave("plans").await.unwrap();
    eventually("ada is alone", || async { people(&mine, "plans").await.0 == ["ada"] }).await;
    mine.leave("plans").await.unwrap();
    assert!(matches!(mine.channel("plans").await, Err(NodeError::NotFound { .. })));
    assert!(mine.channels().await.unwrap().is_empty());
    mine.create_channel("plans", true, "").await.unwrap();
    for node in [ada, bob, cem] {
        node.shutdown().await;
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_name_is_known_to_all_spaces_and_all_devices_of_its_user() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob, phone) =
        (node(home.path(), "ada").await, node(home.path(), "bob").await, node(home.path(), "phone").await);
    let garden = ada.create_space("garden").await.unwrap();
    let bobs = join(&garden, &bob, Role::Member).await;
    let club = bob.create_space("club").await.unwrap();
    join(&club, &ada, Role::Guest).await;
    let invitation = ada.link_device(PATIENCE).await.unwrap();
    phone.link_to(&invitation.link, PATIENCE).await.unwrap();
    let chat = garden.chat();
    chat.create_channel("plans", true, "").await.unwrap();
    chat.invite("plans", bob.identity().user, false).await.unwrap();

    let called = |space: &Space, name: &str| space.members().iter().any(|member| member.name == name);
    for bad in ["", " Ada", "a\nb", &"x".repeat(65)] {
        assert!(matches!(ada.rename_user(bad).await, Err(NodeError::Invalid(_))), "{bad:?}");
    }
    ada.rename_user("Ada Lovelace").await.unwrap();
    assert_eq!(ada.identity().user_name, "Ada Lovelace");
    eventually("bob knows it in all spaces", || async {
        called(&bobs, "Ada Lovelace") && called(&club, "Ada Lovelace")
    })
    .await;
    eventually("the phone knows it", || async { phone.identity().user_name == "Ada Lovelace" }).await;
    let theirs = bobs.chat();
    eventually("and channels show it", || async {
        people(&theirs, "plans").await.0 == ["Ada Lovelace", "bob"]
    })
    .await;
    let private = bobs.children().pop().unwrap();
    eventually("the child knows it too", || async { called(&private, "Ada Lovelace") }).await;

    // Any device of theirs can do it; the others follow, and nobody takes it back.
    phone.rename_user("Countess").await.unwrap();
    eventually("all know the newest", || async {
        ada.identity().user_name == "Countess" && called(&bobs, "Countess") && called(&club, "Countess")
    })
    .await;
    ada.shutdown().await;
    let ada = node(home.path(), "ada").await;
    assert_eq!(ada.identity().user_name, "Countess", "it's kept");
    for node in [ada, bob, phone] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_whose_clocks_differ_come_to_one_order_of_what_they_wrote_apart() {
    let home = tempfile::tempdir().unwrap();
    let ada = node(home.path(), "ada").await;
    let bob = node(home.path(), "bob").await;
    let here = ada.create_space("garden").await.unwrap();
    let there = join(&here, &bob, Role::Member).await;
    here.chat().create_channel("beds", false, "").await.unwrap();
    let theirs = there.chat();
    eventually("bob sees it", || async { theirs.channel("beds").await.is_ok() }).await;
    bob.shutdown().await;
    // Both write while neither hears of the other, and Bob's clock is four minutes ahead.
    let mut fast = config(&home.path().join("bob"), "bob");
    fast.clock = WallClock::new(|| WallClock::default().now_ms() + 4 * 60 * 1000);
    fast.network = NetworkMode::Solo;
    let bob = Node::open(fast.clone()).await.unwrap();
    for n in 0..5 {
        say(&here.chat(), "beds", &format!("ada {n}")).await;
        say(&bob.space("garden").unwrap().chat(), "beds", &format!("bob {n}")).await;
    }
    bob.shutdown().await;
    fast.network = NetworkMode::Lan;
    fast.bootstrap = ada.listen_addresses().await;
    let bob = Node::open(fast).await.unwrap();
    let (mine, theirs) = (here.chat(), bob.space("garden").unwrap().chat());
    eventually("both have all", || async {
        texts(&mine, "beds").await.len() == 10 && texts(&theirs, "beds").await.len() == 10
    })
    .await;
    let order = texts(&mine, "beds").await;
    assert_eq!(order, texts(&theirs, "beds").await);
    let of = |who: &str| order.iter().filter(|text| text.starts_with(who)).cloned().collect::<Vec<_>>();
    for who in ["ada", "bob"] {
        let said: Vec<String> = (0..5).map(|n| format!("{who} {n}")).collect();
        assert_eq!(of(who), said, "what one person said stays in the order in which they said it");
    }
    // What is said from now on stands at the end, whoever says it.
    say(&mine, "beds", "ada again").await;
    eventually("bob has it", || async { texts(&theirs, "beds").await.len() == 11 }).await;
    assert_eq!(texts(&theirs, "beds").await.last().unwrap(), "ada again");
    assert_eq!(texts(&mine, "beds").await.last().unwrap(), "ada again");
    ada.shutdown().await;
    bob.shutdown().await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for found in std::fs::read_dir(from).unwrap() {
        let path = found.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_admin_deleted_stays_deleted_when_it_is_written_again_after_a_fork() {
    let dir = tempfile::tempdir().unwrap();
    let (home, clone) = (dir.path().join("ada"), dir.path().join("clone"));
    let (ada, bob) = (node(dir.path(), "ada").await, node(dir.path(), "bob").await);
    let garden = ada.create_space("garden").await.unwrap();
    let bobs = join(&garden, &bob, Role::Member).await.chat();
    garden.chat().create_channel("beds", false, "").await.unwrap();
    eventually("bob sees it", || async { bobs.channel("beds").await.is_ok() }).await;
    let rude = say(&bobs, "beds", "something rude").await;
    let mine = garden.chat();
    eventually("ada reads it", || async { mine.message(&rude.id).await.is_ok() }).await;
    ada.shutdown().await;
    copy(&home, &clone);
    let solo = |home: &Path| NodeConfig { network: NetworkMode::Solo, ..config(home, "ada") };

    // One copy writes with Bob near; the other one, alone, deletes what Bob wrote.
    let near = NodeConfig { bootstrap: bob.listen_addresses().await, ..config(&home, "ada") };
    let ada = Node::open(near.clone()).await.unwrap();
    let first = say(&ada.space("garden").unwrap().chat(), "beds", "here").await;
    eventually("bob reads it", || async { bobs.message(&first.id).await.is_ok() }).await;
    ada.shutdown().await;
    let other = Node::open(solo(&clone)).await.unwrap();
    let others = other.space("garden").unwrap().chat();
    others.delete(&rude.id).await.unwrap();
    assert!(others.message(&rude.id).await.unwrap().deleted);
    other.shutdown().await;
    let other = Node::open(NodeConfig { home: clone, ..near }).await.unwrap();
    let others = other.space("garden").unwrap().chat();
    let is_gone = |chat: Chat| {
        let id = rude.id.clone();
        async move { chat.message(&id).await.is_ok_and(|message| message.deleted) }
    };
    eventually("it is deleted at bob's", || is_gone(bobs.clone())).await;
    eventually("and stays so at ada's", || is_gone(others.clone())).await;
    other.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_direct_message_nobody_deletes_what_the_other_one_wrote() {
    let home = tempfile::tempdir().unwrap();
    let (ada, bob) = (node(home.path(), "ada").await, node(home.path(), "bob").await);
    let garden = ada.create_space("garden").await.unwrap();
    let of_bob = join(&garden, &bob, Role::Member).await;
    let (mine, bobs) = (garden.chat(), of_bob.chat());
    let (direct, _) = mine.direct(&[bob.identity().user]).await.unwrap();
    let first = say(&mine, &direct.id, "from ada").await;
    eventually("bob reads it", || async { bobs.message(&first.id).await.is_ok() }).await;
    let his = say(&bobs, &direct.id, "from bob").await;
    eventually("ada reads it", || async { mine.message(&his.id).await.is_ok() }).await;

    // Both are owners of the space that it is, and that gives no right over the other.
    let refused = mine.delete(&his.id).await;
    assert!(matches!(refused, Err(NodeError::NotYours(_))), "{refused:?}");
    let refused = bobs.delete(&first.id).await;
    assert!(matches!(refused, Err(NodeError::NotYours(_))), "{refused:?}");

    // Nor does a program that writes it all the same: it has no effect on either side.
    let child = garden.children().pop().unwrap();
    let edits = child.collection("own.chat.edits").unwrap();
    let tag = first.id.split('.').next().unwrap();
    edits.put(Some(&format!("{tag}.{}", his.id)), r#"{"deleted":true}"#).await.unwrap();
    let end = say(&mine, &direct.id, "the end").await;
    eventually("bob has the end", || async { bobs.message(&end.id).await.is_ok() }).await;
    for chat in [&mine, &bobs] {
        let seen = chat.message(&his.id).await.unwrap();
        assert_eq!((seen.text.as_str(), seen.deleted), ("from bob", false));
    }
    bobs.delete(&his.id).await.unwrap();
    eventually("one's own goes as before", || async { mine.message(&his.id).await.unwrap().deleted }).await;
    ada.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_in_a_private_channel_is_told_when_somebody_is_taken_in_or_named() {
    let home = tempfile::tempdir().unwrap();
    let ([ada, bob, cem], [here, of_bob, _]) = three(home.path()).await;
    let (mine, bobs) = (here.chat(), of_bob.chat());
    let (him, her) = (bob.identity().user, cem.identity().user);
    mine.create_channel("plans", true, "").await.unwrap();
    mine.invite("plans", him, false).await.unwrap();
    eventually("bob is in it", || async { people(&bobs, "plans").await.0 == ["ada", "bob"] }).await;
    let child = of_bob.children().pop().unwrap().id();
    let mut events = bob.events();
    // After each act an event for the channel, by which whoever shows it looks again.
    let mut told = async || {
        let heard = async {
            loop {
                match events.recv().await {
                    Ok(Event::ChannelChanged { space, .. }) if space == child => break,
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => panic!("the node is gone"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard).await.expect("it is told");
    };
    mine.set_admin("plans", him, true).await.unwrap();
    told().await;
    eventually("bob is an admin", || async { people(&bobs, "plans").await.1 == ["ada", "bob"] }).await;
    mine.invite("plans", her, false).await.unwrap();
    told().await;
    eventually("cem is in it", || async { people(&bobs, "plans").await.0 == ["ada", "bob", "cem"] }).await;
    for node in [ada, bob, cem] {
        node.shutdown().await;
    }
}
