//! Members that lie about how far a device's own log reaches.

use std::collections::BTreeSet;

use covey_node::Role;
use covey_types::{DeviceId, EntryHash, Head, LogId};

use crate::{
    common::eventually,
    entries::Attacked,
    member::Answer,
    peer::{HEADS, frame},
};

impl Attacked {
    /// The logs of Ada's device, as her node tells them.
    async fn own_logs(&self) -> BTreeSet<LogId> {
        let told = self.eve.line_without_heads().await.received_heads;
        let own = told.into_keys().filter(|log| log.device == self.eve.peer.node);
        own.collect()
    }

    /// Tells, in a session of its own, that all of Ada's logs reach further than they do; then Ada writes.
    async fn lie_and_let_write(&mut self, id: &str) {
        let further = Head { seq: 1_000_000, hash: EntryHash([7; 32]) };
        let mut line = self.eve.line_without_heads().await;
        let own = line.received_heads.keys().filter(|log| log.device == self.eve.peer.node);
        let lies: Vec<_> = own.map(|log| (*log, further)).collect();
        line.wire.send(&frame(HEADS, &(0u32, lies))).await;
        // What comes on this stream is dealt with after the heads were taken in.
        let entry = self.eve.put(id, "1");
        let seq = entry.header.seq;
        assert_eq!(line.deliver(&[entry]).await, Answer::Acknowledged(vec![(0, seq)]));
        self.garden.collection("plants").unwrap().put(Some(id), r#"{"v":"2"}"#).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_liar_makes_a_device_begin_one_new_log_and_not_one_for_each_lie() {
    let mut it = Attacked::by(Role::Member).await;
    let before = it.own_logs().await;
    assert_eq!(before.len(), 1);
    it.lie_and_let_write("a").await;
    let has_begun = || async {
        it.garden.collection("plants").unwrap().put(Some("b"), "{}").await.unwrap();
        it.own_logs().await.len() == 2
    };
    eventually("the old log is left alone, in case that it is true", has_begun).await;
    for id in ["c", "d", "e"] {
        // A change that fails has what is in memory read afresh.
        assert!(it.garden.remove_device(DeviceId([9; 32])).await.is_err());
        it.lie_and_let_write(id).await;
    }
    assert_eq!(it.own_logs().await.len(), 2, "nobody can use up the logs that a device may have");
    assert!(!it.ada.doctor().await.iter().any(|check| check.name == "own-log"), "no fork was shown");
    it.ada.shutdown().await;
}
