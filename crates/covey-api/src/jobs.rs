//! Long work that goes on without anybody waiting for it: what runs, how far it is, and what came of it.
//!
//! A client that doesn't want to wait says so (`Prefer: respond-async`, RFC 7240) and gets a job instead of a stream. Bounded
//! at both ends: so many run at once and no more, and what has ended is kept for a while and then forgotten. A job is of this
//! run of the node: when the API stops, jobs are cancelled.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use covey_types::SecretBytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    convert::rfc3339,
    dto::{EventKind, JobDto, JobKind, JobResult, JobState},
    events::{EventLog, unix_ms},
    limits::{JOB_KEPT, JOB_TOLD_EVERY, MAX_ENDED_JOBS, MAX_RUNNING_JOBS},
    problem::Problem,
};

/// The jobs of one run of the API.
#[derive(Debug)]
pub(crate) struct Jobs {
    /// The oldest first.
    rows: Mutex<VecDeque<Row>>,
    events: Arc<EventLog>,
    running: watch::Sender<usize>,
}

#[derive(Debug)]
struct Row {
    job: JobDto,
    cancel: CancellationToken,
    told: Instant,
    ended: Option<Instant>,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) struct NewJob {
    /// What it is.
    pub(crate) kind: JobKind,
    /// To what.
    pub(crate) target: String,
    /// Bytes of it in all, if that is known before it begins.
    pub(crate) total: Option<u64>,
    /// What it begins with, where it has more than one stage.
    pub(crate) stage: Option<&'static str>,
}

/// How a job ended.
#[derive(Debug)]
pub(crate) enum End {
    /// It went through.
    Done(JobResult),
    /// It was stopped on request; a part of it may have been done.
    Cancelled(Option<JobResult>),
    /// It did not go through.
    Failed(Problem),
}

/// A job's own view of itself.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    jobs: Arc<Jobs>,
    id: String,
    cancel: CancellationToken,
}

impl Running {
    /// Returns when the job is asked to stop.
    pub(crate) async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Says how many bytes are done.
    pub(crate) fn tell(&self, done: u64) {
        self.jobs.change(&self.id, |job| job.done = done);
    }

    /// Says what is being done, and how much of it is.
    pub(crate) fn tell_stage(&self, stage: &str, done: u64, total: u64) {
        self.jobs.change(&self.id, |job| {
            job.stage = Some(stage.to_owned());
            job.done = done;
            job.total = Some(total);
        });
    }

    /// Says which space is being joined, or whose device this one becomes, as soon as it's known, and how many records have
    /// come.
    pub(crate) fn tell_arrived(&self, target: String, records: u64) {
        self.jobs.change(&self.id, |job| {
            job.stage = Some("syncing".to_owned());
            (job.target, job.done) = (target, records);
        });
    }
}

impl Jobs {
    pub(crate) fn new(events: Arc<EventLog>) -> Self {
        Self { rows: Mutex::default(), events, running: watch::Sender::new(0) }
    }

