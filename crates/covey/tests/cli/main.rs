//! The `covey` command as its users meet it: real processes, real homes, real sockets on the loopback
//! interface.
#![allow(clippy::unwrap_used, reason = "a test stops where it stands")]

#[cfg(unix)]
mod backup;
mod chat;
mod children;
#[cfg(target_os = "linux")]
mod clocks;
mod commands;
#[cfg(target_os = "linux")]
mod disk;
mod forks;
mod http;
mod linking;
mod members;
mod pair;
mod reading;
mod support;
#[cfg(unix)]
mod terminal;
