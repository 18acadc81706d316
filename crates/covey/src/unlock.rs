//! The passphrase: from a file or the terminal, never from an argument or the environment.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    path::Path,
};

use covey_node::Unlock;
use zeroize::Zeroizing;

use crate::{args, diag::Failure};

/// Longest passphrase file that is read.
const MAX_PASSPHRASE_BYTES: u64 = 4096;

/// How the store of this home is to be unlocked. Asks on the terminal when it must.
pub(crate) async fn unlock(home: &Path, args: &args::Unlock) -> Result<Unlock, Failure> {
    let exists = covey_node::exists(home);
    if let Some(file) = &args.passphrase_file {
        return from_file(file).map(Unlock::Passphrase);
    }
    if exists && !covey_node::needs_passphrase(home) {
        if args.passphrase {
            let message = format!("the home {} exists already and is locked by a key file", home.display());
            return Err(Failure::failed(message).hint("leave --passphrase out"));
        }
        return Ok(Unlock::KeyFile);
    }
    if !exists && !args.passphrase {
        return Ok(Unlock::KeyFile);
    }
    if !io::stdin().is_terminal() {
        let message =
            format!("the home {} needs a passphrase, and there is no terminal to ask on", home.display());
        return Err(Failure::failed(message).hint("name a file that holds it: --passphrase-file FILE"));
    }
    let passphrase = ask_on_terminal(!exists).await?;
    if passphrase.is_empty() {
        return Err(Failure::failed("the passphrase is empty").hint("type one, or leave --passphrase out"));
    }
    Ok(Unlock::Passphrase(passphrase))
}

/// The passphrase of something: from a file, or asked for on the terminal; twice where a slip would be found out too
/// late.
pub(crate) fn passphrase_of(
    what: &str,
    file: Option<&Path>,
    twice: bool,
) -> Result<Zeroizing<String>, Failure> {
    if let Some(file) = file {
        return from_file(file);
    }
    if !io::stdin().is_terminal() {
        let option = if what == "the backup" { "--passphrase-file" } else { "--home-passphrase-file" };
        return Err(Failure::failed(format!(
            "{what} needs a passphrase, and there is no terminal to ask on"
        ))
        .hint(format!("name a file that holds it: {option} FILE")));
    }
    let _silence = Silence::begin();
    let passphrase = ask(&format!("Passphrase of {what}: "))?;
    if twice && ask("Once more: ")? != passphrase {
        return Err(Failure::failed("the two passphrases differ").hint("nothing was made; try again"));
    }
    if passphrase.is_empty() {
        return Err(Failure::failed("the passphrase is empty").hint("type one"));
    }
    Ok(passphrase)
}

/// Asks, twice for a new home. A signal to end is heeded meanwhile, and the terminal is left as it was then too.
async fn ask_on_terminal(twice: bool) -> Result<Zeroizing<String>, Failure> {
    // Before the terminal is changed and the prompt is shown: a signal that comes right then is heeded too.
    let signals = Signals::heeded();
    let _silence = Silence::begin();
    let asked = tokio::task::spawn_blocking(move || {
        let passphrase = ask("Passphrase: ")?;
        if twice && ask("Once more:  ")? != passphrase {
            return Err(Failure::failed("the two passphrases differ").hint("nothing was made; try again"));
        }
        Ok(passphrase)
    });
    tokio::select! {
        asked = asked => asked.unwrap_or_else(|error| {
            Err(Failure::failed("the passphrase could not be asked for").because(error))
        }),
        () = Signals::told_to_end(signals) => Err(Failure::interrupted()),
    }
}

/// The signals that tell the process to end: SIGTERM, and SIGINT from elsewhere than the terminal.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// From now on they don't end the process by themselves. `None` where that can't be had.
    fn heeded() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        Some(Self { interrupt: interrupt.ok()?, terminate: terminate.ok()? })
    }

    /// Returns when one has come since they are heeded.
    async fn told_to_end(signals: Option<Self>) {
        let Some(Self { mut interrupt, mut terminate }) = signals else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn heeded() -> Option<Self> {
        Some(Self)
    }

    async fn told_to_end(_: Option<Self>) {
        std::future::pending().await
    }
}

/// The terminal without echo, and with Ctrl-C as a key like others, from before the first prompt is shown until
/// after the last answer. The prompt's own reading asks for the same, but only once the prompt stands there: a quick
/// answer would be seen, and a quick Ctrl-C be lost, because nobody waits for signals meanwhile.
#[cfg(unix)]
struct Silence {
    terminal: File,
    before: rustix::termios::Termios,
}

#[cfg(unix)]
impl Silence {
    /// `None` where there is no such terminal; the prompt says so then.
    fn begin() -> Option<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let terminal = File::open("/dev/tty").ok()?;
        let before = tcgetattr(&terminal).ok()?;
        let mut silent = before.clone();
        let modes = LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        silent.local_modes.remove(modes);
        tcsetattr(&terminal, OptionalActions::Now, &silent).ok()?;
        Some(Self { terminal, before })
    }
}

#[cfg(unix)]
impl Drop for Silence {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        // A terminal that is gone needs no echo.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Elsewhere the prompt's own reading has to do.
#[cfg(not(unix))]
struct Silence;

#[cfg(not(unix))]
impl Silence {
    fn begin() -> Option<Self> {
        Some(Self)
    }
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|error| match error.kind() {
        // While it reads, Ctrl-C is a key like others, and comes out as this.
        io::ErrorKind::Interrupted => Failure::interrupted(),
        _ => Failure::failed("the passphrase could not be read from the terminal").because(error),
    })
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: io::Error| {
        Failure::failed(format!("the passphrase file {} could not be read", path.display())).because(error)
    };
    // Room for all of it at once: a buffer that grows would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_PASSPHRASE_BYTES as usize + 1));
    let source: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(failed)?)
    };
    source.take(MAX_PASSPHRASE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_PASSPHRASE_BYTES {
        return Err(Failure::failed(format!(
            "the passphrase file {} is longer than {MAX_PASSPHRASE_BYTES} bytes",
            path.display()
        )));
    }
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    if text.is_empty() {
        return Err(Failure::failed(format!("the passphrase file {} is empty", path.display())));
    }
    Ok(text)
}
