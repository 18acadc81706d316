//! Asking before something that can't be taken back.

use std::io::{self, IsTerminal};

use crate::{args::Yes, diag::Failure, output::Out};

/// Refuses where a question would have to be asked and there is nobody to answer it. Asked before anything else is
/// done: it is the command line that lacks something.
pub(super) fn can_be_had(yes: Yes) -> Result<(), Failure> {
    if yes.yes || (io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Ok(());
    }
    Err(Failure::usage("this has to be confirmed, and there is no terminal to ask on")
        .hint("add --yes if it is meant"))
}

/// Asks on the terminal, unless the answer was given on the command line. Anything but a yes is a no.
pub(super) async fn ask(yes: Yes, question: &str, out: &Out) -> Result<(), Failure> {
    if yes.yes {
        return Ok(());
    }
    out.ask(&format!("{question} [y/N]"));
    // On a thread of its own, so that Ctrl-C is heard meanwhile.
    let read = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer)
    });
    let answer = read.await.map_err(io::Error::other).and_then(|answer| answer);
    let answer = answer.map_err(|error| Failure::failed("the answer could not be read").because(error))?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::failed("nothing was changed: it was not confirmed")),
    }
}
