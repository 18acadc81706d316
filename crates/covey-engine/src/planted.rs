//! Defects for the simulator: its checks have to notice them. Never part of what people run.

use std::cell::Cell;

/// A defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// Signatures aren't checked.
    SkipsSignatures,
    /// What lies past the end of somebody's membership is applied like all else.
    LosesCuts,
}

thread_local! {
    static PLANTED: Cell<Option<Defect>> = const { Cell::new(None) };
}

/// Does something with a defect.
pub fn with<T>(defect: Option<Defect>, job: impl FnOnce() -> T) -> T {
    let before = PLANTED.replace(defect);
    let result = job();
    PLANTED.set(before);
    result
}

/// Whether this thread works with this defect.
pub(crate) fn has(defect: Defect) -> bool {
    PLANTED.get() == Some(defect)
}
