//! The command line: commands, flags, and their help.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgAction, Args as ClapArgs, CommandFactory, Parser, Subcommand, ValueEnum, error::ErrorKind};

mod chat;
mod people;

pub(crate) use chat::{Channel, ChannelPlace, Chat, Dm};
pub(crate) use people::{Audit, Device, HistoryRule, Member, Profile, Web, Yes};

/// What a newcomer has to know, under the list of commands.
const FIRST_STEPS: &str = "\
First steps:
  covey up                     start this device's node, and leave it running
  covey space create garden    in another terminal: make a space
  covey invite garden          print a code that lets another device in
  covey join COVEY-XXXX-XXXX   on the other device: use the code

A node is Covey running on a device. A space is what people share, and who
they are. A collection is a named list of records in a space; a record is a
JSON object with an id.

Exit codes: 0 done, 1 failed, 2 usage, 3 no node running, 4 not allowed,
130 interrupted.";

/// A shared workspace that lives on your own machines
#[derive(Debug, Parser)]
#[command(
    name = "covey",
    version,
    propagate_version = false,
    after_help = FIRST_STEPS
)]
pub(crate) struct Args {
    /// The node's home folder [default: $XDG_DATA_HOME/covey or ~/.local/share/covey]
    #[arg(long, global = true, env = "COVEY_HOME", value_name = "DIR", hide_env_values = true)]
    pub(crate) home: Option<PathBuf>,
    /// Print JSON on stdout, and nothing else
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No hints and no progress
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Log more (twice for even more)
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// The command line of this process. Usage errors end it with code 2.
    pub(crate) fn read() -> Self {
        let args = Self::parse();
        // Clap knows conflicts of arguments, not of an argument with another one's value.
        if args.json
            && let Command::Record(Record::Export { format: Format::Csv, .. }) = args.command
        {
            let what = "'--json' cannot be used with '--format csv': an export has one form";
            Self::command().error(ErrorKind::ArgumentConflict, what).exit();
        }
        args
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run this device's node, here in the foreground, until Ctrl-C
    Up(Up),
    /// Make a home and an identity without starting a node (`up` makes them too)
    Init(Init),
    /// Watch three nodes on this machine find each other, pair, crash and catch up
    Demo(Demo),
    /// Show who is connected, how, and whether everything is in sync
    Status,
    /// Look for what may be wrong, and say what to do about it
    Doctor,
    /// Show the other devices
    #[command(subcommand)]
    Peer(Peer),
    /// Make and show spaces: what is shared, and with whom
    #[command(subcommand)]
    Space(Space),
    /// Show who is in a space, give roles, put people out
    #[command(subcommand)]
    Member(Member),
    /// Add devices to yours, show them, rename them, put lost ones out
    #[command(subcommand)]
    Device(Device),
    /// Show who did what to a space's membership, and when, with the signed entry that proves it
    ///
    /// One line for each act, oldest first: letting people in, roles, removals, devices, keys. Times are those of
    /// the clocks of those who acted. An act that had no effect, because of what others did at the
    /// same moment, is said to have fallen. What became of this device's own invitations is told as well; that no entry
    /// proves, and nobody else knows it.
    Audit(Audit),
    /// Let one device into a space: print a code, a link and (on a terminal) a QR code
    Invite(Invite),
    /// Join a space by a code or a link that someone gave you
    Join(Join),
    /// Read and write records: JSON objects in the collections of a space
    #[command(subcommand)]
    Record(Record),
    /// Make, join and leave channels, and invite people to them
    #[command(subcommand)]
    Channel(Channel),
    /// Send, read and find messages
    #[command(subcommand)]
    Chat(Chat),
    /// Send somebody a message that only the two of you can read
    Dm(Dm),
    /// Look at a space's records by a query in SQL, which can change nothing
    ///
    /// Each collection is a view with the columns id and doc (JSON), all_records one over all of them with the column
    /// collection too. SQLite's functions are there, so that doc->>'name' is a field: covey sql garden "SELECT id,
    /// doc->>'name' FROM plants WHERE doc->>'bed' > 2". A query runs for ten seconds at most. Tables are joined by ON, and
    /// never by USING or NATURAL: both words are refused, wherever they stand. A document of more than 4 MiB is NULL.
    Sql(Sql),
    /// Write everything on this device to one encrypted file, whether its node runs or not
    Backup(Backup),
    /// Make a home out of a backup, in a new or empty folder
    Restore(Restore),
    /// Show and change settings
    #[command(subcommand)]
    Config(Config),
    /// Print a link that opens this node's page in a browser; it opens once
    Web(Web),
    /// Show what you are called, or take another name
    Profile(Profile),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version,
}

impl Command {
    /// For a command that can't be taken back: whether it is confirmed.
    pub(crate) fn consent(&self) -> Option<Yes> {
        match self {
            Self::Member(Member::Remove { yes, .. })
            | Self::Space(Space::Leave { yes, .. })
            | Self::Device(Device::Revoke { yes, .. }) => Some(*yes),
            _ => None,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Init {
    /// Your name, as others see it; for a new home [default: the user's name]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// This device's name, as others see it; for a new home [default: the host's name]
    #[arg(long)]
    pub(crate) device: Option<String>,
    #[command(flatten)]
    pub(crate) unlock: Unlock,
}

/// How the store is locked: by a key file, unless a passphrase is asked for.
#[derive(Debug, ClapArgs)]
pub(crate) struct Unlock {
    /// Read the passphrase from this file instead of asking for it (- for stdin)
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Lock a new home by a passphrase, asked for on the terminal, instead of by a key file in the home
    #[arg(long, conflicts_with = "passphrase_file")]
    pub(crate) passphrase: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Up {
    /// Where programs on this machine reach the node: the API's address and port [default: 127.0.0.1:7463, or any free port when that is taken]
    #[arg(long, value_name = "ADDR", value_parser = crate::settings::parse_addr)]
    pub(crate) api: Option<SocketAddr>,
    /// Where other devices reach the node, such as /ip4/0.0.0.0/udp/7464/quic-v1; may be repeated
    /// [default: any free port of every address]
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) listen: Vec<String>,
    /// How far the network reaches [default: lan]
    #[arg(long)]
    pub(crate) network: Option<Network>,
    /// A device to connect to at start, such as /ip4/192.0.2.7/udp/7464/quic-v1; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    pub(crate) bootstrap: Vec<String>,
    #[command(flatten)]
    pub(crate) profile: Init,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Network {
    /// No network at all
    Solo,
    /// Devices on the local network
    Lan,
    /// Devices anywhere that can be reached directly
    Wan,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    /// End when the story is told, instead of letting sample data flow until Ctrl-C
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Peer {
    /// List the devices that are near, or share a space with this one
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Space {
    /// Make a space
    Create {
        /// Its name, such as garden
        name: String,
        /// The space whose child it is: private to some of that one's people, and unseen by the others
        #[arg(long, value_name = "SPACE")]
        parent: Option<String>,
        /// Somebody of the parent who is in it from the start, as an owner like you; may be given several times
        #[arg(long, value_name = "USER", requires = "parent")]
        member: Vec<String>,
    },
    /// List the spaces
    List {
        /// Also your personal space, which holds your devices together
        #[arg(long)]
        all: bool,
    },
    /// Show one space
    Show {
        /// The space: its name, its id, or the first characters of its id
        space: String,
    },
    /// Leave a space, with all your devices; what is here stays and can be read
    Leave {
        /// The space: its name, its id, or the first characters of its id
        space: String,
        #[command(flatten)]
        yes: Yes,
    },
    /// Change a space's key: what is written from now on can't be read with the old one (admins)
    RotateKey {
        /// The space: its name, its id, or the first characters of its id
        space: String,
    },
    /// Show, or change (admins), what those who join may read of what was written before
    History {
        /// The space: its name, its id, or the first characters of its id
        space: String,
        /// The new rule, for those who join from now on
        rule: Option<HistoryRule>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InviteRole {
    /// Reads and writes records
    Member,
    /// Also invites others
    Admin,
    /// Reads records
    Guest,
}

impl InviteRole {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Guest => "guest",
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Invite {
    /// The space: its name, its id, or the first characters of its id
    pub(crate) space: String,
    /// What the invited person may do
    #[arg(long, default_value = "member")]
    pub(crate) role: InviteRole,
    /// How long the code and the link are valid, such as 90s, 15m or 2h
    #[arg(long, default_value = "15m", value_parser = crate::words::parse_duration)]
    pub(crate) expires: Duration,
    /// Take an invitation back instead: the code, or its first half
    #[arg(long, value_name = "CODE", conflicts_with_all = ["role", "expires"])]
    pub(crate) withdraw: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Join {
    /// The code COVEY-XXXX-XXXX, or the covey:// link (- reads it from stdin)
    pub(crate) code: String,
    /// How long to look for the inviting device and wait for the records
    #[arg(long, default_value = "60s", value_parser = crate::words::parse_duration)]
    pub(crate) timeout: Duration,
}

/// Which collection.
#[derive(Debug, ClapArgs)]
pub(crate) struct Place {
    /// The space: its name, its id, or the first characters of its id
    pub(crate) space: String,
    /// The collection: any name, such as plants; it comes into being with its first record
    pub(crate) collection: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A JSON object per line
    Ndjson,
    /// Comma-separated values with a header row
    Csv,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Record {
    /// Write a record: the fields given are merged into what is there
    Put {
        #[command(flatten)]
        place: Place,
        /// The record's id; without it a new record is made
        #[arg(long)]
        id: Option<String>,
        /// A JSON object, such as '{"name":"bean","bed":1}' (- reads it from stdin)
        #[arg(value_name = "JSON")]
        document: String,
    },
    /// Print a record's document
    Get {
        #[command(flatten)]
        place: Place,
        /// The record's id
        id: String,
    },
    /// Delete a record
    Delete {
        #[command(flatten)]
        place: Place,
        /// The record's id
        id: String,
    },
    /// Show on which other devices a record is
    ///
    /// Those are named that are known to have it on their disks, as it stands here. One that is away may have more
    /// than is known.
    Status {
        #[command(flatten)]
        place: Place,
        /// The record's id
        id: String,
    },
    /// List records, ordered by id
    List {
        #[command(flatten)]
        place: Place,
        /// A condition, such as "name = 'bean' and row >= 3" or {"name":"bean"}
        #[arg(long = "where", value_name = "CONDITION")]
        filter: Option<String>,
        /// At most this many
        #[arg(long)]
        limit: Option<u64>,
    },
    /// Write many records from a file
    Import(Import),
    /// Print all records of a collection, ordered by id
    Export {
        #[command(flatten)]
        place: Place,
        /// The form
        #[arg(long, default_value = "ndjson")]
        format: Format,
    },
    /// Print changes as they happen, until Ctrl-C
    Watch {
        /// The space: its name, its id, or the first characters of its id
        space: String,
        /// Only this collection's [default: all collections']
        collection: Option<String>,
        /// Begin after this change, by the number that a watch ends with (0 for all), instead of now
        #[arg(long, value_name = "POSITION")]
        since: Option<u64>,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Sql {
    /// The space: its name, its id, or the first characters of its id
    pub(crate) space: String,
    /// One SELECT (- reads it from stdin)
    pub(crate) query: String,
    /// At most this many rows, up to 10000
    #[arg(long, default_value_t = 1000)]
    pub(crate) limit: usize,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The file (- for stdin)
    pub(crate) file: PathBuf,
    /// The form [default: csv for a file that ends in .csv, else ndjson]
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// The field that holds the record's id; without it each new record gets an id
    #[arg(long, value_name = "FIELD")]
    pub(crate) id_field: Option<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
The file holds the identity, all spaces with their keys, and all records; settings
(config.toml) are not in it. It can be read by whoever knows its passphrase, and by
nobody else: without it a backup is lost.")]
pub(crate) struct Backup {
    /// The file to write; nothing may have that name yet
    pub(crate) file: PathBuf,
    /// Read the backup's passphrase from this file instead of asking for it twice (- for stdin)
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Read the home's own passphrase from this file, if it has one and its node does not run
    #[arg(long, value_name = "FILE")]
    pub(crate) home_passphrase_file: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
The home is this device again: same person, same id. In each space it begins a new
log, and what was written after the backup comes back from the devices that have it.
Never run the restored home and the old one, or two restored ones, at the same time:
nothing that is stored breaks, but both are one device to all others, which are then
connected now to the one, now to the other. A second device is linked: covey device link.")]
pub(crate) struct Restore {
    /// The backup
    pub(crate) file: PathBuf,
    /// Read the backup's passphrase from this file instead of asking for it (- for stdin)
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Lock the new home by a passphrase from this file, instead of by a key file in it
    #[arg(long, value_name = "FILE", conflicts_with = "home_passphrase")]
    pub(crate) home_passphrase_file: Option<PathBuf>,
    /// Lock the new home by a passphrase, asked for on the terminal
    #[arg(long)]
    pub(crate) home_passphrase: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print every setting and where its value is from
    List,
    /// Print one setting
    Get {
        /// The setting's name, as `config list` prints it
        key: String,
    },
    /// Write one setting to the config file
    Set {
        /// The setting's name, as `config list` prints it
        key: String,
        /// The value; items of a list are separated by commas
        value: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
