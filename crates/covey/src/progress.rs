//! Progress on stderr: only on a terminal, and only when something takes longer than a glance.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::output::Out;

/// What takes less than this shows nothing.
const GLANCE: Duration = Duration::from_millis(250);

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(120);

/// A bar, or a spinner where the end is not known; gone from the screen when dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    showing: Option<JoinHandle<()>>,
}

impl Progress {
    /// A bar over this many bytes; a spinner that counts them if their number isn't known.
    pub(crate) fn bytes(out: &Out, total: Option<u64>, words: &str) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        bar.set_message(words.to_owned());
        let form = match total {
            Some(_) => "{msg} {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
            None => "{spinner} {msg} {bytes}, {bytes_per_sec}",
        };
        Self::start(out, bar, form)
    }

    fn start(out: &Out, bar: ProgressBar, form: &str) -> Self {
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style);
        }
        let showing = out.shows_progress().then(|| {
            let bar = bar.clone();
            tokio::spawn(async move {
                tokio::time::sleep(GLANCE).await;
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.enable_steady_tick(TURN);
            })
        });
        Self { bar, showing }
    }

    /// The bar, to be moved on from another thread.
    pub(crate) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(showing) = &self.showing {
            showing.abort();
        }
        self.bar.finish_and_clear();
    }
}