    fn rows(&self) -> MutexGuard<'_, VecDeque<Row>> {
        // A panic elsewhere leaves the rows whole.
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.retain(|row| row.ended.is_none_or(|ended| ended.elapsed() < JOB_KEPT));
        let ended = rows.iter().filter(|row| row.ended.is_some()).count();
        let mut surplus = ended.saturating_sub(MAX_ENDED_JOBS);
        rows.retain(|row| {
            let goes = surplus > 0 && row.ended.is_some();
            surplus -= usize::from(goes);
            !goes
        });
        rows
    }

    /// Begins a job, and says how it stands.
    ///
    /// # Errors
    /// When as many as may are running.
    pub(crate) fn start<W>(
        self: &Arc<Self>,
        new: NewJob,
        work: impl FnOnce(Running) -> W,
    ) -> Result<JobDto, Problem>
    where
        W: Future<Output = End> + Send + 'static,
    {
        let (job, running) = self.admit(new)?;
        let (jobs, id) = (self.clone(), running.id.clone());
        let work = tokio::spawn(work(running));
        tokio::spawn(async move {
            let end = work.await.unwrap_or_else(|error| End::Failed(Problem::internal(error.to_string())));
            jobs.end(&id, end);
        });
        Ok(job)
    }

    fn admit(self: &Arc<Self>, new: NewJob) -> Result<(JobDto, Running), Problem> {
        let mut rows = self.rows();
        if rows.iter().filter(|row| row.ended.is_none()).count() >= MAX_RUNNING_JOBS {
            return Err(Problem::too_many_jobs(format!(
                "{MAX_RUNNING_JOBS} jobs are running already; wait until one has ended, or cancel one (DELETE \
                 /api/v1/jobs/ID)"
            )));
        }
        let job = JobDto {
            id: bs58::encode(SecretBytes::<16>::random().expose()).into_string(),
            kind: new.kind,
            target: new.target,
            state: JobState::Running,
            stage: new.stage.map(str::to_owned),
            done: 0,
            total: new.total,
            result: None,
            error: None,
            started_at: rfc3339(unix_ms()),
            ended_at: None,
        };
        let cancel = CancellationToken::new();
        let running = Running { jobs: self.clone(), id: job.id.clone(), cancel: cancel.clone() };
        rows.push_back(Row { job: job.clone(), cancel, told: Instant::now(), ended: None });
        self.running.send_modify(|running| *running += 1);
        self.push(&job);
        Ok((job, running))
    }

    fn push(&self, job: &JobDto) {
        self.events.push(EventKind::Job { job: Box::new(job.clone()) });
    }

    /// Takes down how far a job is. It is told at once only if it wasn't a moment ago.
    fn change(&self, id: &str, change: impl FnOnce(&mut JobDto)) {
        let mut rows = self.rows();
        let Some(row) = rows.iter_mut().find(|row| row.job.id == id) else { return };
        change(&mut row.job);
        if row.told.elapsed() >= JOB_TOLD_EVERY {
            row.told = Instant::now();
            self.push(&row.job);
        }
    }

    fn end(&self, id: &str, end: End) {
        let mut rows = self.rows();
        let Some(row) = rows.iter_mut().find(|row| row.job.id == id) else { return };
        let job = &mut row.job;
        (job.state, job.result, job.error) = match end {
            End::Done(result) => (JobState::Done, Some(result), None),
            End::Cancelled(result) => (JobState::Cancelled, result, None),
            End::Failed(problem) => (JobState::Failed, None, Some(problem.into())),
        };
        if job.state == JobState::Done {
            job.done = job.total.unwrap_or(job.done);
        }
        job.ended_at = Some(rfc3339(unix_ms()));
        row.ended = Some(Instant::now());
        self.push(&row.job);
        self.running.send_modify(|running| *running -= 1);
    }

    /// All that are known, the newest first.
    pub(crate) fn all(&self) -> Vec<JobDto> {
        self.rows().iter().rev().map(|row| row.job.clone()).collect()
    }

    /// One of them.
    pub(crate) fn one(&self, id: &str) -> Result<JobDto, Problem> {
        let rows = self.rows();
        let row = rows.iter().find(|row| row.job.id == id).ok_or_else(|| no_job(id))?;
        Ok(row.job.clone())
    }

    /// Asks a job to stop. It does at the next chance, and then it is told.
    pub(crate) fn cancel(&self, id: &str) -> Result<JobDto, Problem> {
        let mut rows = self.rows();
        let row = rows.iter_mut().find(|row| row.job.id == id).ok_or_else(|| no_job(id))?;
        if row.job.state.is_over() {
            return Err(Problem::conflict(format!(
                "the job {id:?} on {:?} has ended already, so there is nothing to cancel",
                row.job.target
            )));
        }
        if row.job.state == JobState::Running {
            row.job.state = JobState::Cancelling;
            row.cancel.cancel();
            self.push(&row.job);
        }
        Ok(row.job.clone())
    }

    /// Cancels all jobs and waits until none runs.
    pub(crate) async fn stop(&self) {
        let mut running = self.running.subscribe();
        self.rows().iter().for_each(|row| row.cancel.cancel());
        // An error would mean that the sender is gone, and it is here.
        let _ = running.wait_for(|running| *running == 0).await;
    }
}

