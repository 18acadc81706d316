//! The HTTP and WebSocket API of a Covey node, for programs and pages on the same machine.
//!
//! [`serve`] puts a [`covey_node::Node`] behind HTTP on a bound listener. The types that travel are in
//! [`dto`]; clients of the API (the command line, the web app) need that module and nothing else.
//!
//! | module | what it holds |
//! |---|---|
//! | [`dto`] | the JSON contract |
//! | [`limits`] | every bound, with its reason |
//! | [`problem`] | errors as RFC 9457 problem documents |
//! | [`access`] | who may talk to the node: token, browser sessions, Host and Origin |
//! | [`csv_rows`] | CSV into lines of JSON, for clients that import it |
//! | `connections` | how many there may be, and how long one may ask nothing |
//! | `events` | the numbered, resumable stream of what happens |
//! | `find` | people and devices by id, part of an id, or name |
//! | `jobs` | long work that goes on by itself |
//! | `ndjson` | lines of JSON into rows |
//! | `openapi` | the document that describes the API |
//! | `refusal` | why the rules of membership don't allow something |
//! | `routes` | the handlers |
//! | `server` | the server as a whole, and a clean stop |
//! | `sessions` | browsers that are signed in |
//!
//! Invariants: a request without the right token learns nothing but the version of HTTP; a request with a
//! foreign `Host` or `Origin` is refused before the token is looked at (DNS rebinding); no body, queue or
//! stream is held in memory beyond its bound in [`limits`]; what a write answers is durable.

pub mod access;
mod connections;
mod convert;
pub mod csv_rows;
pub mod dto;
mod events;
mod extract;
mod find;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod jobs;
pub mod limits;
mod ndjson;
mod openapi;
mod pairing;
pub mod problem;
mod refusal;
mod routes;
mod server;
mod sessions;
mod web;

pub use access::Token;
pub use convert::{check, identity, rfc3339};
pub use openapi::openapi;
pub use server::{ApiConfig, ServeError, Server, serve};
