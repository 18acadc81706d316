//! Chat as people meet it: a large channel opened and searched, a message from one node's socket to the other's, and many
//! sockets on one node.
//!
//! | module | what it measures |
//! |---|---|
//! | `large` | opening, paging and searching, in this process |
//! | `live` | two real `covey`, and what their web sockets tell |
//! | `api` | a connection to a node's API |

mod api;
mod large;
mod live;

use anyhow::Result;

use crate::{Setting, report::Figure};

/// Runs all of it.
pub(crate) fn run(setting: &Setting) -> Result<Vec<Figure>> {
    let mut figures = large::run(setting)?;
    figures.extend(live::run(setting)?);
    Ok(figures)
}