fn no_job(id: &str) -> Problem {
    Problem::not_found(format!(
        "there is no job {id:?}; what has ended is kept for {} minutes, and no longer than the node runs",
        JOB_KEPT.as_secs() / 60
    ))
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::{dto::ImportDto, events::Missed};

    const IMPORTED: JobResult = JobResult::Import(ImportDto { records: 3, entries: 1, seconds: 0.5 });

    fn jobs() -> (Arc<Jobs>, Arc<EventLog>) {
        let events = Arc::new(EventLog::new());
        (Arc::new(Jobs::new(events.clone())), events)
    }

    fn import() -> NewJob {
        NewJob { kind: JobKind::Import, target: "garden/plants".into(), total: Some(10), stage: None }
    }

    /// Waits until the job is over.
    async fn over(jobs: &Jobs, id: &str) -> JobDto {
        let mut newest = jobs.events.subscribe();
        loop {
            let job = jobs.one(id).unwrap();
            if job.state.is_over() {
                return job;
            }
            newest.changed().await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_job_says_how_far_it_is_and_what_came_of_it() {
        let (jobs, _) = jobs();
        let (go, gone) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let job = jobs
            .start(import(), |running| async move {
                running.tell(4);
                tell.send(()).unwrap();
                gone.await.unwrap();
                End::Done(IMPORTED)
            })
            .unwrap();
        told.await.unwrap();
        let halfway = jobs.one(&job.id).unwrap();
        assert_eq!((halfway.state, halfway.done, halfway.total), (JobState::Running, 4, Some(10)));
        go.send(()).unwrap();
        let done = over(&jobs, &job.id).await;
        assert_eq!((done.state, done.done, done.result), (JobState::Done, 10, Some(IMPORTED)));
        assert!(done.ended_at.is_some());
        assert_eq!(jobs.cancel(&job.id).unwrap_err().status().as_u16(), 409);
    }

    #[tokio::test]
    async fn no_more_than_so_many_run_and_a_place_becomes_free_when_one_ends() {
        let (jobs, _) = jobs();
        let wait = |running: Running| async move {
            running.cancelled().await;
            End::Cancelled(None)
        };
        let all: Vec<_> = (0..MAX_RUNNING_JOBS).map(|_| jobs.start(import(), wait).unwrap()).collect();
        assert_eq!(jobs.start(import(), wait).unwrap_err().status().as_u16(), 429);
        assert_eq!(jobs.cancel(&all[0].id).unwrap().state, JobState::Cancelling);
        assert_eq!(over(&jobs, &all[0].id).await.state, JobState::Cancelled);
        jobs.start(import(), wait).unwrap();
        jobs.stop().await;
        assert!(jobs.all().iter().all(|job| job.state == JobState::Cancelled));
    }

    #[tokio::test]
    async fn only_so_many_that_ended_are_kept_and_the_newest_come_first() {
        let (jobs, _) = jobs();
        let mut last = String::new();
        for _ in 0..MAX_ENDED_JOBS + 2 {
            let job = jobs.start(import(), |_| async { End::Done(IMPORTED) }).unwrap();
            last = over(&jobs, &job.id).await.id;
        }
        let all = jobs.all();
        assert_eq!((all.len(), &all[0].id), (MAX_ENDED_JOBS, &last));
    }

    #[tokio::test]
    async fn what_panics_has_failed_and_holds_no_place() {
        let (jobs, _) = jobs();
        let job = jobs.start(import(), |_| async { panic!("a defect") }).unwrap();
        let failed = over(&jobs, &job.id).await;
        assert_eq!((failed.state, failed.error.unwrap().status), (JobState::Failed, 500));
        jobs.stop().await;
    }

    #[tokio::test]
    async fn progress_in_quick_succession_is_told_once_and_the_end_always() {
        let (jobs, events) = jobs();
        let before = events.newest();
        let job = jobs
            .start(import(), |running| async move {
                (0..10_000).for_each(|done| running.tell(done));
                End::Done(IMPORTED)
            })
            .unwrap();
        over(&jobs, &job.id).await;
        let Missed::Events(told) = events.since(before) else { panic!("a reset") };
        // What came after the beginning, took its place in the row.
        assert!(told.len() <= 2, "{told:?}");
        assert!(matches!(&told.last().unwrap().event, EventKind::Job { job } if job.state == JobState::Done));
    }
}
