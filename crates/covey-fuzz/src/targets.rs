//! The list of targets.

pub mod acts;
pub mod chat;
#[cfg(feature = "edges")]
pub mod compaction;
#[cfg(feature = "edges")]
pub mod edges;
pub mod entries;
pub mod forks;
pub mod graph;
pub mod pairing;
pub mod records;
pub mod session;
pub mod texts;

/// One function to be fed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: that of its file in `fuzz/fuzz_targets`, and of its corpus.
    pub name: &'static str,
    /// The function. It returns whatever the bytes are; a panic is a finding.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($(#[$attribute:meta])* $module:ident::$name:ident,)*) => {
        /// All of them.
        pub const TARGETS: &[Target] = &[
            $($(#[$attribute])* Target { name: stringify!($name), run: $module::$name },)*
        ];
    };
}

targets! {
    entries::entry_header,
    entries::packed_entries,
    entries::opened_body,
    acts::membership_acts,
    acts::membership_body,
    acts::sealed_key,
    acts::welcome,
    acts::join_request,
    acts::notice,
    forks::fork_evidence,
    forks::evidence_merge,
    records::record_operations,
    records::record_state,
    records::record_merge,
    records::checkpoint_part,
    chat::chat_signal,
    chat::chat_record,
    texts::filter,
    texts::json_value,
    texts::invitation_link,
    texts::ids_and_codes,
    session::sync_frames,
    session::sync_session,
    graph::membership_graph,
    pairing::pairing,
    #[cfg(feature = "edges")]
    compaction::checkpoint_agreement,
    #[cfg(feature = "edges")]
    edges::backup_seal,
    #[cfg(feature = "edges")]
    edges::mdns_answer,
    #[cfg(feature = "edges")]
    edges::import_lines,
    #[cfg(feature = "edges")]
    edges::csv_rows,
    #[cfg(feature = "edges")]
    edges::api_requests,
}

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Makes the randomness that follows the same on each run.
pub(crate) fn steady() {
    covey_types::replay::seed(0);
}
