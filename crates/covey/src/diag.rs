//! What is printed when something doesn't work: the thing, the cause, the next step, and an exit code.

use std::{error::Error, io, process::ExitCode};

use crate::output::{Out, Tone, visible_lines};

/// Exit codes, a contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// The reader of our output went away: not an error worth a word.
    Quiet = 0,
    Failed = 1,
    Usage = 2,
    NoNode = 3,
    NotAllowed = 4,
    Interrupted = 130,
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), causes: Vec::new(), hint: None }
    }

    /// It failed: exit code 1.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// What was typed can't be meant: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// What is wrong stands in a file and not on the command line: exit code 1.
    pub(crate) fn in_a_file(mut self) -> Self {
        if self.exit == Exit::Usage {
            self.exit = Exit::Failed;
        }
        self
    }

    /// No node is running: exit code 3.
    pub(crate) fn no_node(message: impl Into<String>) -> Self {
        Self::new(Exit::NoNode, message)
    }

    /// Whether it's that no node runs.
    pub(crate) fn is_no_node(&self) -> bool {
        matches!(self.exit, Exit::NoNode)
    }

    /// The node refuses: exit code 4.
    pub(crate) fn not_allowed(message: impl Into<String>) -> Self {
        Self::new(Exit::NotAllowed, message)
    }

    /// Ctrl-C: exit code 130, and no word.
    pub(crate) fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "")
    }

    /// The command has said itself what is wrong: exit code 1, and no further word.
    pub(crate) fn said() -> Self {
        Self::new(Exit::Failed, "")
    }

    /// Writing to stdout failed. A pipe that was closed (`| head`) ends the command without a word.
    pub(crate) fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Quiet, ""),
            _ => Self::failed("the output could not be written").because(error),
        }
    }

    /// Adds the cause, and its causes, leaving out what repeats the one before.
    pub(crate) fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let cause = cause.into();
        let mut next: Option<&(dyn Error + 'static)> = Some(cause.as_ref());
        while let Some(error) = next {
            let text = error.to_string();
            let known = self.causes.last().unwrap_or(&self.message);
            if !known.contains(&text) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds the next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Names the space in a next step that leaves it open.
    pub(crate) fn in_space(mut self, name: &str) -> Self {
        self.hint = self.hint.map(|hint| hint.replace("SPACE", &crate::settings::quoted(name)));
        self
    }

    /// What happened, in a sentence.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Prints it to stderr; gives the code to exit with. What it says may hold what others wrote.
    pub(crate) fn report(&self, out: &Out) -> ExitCode {
        if !self.message.is_empty() {
            out.note(&format!("{} {}", out.paint_err(Tone::Bad, "error:"), visible_lines(&self.message)));
            for cause in &self.causes {
                out.note(&format!("  because {}", visible_lines(cause)));
            }
            if let Some(hint) = &self.hint {
                out.note(&format!("{} {}", out.paint_err(Tone::Soft, "hint:"), visible_lines(hint)));
            }
        }
        ExitCode::from(self.exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        #[source]
        next: Option<Box<Link>>,
    }

    #[test]
    fn causes_are_listed_once() {
        let root = Link { text: "no room", next: None };
        let middle = Link { text: "the write failed: no room", next: Some(Box::new(root)) };
        let failure = Failure::failed("nothing was saved").because(middle);
        assert_eq!(failure.causes, ["the write failed: no room"]);
    }

    #[test]
    fn a_next_step_can_be_typed_as_it_stands() {
        let failure = Failure::failed("no").hint("covey member list SPACE").in_space("my garden");
        assert_eq!(failure.hint.as_deref(), Some("covey member list 'my garden'"));
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let failure = Failure::output(io::ErrorKind::BrokenPipe.into());
        assert_eq!((failure.exit, failure.message.as_str()), (Exit::Quiet, ""));
    }
}
