//! Settings and where each value is from: built-in defaults < config file < environment < flags.

use std::{
    borrow::Cow,
    env,
    fmt::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use covey_node::NetworkMode;
use covey_types::limits::MAX_DISPLAY_NAME_CHARS;
use serde::Serialize;

use crate::{
    args::{Args, Network, Up},
    config::ConfigFile,
    diag::Failure,
};

/// Where the API listens unless told otherwise. When it is taken, any free port does.
pub(crate) const DEFAULT_API: &str = "127.0.0.1:7463";

/// A setting that may stand in the config file and in the environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Its name in the file and for `config get`.
    pub(crate) name: &'static str,
    /// Its environment variable.
    pub(crate) env: &'static str,
    /// Whether it holds a list: an array in the file, separated by commas elsewhere.
    pub(crate) is_list: bool,
    check: fn(&str) -> Result<(), String>,
}

/// All settings but the home, which says where the file is.
pub(crate) const KEYS: [Key; 8] = [
    Key { name: "api", env: "COVEY_API", is_list: false, check: |text| parse_addr(text).map(drop) },
    Key { name: "listen", env: "COVEY_LISTEN", is_list: true, check: check_multiaddr },
    Key {
        name: "network",
        env: "COVEY_NETWORK",
        is_list: false,
        check: |text| parse_network(text).map(drop),
    },
    Key { name: "bootstrap", env: "COVEY_BOOTSTRAP", is_list: true, check: check_multiaddr },
    Key { name: "log", env: "COVEY_LOG", is_list: false, check: check_log },
    Key { name: "name", env: "COVEY_NAME", is_list: false, check: check_name },
    Key { name: "device", env: "COVEY_DEVICE", is_list: false, check: check_name },
    Key { name: "min_free", env: "COVEY_MIN_FREE", is_list: false, check: |text| parse_size(text).map(drop) },
];

impl Key {
    /// The setting of this name.
    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        KEYS.into_iter().find(|key| key.name == name).ok_or_else(|| {
            let names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
            Failure::usage(format!("there is no setting {name:?}"))
                .hint(format!("the settings are {}", names.join(", ")))
        })
    }

    /// Whether these values are good for this setting.
    pub(crate) fn check(self, values: &[String]) -> Result<(), String> {
        values.iter().try_for_each(|value| (self.check)(value))
    }

    /// Cuts a text from the environment or the command line into values.
    pub(crate) fn split(self, text: &str) -> Vec<String> {
        if !self.is_list {
            return vec![text.to_owned()];
        }
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }
}

/// Where a value is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Default,
    File(PathBuf),
    Env(&'static str),
    /// The identity in the home, which was made with it.
    Identity,
    /// The same, which can't be read without the passphrase.
    LockedIdentity,
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Identity => f.write_str("identity"),
            Self::LockedIdentity => f.write_str("identity, locked by a passphrase or in use"),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One setting's value and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) values: Vec<String>,
    pub(crate) is_list: bool,
    pub(crate) source: Source,
}

impl Setting {
    /// As a person reads it.
    pub(crate) fn text(&self) -> String {
        self.values.join(",")
    }

    fn first(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }
}

/// A setting as `config list --json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct SettingJson<'a> {
    key: &'a str,
    value: serde_json::Value,
    source: String,
}

impl<'a> From<&'a Setting> for SettingJson<'a> {
    fn from(setting: &'a Setting) -> Self {
        let value = if setting.is_list {
            serde_json::json!(setting.values)
        } else {
            serde_json::json!(setting.first())
        };
        Self { key: setting.name, value, source: setting.source.to_string() }
    }
}

/// The node's home and where that choice is from.
pub(crate) fn home(args: &Args) -> Result<(PathBuf, Source), Failure> {
    if let Some(home) = &args.home {
        let from_env = env::var_os("COVEY_HOME").is_some_and(|value| value == home.as_os_str());
        let source = if from_env { Source::Env("COVEY_HOME") } else { Source::Flag("--home") };
        return Ok((home.clone(), source));
    }
    // The XDG specification says to ignore a path that isn't absolute.
    let data = env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let data = data
        .or_else(|| env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(".local/share")));
    let home = data.ok_or_else(|| {
        Failure::failed("no home folder for the node is known: neither XDG_DATA_HOME nor HOME is set")
            .hint("name one: covey --home DIR ...")
    })?;
    Ok((home.join("covey"), Source::Default))
}

