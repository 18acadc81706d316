//! The arguments of `covey channel`, `covey chat` and `covey dm`.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum Channel {
    /// List the channels of a space, with how much is unread
    List {
        /// The space: its name, its id, or the first characters of its id
        space: String,
    },
    /// Make a channel
    Create {
        /// The space: its name, its id, or the first characters of its id
        space: String,
        /// The channel's name
        name: String,
        /// Nobody but those who are invited hears of it
        #[arg(long)]
        private: bool,
        /// A line about what it is for
        #[arg(long, default_value = "")]
        topic: String,
    },
    /// Join a public channel
    Join(ChannelPlace),
    /// Leave a channel; a private one for good, until somebody invites you again
    ///
    /// The last owner of a private channel leaves it to the most senior of the others.
    Leave(ChannelPlace),
    /// Take somebody of the space into a channel
    Invite {
        #[command(flatten)]
        place: ChannelPlace,
        /// The person: their name, their id, or the first characters of it
        user: String,
    },
    /// Name somebody who is in a channel an admin of it, or take that back
    Role {
        #[command(flatten)]
        place: ChannelPlace,
        /// The person: their name, their id, or the first characters of it
        user: String,
        /// What they are to be
        role: ChannelRole,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChannelRole {
    /// Reads and writes in it
    Member,
    /// Also changes it, and of a private one lets people in and puts them out
    Admin,
}

impl ChannelRole {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }
}

/// Which channel.
#[derive(Debug, ClapArgs)]
pub(crate) struct ChannelPlace {
    /// The space: its name, its id, or the first characters of its id
    pub(crate) space: String,
    /// The channel: its name, or its id
    pub(crate) channel: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Chat {
    /// Send a message; it is delivered when others are near
    Send {
        #[command(flatten)]
        place: ChannelPlace,
        /// What to say; @NAME mentions somebody
        text: String,
        /// The id of the message that this one answers
        #[arg(long, value_name = "MESSAGE")]
        reply_to: Option<String>,
    },
    /// Print the newest messages of a channel, and mark what is printed as read if you are in it
    Read {
        #[command(flatten)]
        place: ChannelPlace,
        /// Go on printing messages as they come, until Ctrl-C
        #[arg(long)]
        follow: bool,
        /// At most this many, up to 1000
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Find messages in which all of these words are, the newest by their times first; the last word may be a beginning
    Search {
        /// The space: its name, its id, or the first characters of its id
        space: String,
        /// The words
        #[arg(required = true)]
        words: Vec<String>,
        /// Only in this channel
        #[arg(long)]
        channel: Option<String>,
        /// At most this many, up to 1000
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Dm {
    /// The person: their name, their id, or the first characters of it
    pub(crate) user: String,
    /// What to say
    pub(crate) text: String,
    /// The space through which it goes [default: the first by name that you share with them]
    #[arg(long)]
    pub(crate) space: Option<String>,
}
