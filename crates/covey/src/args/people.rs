//! The arguments of `covey member`, `covey device` and `covey audit`.

use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand, ValueEnum, builder::PossibleValuesParser};
use covey_api::dto::{ACT_KINDS, HistoryDto};

/// Whether to ask before something that can't be taken back.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct Yes {
    /// Don't ask; needed where there is no terminal to ask on
    #[arg(long, short = 'y')]
    pub(crate) yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MemberRole {
    /// Reads records
    Guest,
    /// Reads and writes records
    Member,
    /// Also lets people in, puts them out, and gives roles up to admin
    Admin,
    /// May do everything; a space always has one
    Owner,
}

impl MemberRole {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Member {
    /// List the people in a space, with their roles and devices
    List {
        /// The space: its name, its id, or the first characters of its id
        space: String,
    },
    /// Take somebody into a child space (admins); they must be in its parent, and need not be near
    Add {
        /// The child: its name, with or without its parent as in garden/secret, its id, or the first characters of it
        space: String,
        /// The person: their name, their id, or the first characters of it
        user: String,
        /// What they may do
        #[arg(long, default_value = "member")]
        role: MemberRole,
    },
    /// Give somebody another role (admins, up to their own role; anybody a lower one for themself)
    Role {
        /// The space: its name, its id, or the first characters of its id
        space: String,
        /// The person: their name, their id, or the first characters of it
        user: String,
        /// What they may do from now on
        role: MemberRole,
    },
    /// Put somebody out with all their devices, and change the space's key (admins)
    ///
    /// What they wrote until now stays, and what they have got stays with them. Nothing that is
    /// written from now on can be read by them.
    Remove {
        /// The space: its name, its id, or the first characters of its id
        space: String,
        /// The person: their name, their id, or the first characters of it
        user: String,
        #[command(flatten)]
        yes: Yes,
    },
}

impl Member {
    /// The space that it is about.
    pub(crate) fn space(&self) -> &str {
        match self {
            Self::List { space }
            | Self::Add { space, .. }
            | Self::Role { space, .. }
            | Self::Remove { space, .. } => space,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HistoryRule {
    /// Whoever joins reads everything, from the start
    Full,
    /// Whoever joins reads what is written from then on
    FromJoining,
}

impl HistoryRule {
    pub(crate) fn to_dto(self) -> HistoryDto {
        match self {
            Self::Full => HistoryDto::Full,
            Self::FromJoining => HistoryDto::FromJoining,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Device {
    /// List your devices, and those of the people you share a space with
    List,
    /// Give a device another name, in every space where that is allowed
    Rename {
        /// The device: its name, its id, the first characters of it, or .. and its last ones
        device: String,
        /// The new name, as others see it
        name: String,
    },
    /// Add a further device to yours: print a code, a link and (on a terminal) a QR code
    ///
    /// Whoever uses the code becomes you, in all your spaces. On the new device, in a fresh home: covey up, then
    /// covey device join CODE.
    Link {
        /// How long the code and the link are valid, such as 90s, 15m or 2h
        #[arg(long, default_value = "15m", value_parser = crate::words::parse_duration)]
        expires: Duration,
        /// Take a code back instead: the code, or its first half
        #[arg(long, value_name = "CODE", conflicts_with = "expires")]
        withdraw: Option<String>,
    },
    /// Make this device one of yours, by a code or link of `covey device link`
    ///
    /// The device gives up the person that its home was made with, and is in all spaces of yours by itself. Only a fresh
    /// home can do that: one that is in no space.
    Join {
        /// The code COVEY-XXXX-XXXX, or the covey:// link (- reads it from stdin)
        code: String,
        /// How long to look for the linking device and wait for the records
        #[arg(long, default_value = "60s", value_parser = crate::words::parse_duration)]
        timeout: Duration,
    },
    /// Put a device out of every space where that is allowed: it was lost, stolen or sold
    ///
    /// Yours anywhere; other people's where you are admin. The keys of those spaces are changed. What the device
    /// has got stays on it. Exits with 4 if the device is still in a space.
    Revoke {
        /// The device: its name, its id, the first characters of it, or .. and its last ones
        device: String,
        #[command(flatten)]
        yes: Yes,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Profile {
    /// The name by which others are to know you, on all your devices and in all your spaces
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Web {
    /// Show the browsers that are signed in instead
    #[arg(long)]
    pub(crate) list: bool,
    /// Sign all browsers out instead
    #[arg(long, conflicts_with = "list")]
    pub(crate) sign_out: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Audit {
    /// The space: its name, its id, or the first characters of its id
    pub(crate) space: String,
    /// Only what was done at this time or after it, such as 2026-11-21T07:41:00Z
    #[arg(long, value_name = "TIME", value_parser = crate::words::parse_time)]
    pub(crate) since: Option<String>,
    /// Only what this person did: their name, their id, or the first characters of it
    #[arg(long, value_name = "USER")]
    pub(crate) who: Option<String>,
    /// Only acts of this kind
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(ACT_KINDS))]
    pub(crate) what: Option<String>,
}
