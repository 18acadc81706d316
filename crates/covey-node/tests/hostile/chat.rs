//! A member who writes, past all that an honest program would refuse, over what others have said.

use covey_log::{Entry, Kind};
use covey_node::{
    Role,
    chat::{NewMessage, Wanted},
};
use covey_records::{BodyWriter, Observed, Op, RecordId, own};
use covey_types::Hlc;

use crate::{
    common::eventually,
    entries::Attacked,
    member::{Answer, Member},
};

fn put(body: &mut BodyWriter, collection: &str, id: &str, fields: &[(&str, &str)]) {
    let id = RecordId::parse(id).unwrap();
    body.push(&Op::Put { collection, id, fields: fields.to_vec() }).unwrap();
}

impl Member {
    /// The next entry, with these operations.
    fn say(&mut self, fill: impl FnOnce(&mut BodyWriter)) -> Entry {
        let mut body = BodyWriter::new();
        fill(&mut body);
        let draft = self.draft(Kind::RECORDS);
        self.sign(draft, &body.finish())
    }

    /// Names what the node knows of the membership from here on.
    async fn learn(&mut self, acts: usize) {
        let mut line = self.line().await;
        loop {
            let known: Vec<_> =
                line.received.iter().filter(|entry| entry.header.kind.is_membership()).collect();
            if known.len() >= acts {
                let past: Vec<_> = known.iter().flat_map(|entry| entry.header.deps.clone()).collect();
                self.deps =
                    known.iter().map(|entry| entry.hash).filter(|hash| !past.contains(hash)).collect();
                break;
            }
            line.step().await.expect("the node sends what it has");
        }
        line.wire.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_member_writes_over_others_messages_counts_nowhere() {
    let mut it = Attacked::by(Role::Member).await;
    let chat = it.garden.chat();
    let channel = chat.create_channel("beds", false, "").await.unwrap().id;
    let new = NewMessage { text: "what I said".into(), ..NewMessage::default() };
    let sent = chat.send("beds", new).await.unwrap();
    let before = chat.message(&sent.id).await.unwrap();
    let hers = own::id(it.eve.peer.id(), "message-1");
    it.eve.hlc = Hlc::from_u64(sent.at.to_u64() + 1000);
    let entry = it.eve.say(|body| {
        put(body, "own.chat.messages", &sent.id, &[("text", "\"forged\"")]);
        let id = RecordId::parse(&sent.id).unwrap();
        let observed = Observed::default();
        body.push(&Op::Delete { collection: "own.chat.messages", id, observed }).unwrap();
        put(body, "own.chat.channels", &channel, &[("name", "\"forged\"")]);
        put(body, "own.chat.messages", "no-tag", &[("in", "\"main\""), ("text", "\"x\"")]);
        put(body, "own.chat.messages", &hers, &[("in", &format!("{channel:?}")), ("text", "\"her own\"")]);
    });
    let answer = it.eve.line().await.deliver(std::slice::from_ref(&entry)).await;
    assert_eq!(answer, Answer::Acknowledged(vec![(0, 1)]));
    let page = chat.page("beds", None, Wanted::Newest, 10).await.unwrap();
    let texts: Vec<_> = page.items.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(texts, ["what I said", "her own"]);
    let after = chat.message(&sent.id).await.unwrap();
    assert_eq!((after.text, after.edited, after.position), (before.text, false, before.position));
    let record = it.garden.collection("own.chat.messages").unwrap().get(&sent.id).await.unwrap();
    assert!(record.unwrap().contains("what I said"), "the record itself is as it was");
    it.ada.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_an_admin_no_more_deletes_nothing_by_naming_a_time_when_they_were() {
    let mut it = Attacked::by(Role::Admin).await;
    let chat = it.garden.chat();
    chat.create_channel("beds", false, "").await.unwrap();
    let say = async |text: &str| {
        let new = NewMessage { text: text.into(), ..NewMessage::default() };
        chat.send("beds", new).await.unwrap()
    };
    let (one, two) = (say("one").await, say("two").await);
    let about = |message: &str| own::id(it.eve.peer.id(), message);
    let (of_one, of_two) = (about(&one.id), about(&two.id));
    it.eve.hlc = Hlc::from_u64(two.at.to_u64() + 1000);
    let first = it.eve.say(|body| {
        put(body, "own.chat.edits", &of_one, &[("deleted", "true")]);
        put(body, "own.chat.edits", &of_two, &[("deleted", "false")]);
    });
    let then = first.header.hlc;
    assert!(matches!(it.eve.line().await.deliver(&[first]).await, Answer::Acknowledged(_)));
    eventually("an admin deletes", || async { chat.message(&one.id).await.unwrap().deleted }).await;
    assert!(!chat.message(&two.id).await.unwrap().deleted);

    let eve = it.garden.members().into_iter().find(|member| member.name == "Eve").unwrap().user;
    it.garden.set_role(eve, Role::Member).await.unwrap();
    let acts = it.garden.audit().await.unwrap();
    let mut entries: Vec<_> = acts.iter().map(|act| act.hash).collect();
    entries.dedup();
    it.eve.learn(entries.len()).await;
    let second = it.eve.say(|body| {
        put(body, "own.chat.edits", &of_two, &[("deleted", "true")]);
        body.push(&Op::AsOf { hlc: then }).unwrap();
        put(body, "own.chat.edits", &of_two, &[("deleted", "true")]);
    });
    assert!(matches!(it.eve.line().await.deliver(&[second]).await, Answer::Acknowledged(_)));
    assert!(chat.message(&one.id).await.unwrap().deleted, "what she did as an admin stays");
    assert!(!chat.message(&two.id).await.unwrap().deleted);
    it.ada.shutdown().await;
}