/// All settings, resolved.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) home: Setting,
    settings: Vec<Setting>,
}

impl Settings {
    /// Resolves the settings for `home`; `up` brings the flags of `covey up`.
    pub(crate) fn load(args: &Args, up: Option<&Up>) -> Result<Self, Failure> {
        let (home, source) = home(args)?;
        let file = ConfigFile::read(&home)?;
        let mut settings = Vec::new();
        for key in KEYS {
            settings.push(resolve(key, &file, args, up)?);
        }
        let home = vec![home.display().to_string()];
        Ok(Self { home: Setting { name: "home", values: home, is_list: false, source }, settings })
    }

    /// The home, then the others in the order of [`KEYS`].
    pub(crate) fn all(&self) -> impl Iterator<Item = &Setting> {
        std::iter::once(&self.home).chain(&self.settings)
    }

    /// Puts the names of the identity that the home has in the place of those for a new one.
    pub(crate) fn identity_is(&mut self, names: Option<(String, String)>) {
        let source = if names.is_some() { Source::Identity } else { Source::LockedIdentity };
        let (user, device) = names.unwrap_or_default();
        for (name, value) in [("name", user), ("device", device)] {
            let setting = self.settings.iter_mut().find(|setting| setting.name == name);
            let setting = setting.expect("every key is resolved");
            (setting.values, setting.source) = (vec![value], source.clone());
        }
    }

    fn of(&self, name: &str) -> &Setting {
        self.settings.iter().find(|setting| setting.name == name).expect("every key is resolved")
    }

    /// Where the API listens, and whether somebody chose that.
    pub(crate) fn api(&self) -> (SocketAddr, bool) {
        let setting = self.of("api");
        let addr = parse_addr(setting.first()).expect("values are checked when they are resolved");
        (addr, setting.source != Source::Default)
    }

    /// How far the network reaches.
    pub(crate) fn network(&self) -> NetworkMode {
        parse_network(self.of("network").first()).expect("values are checked when they are resolved")
    }

    /// Multiaddrs to listen on; none for the default ones.
    pub(crate) fn listen(&self) -> Vec<String> {
        self.of("listen").values.clone()
    }

    /// Multiaddrs to connect to at start.
    pub(crate) fn bootstrap(&self) -> Vec<String> {
        self.of("bootstrap").values.clone()
    }

    /// The room on the disk that is left to this device's own changes, bytes.
    pub(crate) fn min_free(&self) -> u64 {
        parse_size(self.of("min_free").first()).expect("values are checked when they are resolved")
    }

    /// The filter of the log.
    pub(crate) fn log(&self) -> &str {
        self.of("log").first()
    }

    /// The person's name for a new identity.
    pub(crate) fn user_name(&self) -> String {
        self.of("name").first().to_owned()
    }

    /// The device's name for a new identity.
    pub(crate) fn device_name(&self) -> String {
        self.of("device").first().to_owned()
    }
}

fn resolve(key: Key, file: &ConfigFile, args: &Args, up: Option<&Up>) -> Result<Setting, Failure> {
    let (values, source) = if let Some((values, flag)) = from_flags(key.name, args, up) {
        (values, Source::Flag(flag))
    } else if let Some(text) = env::var_os(key.env).filter(|text| !text.is_empty()) {
        (key.split(&text.to_string_lossy()), Source::Env(key.env))
    } else if let Some(values) = file.values(key)? {
        (values, Source::File(file.path().to_owned()))
    } else {
        (default(key.name), Source::Default)
    };
    key.check(&values).map_err(|why| {
        let message = format!("the setting {} from {source} is not valid: {why}", key.name);
        if let Source::Flag(_) = source { Failure::usage(message) } else { Failure::failed(message) }
    })?;
    Ok(Setting { name: key.name, values, is_list: key.is_list, source })
}

