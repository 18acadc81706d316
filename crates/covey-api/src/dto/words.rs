//! The words that stand for states, roles and kinds in JSON, and free forms, as the OpenAPI document lists them.
//!
//! The fields themselves are texts: a client takes a word that it doesn't know yet from a newer node. Nothing is made of
//! these types but their schemas.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{AdditionalProperties, ObjectBuilder, Type},
    },
};

use super::ACT_KINDS;

fn one_of<const N: usize>(words: [&str; N], what: &str) -> RefOr<Schema> {
    let schema = ObjectBuilder::new().schema_type(Type::String).description(Some(what.trim()));
    schema.enum_values(Some(words)).build().into()
}

macro_rules! words {
    ($(#[doc = $doc:literal] $name:ident = $words:expr;)+) => {$(
        #[doc = $doc]
        #[derive(Debug)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                one_of($words, $doc)
            }
        }

        impl ToSchema for $name {}
    )+};
}

words! {
    /// How far the network reaches: not at all, over this LAN, or anywhere.
    NetworkMode = ["solo", "lan", "wan"];
    /// How another device stands to this one.
    PeerState = ["connected", "reachable", "offline"];
    /// How a device of a known person stands to this one; `here` is this one itself.
    DeviceState = ["here", "connected", "reachable", "offline"];
    /// By which way a connection goes.
    PeerPath = ["direct", "relayed"];
    /// What carries a connection.
    Transport = ["quic", "tcp"];
    /// How a space stands with another device.
    SyncState = ["in_sync", "syncing", "behind", "unreachable", "refused"];
    /// What somebody may do in a space, from the least to the most.
    Role = ["guest", "member", "admin", "owner"];
    /// What somebody who is invited may do.
    InviteRole = ["guest", "member", "admin"];
    /// How an invitation has ended.
    InviteState = ["used", "burnt", "expired", "withdrawn"];
    /// What is being done for a backup.
    BackupStage = ["copying", "checking"];
    /// What a job is at.
    JobStage = ["copying", "checking", "pairing", "syncing"];
    /// What somebody may do in a channel.
    ChannelRole = ["admin", "member"];
    /// Who may see a channel.
    ChannelKind = ["public", "private", "direct"];
    /// What sort of channel a child is.
    ChildSort = ["private", "direct"];
    /// How far a message has come.
    MessageState = ["pending", "sent", "delivered", "read"];
    /// How somebody is.
    PresenceState = ["online", "away", "offline"];
    /// How this device's user may be said to be.
    OwnPresence = ["online", "away"];
    /// The kinds of acts in the membership of a space.
    ActKind = ACT_KINDS;
}

/// A document: a JSON object with whatever fields its writer put there.
#[derive(Debug)]
pub enum Document {}

impl PartialSchema for Document {
    fn schema() -> RefOr<Schema> {
        let schema = ObjectBuilder::new().schema_type(Type::Object);
        let schema = schema.additional_properties(Some(AdditionalProperties::FreeForm(true)));
        schema
            .description(Some("A document: a JSON object with whatever fields its writer put there."))
            .build()
            .into()
    }
}

impl ToSchema for Document {}
