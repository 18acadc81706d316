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
pub(crate) fn unlock(home: &Path, args: &args::Unlock) -> Result<Unlock, Failure> {
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
    let passphrase = ask("Passphrase: ")?;
    if !exists && ask("Once more:  ")? != passphrase {
        return Err(Failure::failed("the two passphrases differ"));
    }
    if passphrase.is_empty() {
        return Err(Failure::failed("the passphrase is empty"));
    }
    Ok(Unlock::Passphrase(passphrase))
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .map_err(|error| Failure::failed("the passphrase could not be read from the terminal").because(error))
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