fn from_flags(name: &str, args: &Args, up: Option<&Up>) -> Option<(Vec<String>, &'static str)> {
    if name == "log" {
        return verbosity(args.verbose).map(|filter| (vec![filter.to_owned()], "-v"));
    }
    let up = up?;
    let one = |value: Option<String>, flag| value.map(|value| (vec![value], flag));
    let list = |values: &[String], flag| (!values.is_empty()).then(|| (values.to_vec(), flag));
    match name {
        "api" => one(up.api.map(|addr| addr.to_string()), "--api"),
        "listen" => list(&up.listen, "--listen"),
        "network" => one(up.network.map(|network| network_name(network).to_owned()), "--network"),
        "bootstrap" => list(&up.bootstrap, "--bootstrap"),
        "name" => one(up.profile.name.clone(), "--name"),
        "device" => one(up.profile.device.clone(), "--device"),
        _ => None,
    }
}

fn default(name: &str) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    match name {
        "api" => one(DEFAULT_API),
        "network" => one("lan"),
        "log" => one("warn"),
        "name" => vec![guessed_user()],
        "device" => vec![guessed_device()],
        "min_free" => vec![size_text(covey_node::DEFAULT_MIN_FREE_BYTES)],
        _ => Vec::new(),
    }
}

/// The filter for `-v`, `-vv`, `-vvv`: our own crates first, everybody's last.
fn verbosity(count: u8) -> Option<&'static str> {
    match count {
        0 => None,
        1 => Some("warn,covey=info"),
        2 => Some("info,covey=debug"),
        _ => Some("debug,covey=trace"),
    }
}

fn network_name(network: Network) -> &'static str {
    match network {
        Network::Solo => "solo",
        Network::Lan => "lan",
        Network::Wan => "wan",
    }
}

fn parse_network(text: &str) -> Result<NetworkMode, String> {
    match text {
        "solo" => Ok(NetworkMode::Solo),
        "lan" => Ok(NetworkMode::Lan),
        "wan" => Ok(NetworkMode::Wan),
        _ => Err(format!("{text:?} is not one of solo, lan, wan")),
    }
}

/// Reads `ADDRESS:PORT`, or a port alone for this machine.
pub(crate) fn parse_addr(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(([127, 0, 0, 1], port).into());
    }
    let text = text.replacen("localhost:", "127.0.0.1:", 1);
    text.parse().map_err(|_| format!("{text:?} is not an address with a port, such as {DEFAULT_API}"))
}

/// Units of sizes, by how far they shift.
const SIZES: [(&str, u32); 5] = [("", 0), ("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

/// Reads `128MiB`, or bytes without a unit.
fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let shift = SIZES.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, shift)| *shift);
    let bytes =
        number.parse::<u64>().ok().zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| format!("{text:?} is not a size, such as 128MiB or 2GiB"))
}

/// The same, written so that it can be read again.
fn size_text(bytes: u64) -> String {
    let is_whole = |shift: u32| bytes >> shift > 0 && bytes >> shift << shift == bytes;
    let unit = SIZES.iter().rev().find(|(_, shift)| is_whole(*shift));
    let (unit, shift) = unit.unwrap_or(&SIZES[0]);
    format!("{}{unit}", bytes >> shift)
}

fn check_multiaddr(text: &str) -> Result<(), String> {
    if text.starts_with('/') && text.len() > 1 {
        return Ok(());
    }
    Err(format!("{text:?} is not a multiaddr, such as /ip4/0.0.0.0/udp/7464/quic-v1"))
}

fn check_log(text: &str) -> Result<(), String> {
    let read = tracing_subscriber::EnvFilter::try_new(text);
    read.map(drop)
        .map_err(|error| format!("{text:?} is not a log filter, such as info or warn,covey=debug: {error}"))
}

