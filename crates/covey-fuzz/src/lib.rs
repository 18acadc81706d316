//! What is fed to every decoder of bytes from outside, and the fixtures of all formats.
//!
//! A *target* is a plain function that takes any bytes and must return: it panics if a decoder does, or if something
//! that must be true of what was decoded isn't. Each is driven twice: by libFuzzer (`fuzz/`, which needs a nightly
//! compiler), and on every run of the tests by its twin, with the committed corpus, bytes at random, and mutations of
//! the corpus (`tests/twins.rs`).
//!
//! Targets are deterministic: randomness that a core draws follows from a constant seed.
//!
//! | module | what it holds |
//! |---|---|
//! | [`targets`] | the list of them |
//! | `script` | bytes read as choices |
//! | `people` | the devices, keys and logs that targets play with |
//! | [`corpus`] | the committed inputs: where they are |
//! | [`mutate`] | changing them |
//! | [`seeds`] | making them, with the same code that a node runs |
//! | `fixtures` | a home, a backup and what was said on the wire, as this version makes them; only with the feature `edges` |

#![expect(
    clippy::missing_panics_doc,
    reason = "that it panics where something is wrong is what a target is for"
)]

pub mod corpus;
#[cfg(feature = "edges")]
pub mod fixtures;
pub mod mutate;
mod people;
mod script;
pub mod seeds;
pub mod targets;

pub use targets::{TARGETS, Target, target};
