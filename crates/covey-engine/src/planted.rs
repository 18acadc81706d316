//! Defects for the simulator: its checks have to notice them. Never part of what people run.

use std::cell::Cell;

use covey_space::MembershipOp;

/// A defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// Signatures aren't checked.
    SkipsSignatures,
    /// What lies past the end of somebody's membership is applied like all else.
    LosesCuts,
    /// No new epoch is begun when somebody goes, nor later.
    KeepsTheKey,
}

thread_local! {
    static PLANTED: Cell<Option<Defect>> = const { Cell::new(None) };
}

/// Does something with a defect.
pub fn with<T>(defect: Option<Defect>, job: impl FnOnce() -> T) -> T {
    /// Puts back what was there before, also where the job panics.
    struct Back(Option<Defect>);
    impl Drop for Back {
        fn drop(&mut self) {
            PLANTED.set(self.0);
        }
    }
    let _back = Back(PLANTED.replace(defect));
    job()
}

/// What is written of some acts where no new epoch is begun when somebody goes.
pub(crate) fn without_rotations(acts: &[MembershipOp]) -> Vec<MembershipOp> {
    let goes = |act: &MembershipOp| matches!(act, MembershipOp::Rotate(_));
    let keeps = has(Defect::KeepsTheKey) && !acts.iter().all(goes);
    acts.iter().filter(|act| !(keeps && goes(act))).cloned().collect()
}

/// Whether this thread works with this defect.
pub(crate) fn has(defect: Defect) -> bool {
    PLANTED.get() == Some(defect)
}