fn check_name(text: &str) -> Result<(), String> {
    let chars = text.chars().count();
    if text.trim().is_empty() {
        return Err("a name can't be empty".to_owned());
    }
    if chars > MAX_DISPLAY_NAME_CHARS {
        return Err(format!("a name has at most {MAX_DISPLAY_NAME_CHARS} characters; this one has {chars}"));
    }
    if text.contains(char::is_control) {
        return Err("a name can't hold control characters".to_owned());
    }
    Ok(())
}

/// A guess cut to what a name may be; `otherwise` when nothing is left.
fn as_name(guess: &str, otherwise: &str) -> String {
    let name: String = guess.chars().filter(|c| !c.is_control()).take(MAX_DISPLAY_NAME_CHARS).collect();
    if name.trim().is_empty() { otherwise.to_owned() } else { name.trim().to_owned() }
}

fn guessed_user() -> String {
    let name = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| env::var(name).ok());
    as_name(&name.unwrap_or_default(), "me")
}

fn guessed_device() -> String {
    #[cfg(unix)]
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let host = env::var("COMPUTERNAME").unwrap_or_default();
    // Of a full domain name the first part is what people call the machine.
    as_name(host.split('.').next().unwrap_or_default(), "device")
}

/// The command that a person would type, with the home when it isn't the default one.
pub(crate) fn command(home: &Setting, rest: &str) -> String {
    let mut text = String::from("covey ");
    if let Source::Flag(_) = home.source {
        let _ = write!(text, "--home {} ", quoted(&home.text()));
    }
    text + rest
}

/// A word as a POSIX shell reads it.
pub(crate) fn quoted(word: &str) -> Cow<'_, str> {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
    if plain && !word.is_empty() { word.into() } else { format!("'{}'", word.replace('\'', "'\\''")).into() }
}

/// The same when only the arguments are at hand.
pub(crate) fn command_for(args: &Args, rest: &str) -> String {
    match home(args) {
        Ok((path, source)) => {
            let values = vec![path.display().to_string()];
            command(&Setting { name: "home", values, is_list: false, source }, rest)
        }
        Err(_) => format!("covey {rest}"),
    }
}

/// The home as a path.
pub(crate) fn home_path(settings: &Settings) -> &Path {
    Path::new(settings.home.first())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_a_quoted_word_as_one() {
        for (word, typed) in
            [("a-b", "a-b"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("$x", "'$x'"), ("", "''")]
        {
            assert_eq!(quoted(word), typed);
        }
    }

    #[test]
    fn an_address_may_be_a_port() {
        assert_eq!(parse_addr("7463").unwrap().to_string(), "127.0.0.1:7463");
        assert_eq!(parse_addr("localhost:1").unwrap().to_string(), "127.0.0.1:1");
        assert_eq!(parse_addr("[::1]:80").unwrap().to_string(), "[::1]:80");
        assert!(parse_addr("nowhere").is_err());
    }

    #[test]
    fn a_size_has_a_unit_or_is_bytes() {
        for (text, bytes) in [("128MiB", 128 << 20), ("2 GiB", 2 << 30), ("0", 0), ("4096", 4096)] {
            assert_eq!(parse_size(text), Ok(bytes));
        }
        for text in ["", "MiB", "-1", "128MB", "99999999999TiB", "1.5GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert_eq!(size_text(covey_node::DEFAULT_MIN_FREE_BYTES), "128MiB");
    }

    #[test]
    fn a_list_is_cut_at_commas() {
        let key = Key::named("listen").unwrap();
        assert_eq!(key.split("/ip4/1.2.3.4, /ip6/::1,"), ["/ip4/1.2.3.4", "/ip6/::1"]);
        assert!(key.check(&["1.2.3.4".to_owned()]).is_err());
        assert!(Key::named("colour").is_err());
    }

    #[test]
    fn a_guessed_name_is_always_a_name() {
        assert_eq!(as_name("ada", "me"), "ada");
        assert_eq!(as_name(" \n", "me"), "me");
        assert!(check_name(&as_name(&"x".repeat(500), "me")).is_ok());
    }
}
