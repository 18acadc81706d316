//! The task around the `mdns-sd` daemon: what to tell it when, and what to make of what it reports.

use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use mdns_sd::{IfKind, IfPredicate, Receiver, ServiceDaemon, ServiceEvent};
use tokio::{sync::mpsc, time::Instant};

use super::{
    Command, MdnsEvent, QUEUE, SERVICE,
    record::{Announcement, Found},
    roster::{Due, Pace, Roster},
};
use crate::first_look;

/// How often the daemon looks for interfaces that came up, in seconds (its finest step). The kernel may
/// report a link as running up to a second after it has an address, and nothing wakes us then.
const INTERFACE_CHECK_S: u32 = 1;
/// The second announcement comes this long after the first: the one-per-second limit must be over.
const REPEAT_AFTER: Duration = Duration::from_millis(1200);
/// The daemon repeats a goodbye 120 ms after the first; we let it.
const GOODBYE_TAKES: Duration = Duration::from_millis(150);

pub(super) struct Task {
    daemon: ServiceDaemon,
    browse: Receiver<ServiceEvent>,
    about: Announcement,
    pace: Pace,
    ips: Arc<RwLock<HashSet<IpAddr>>>,
    events: mpsc::Sender<MdnsEvent>,
    looks: (mpsc::Sender<Found>, mpsc::Receiver<Found>),
    roster: Roster,
    /// The second announcement of something new.
    repeat_at: Option<Instant>,
    /// The next regular announcement.
    announce_at: Instant,
    warned: bool,
}

impl Task {
    pub(super) fn new(
        daemon: ServiceDaemon,
        about: Announcement,
        pace: Pace,
        events: mpsc::Sender<MdnsEvent>,
    ) -> Result<Self, mdns_sd::Error> {
        let ips = Arc::new(RwLock::new(about.ips.clone()));
        let chosen = Arc::clone(&ips);
        let is_chosen = move |one: &if_addrs::Interface| {
            chosen.read().unwrap_or_else(PoisonError::into_inner).contains(&one.ip())
        };
        daemon.set_ip_check_interval(INTERFACE_CHECK_S)?;
        daemon.disable_interface(IfKind::All)?;
        daemon.enable_interface(IfKind::Predicate(IfPredicate::new(is_chosen)))?;
        // Browse first: whoever announces itself while we come up is heard.
        let browse = daemon.browse(SERVICE)?;
        daemon.register(about.service(false)?)?;
        let (roster, now) = (Roster::new(about.device, pace), Instant::now());
        let mut task = Self {
            daemon,
            browse,
            about,
            pace,
            ips,
            events,
            looks: mpsc::channel(QUEUE),
            roster,
            repeat_at: Some(now + REPEAT_AFTER),
            announce_at: now + pace.announce_every,
            warned: false,
        };
        let ips = task.about.ips.clone();
        task.look_from(&ips);
        Ok(task)
    }

    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let wake = self.next_wake();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Shutdown(done)) => {
                        self.say_goodbye().await;
                        let _ = done.send(());
                        return;
                    }
                    Some(command) => self.obey(command),
                    None => return self.say_goodbye().await,
                },
                event = self.browse.recv_async() => match event {
                    Ok(event) => self.browsed(event).await,
                    Err(_) => self.browse_again().await,
                },
                Some(found) = self.looks.1.recv() => {
                    let news = self.roster.answered(found, Instant::now());
                    self.tell(news).await;
                }
                () = tokio::time::sleep_until(wake) => self.timers().await,
            }
        }
    }

    fn next_wake(&self) -> Instant {
        self.repeat_at.into_iter().chain(self.roster.next_due()).fold(self.announce_at, Instant::min)
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Announce(generation) => {
                self.about.generation = generation;
                self.announce();
                self.repeat_at = Some(Instant::now() + REPEAT_AFTER);
            }
            Command::Addresses(ips) => {
                let new: HashSet<IpAddr> = ips.difference(&self.about.ips).copied().collect();
                self.ips.write().unwrap_or_else(PoisonError::into_inner).clone_from(&ips);
                self.about.ips = ips;
                self.look_from(&new);
            }
            Command::Verify(device) => {
                if let Some(fullname) = self.roster.fullname(&device) {
                    self.verify(fullname.to_owned());
                }
            }
            Command::Shutdown(_) => {}
        }
    }

    /// Announces us, in a way that can be told from the time before.
    fn announce(&mut self) {
        self.about.number += 1;
        self.announce_at = Instant::now() + self.pace.announce_every;
        self.register(false);
    }

    fn register(&mut self, leaving: bool) {
        let registered = self.about.service(leaving).and_then(|info| self.daemon.register(info));
        if let Err(error) = registered {
            self.warn_once(&error);
        }
    }

    /// Asks an instance whether it is there; the browsing reports it gone if it is silent.
    fn verify(&self, fullname: String) {
        if let Err(error) = self.daemon.verify(fullname, self.pace.verify_within) {
            tracing::debug!(%error, "a silent peer could not be asked now");
        }
    }

    fn warn_once(&mut self, error: &dyn std::fmt::Display) {
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(%error, "multicast discovery does not work now; it is tried again when interfaces change");
        }
    }

    fn look_from(&mut self, ips: &HashSet<IpAddr>) {
        if self.about.ips.is_empty() {
            self.warn_once(&"no usable network interface");
        }
        for &ip in ips {
            let found = self.looks.0.clone();
            tokio::spawn(async move {
                if let Err(error) = first_look::look(ip, found).await {
                    tracing::debug!(%ip, %error, "looking around failed");
                }
            });
        }
    }

    async fn browse_again(&mut self) {
        // The daemon ends a subscription whose listener was slow. Don't spin if it is gone altogether.
        tokio::time::sleep(REPEAT_AFTER).await;
        if let Ok(browse) = self.daemon.browse(SERVICE) {
            self.browse = browse;
        }
    }

    async fn browsed(&mut self, event: ServiceEvent) {
        let news = match event {
            ServiceEvent::ServiceResolved(service) => {
                let Some(found) = Found::from_service(&service) else { return };
                self.roster.browsed(found, Instant::now())
            }
            ServiceEvent::ServiceRemoved(_, fullname) => self.roster.forget_named(&fullname),
            _ => None,
        };
        self.tell(news).await;
    }

    async fn tell(&self, news: Option<MdnsEvent>) {
        if let Some(event) = news {
            let _ = self.events.send(event).await;
        }
    }

    async fn timers(&mut self) {
        let now = Instant::now();
        if self.announce_at <= now {
            self.announce();
        }
        if self.repeat_at.is_some_and(|at| at <= now) {
            self.repeat_at = None;
            self.register(false);
        }
        for due in self.roster.due(now) {
            match due {
                Due::Ask(fullname) => self.verify(fullname),
                Due::Gone(device) => {
                    let news = self.roster.forget(device);
                    self.tell(news).await;
                }
            }
        }
    }

    async fn say_goodbye(mut self) {
        self.register(true);
        let fullname = format!("{}.{SERVICE}", self.about.device);
        if let Ok(done) = self.daemon.unregister(&fullname) {
            let _ = tokio::time::timeout(GOODBYE_TAKES, done.recv_async()).await;
            tokio::time::sleep(GOODBYE_TAKES).await;
        }
        if let Ok(done) = self.daemon.shutdown() {
            let _ = tokio::time::timeout(GOODBYE_TAKES, done.recv_async()).await;
        }
    }
}
