//! Bad input and bad days: what hostile peers, hostile members and a full disk must not be able to do to a node.
//!
//! The attackers are real: a network of their own, real keys, real pairing. What they say is put together by
//! hand, frame by frame ([`peer`], [`member`]), since no honest code would say it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../common/mod.rs"]
mod common;

mod chat;
mod disk;
mod entries;
mod frames;
mod graph;
mod member;
mod members;
mod own_log;
mod pairing;
mod peer;
mod strangers;
mod twins;
