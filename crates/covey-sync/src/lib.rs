//! One sync session between two nodes, without input or output.
//!
//! A [`Session`] is one end of one long-lived stream. Both ends run the same code: they greet each
//! other, find the spaces they share without naming them, tell how far each log reaches, send what the
//! other lacks, and from then on push what is new. Memory is bounded on both sides by the windows that the
//! ends grant each other, whatever the backlog.
//!
//! Driving contract:
//! 1. Make a [`Session`]; send every [`Output::Send`] as one frame (see [`framing`]).
//! 2. Give each frame that arrives to [`Session::handle`] as [`Input::Frame`]; answer [`Output::Greeted`] with
//!    [`Input::Offer`], [`Output::Matched`] with [`Input::Open`] or [`Input::Refuse`], [`Output::Load`] with
//!    [`Input::Loaded`], and [`Output::Ingest`] with [`Input::Ingested`] once the entries are durable.
//! 3. Tell it of new entries with [`Input::Appended`] (small ones, sent at once) or [`Input::Heads`]; when authors
//!    became known, say [`Input::Authorise`] (the peer may read now) and [`Input::Again`] (what could not be stored).
//!    Logs with two histories: say [`Input::Frozen`] for what is known of them, after [`Input::Open`] and whenever that
//!    changes; answer [`Output::Prove`] with [`Input::Evidence`], [`Output::Forked`] and [`Output::Compare`] with
//!    [`Input::Compared`], and [`Output::Evidence`] and [`Output::Branch`] with [`Input::Ingested`] once they are judged.
//!    What says who is in the space and lies apart from its log: say [`Input::Apart`] once, after [`Input::Open`].
//! 4. After each input take outputs from [`Session::poll_output`] until there is none; call
//!    [`Session::handle`] with [`Input::Tick`] when the time of [`Session::poll_timeout`] has come.
//! 5. While [`Session::owes`], send what [`Session::poll_owed`] gives, but only as fast as the stream takes it. Read no
//!    frame longer than [`Session::max_frame_bytes`] allows.
//! 6. On an error drop the stream; [`SessionError::is_misbehaviour`] says whether the peer is to blame.
//!
//! What a session does not know: keys, membership, signatures, storage. The driver checks signatures
//! before it stores, and decides who may see a space.

mod forks;
pub mod frame;
pub mod framing;
mod owed;
mod session;
mod space;

pub use frame::{CloseReason, Hello, Tag};
pub use framing::Deframer;
pub use session::{Input, MAX_AHEAD_BYTES, Output, Session, SessionConfig, SessionError};
pub use space::{HeldLog, Offer, PeerView, Rejection};
