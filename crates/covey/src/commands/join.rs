//! `covey join`: into a space by a code or a link, saying meanwhile what is going on.
//!
//! The node does the joining in one request. What is told meanwhile is read off the node's status, in a few calm
//! lines on stderr: whoever waits for a minute wants to know for what, and what to check.

use std::{collections::BTreeSet, time::Duration};

use covey_api::dto::{JoinRequest, JoinedDto, PeerDto, StatusDto};
use tokio::time::{Instant, interval_at};

use crate::{
    args::{Args, Join},
    client::Client,
    diag::Failure,
    output::{Out, visible},
    settings,
    words::{count, span},
};

/// A join that takes less than this needs no words.
const GLANCE: Duration = Duration::from_millis(250);

/// How often the node is asked what it has found.
const LOOK: Duration = Duration::from_millis(500);

/// Most joins are through long before this; then it's time to say what to check.
const LONG: Duration = Duration::from_secs(5);

/// How often it is said that the search goes on, after that.
const STILL: Duration = Duration::from_secs(20);

pub(super) async fn join(client: &Client, join: &Join, args: &Args, out: &Out) -> Result<(), Failure> {
    let code = match join.code.as_str() {
        "-" => super::record::stdin_text("a code")?.trim().to_owned(),
        code => code.to_owned(),
    };
    let timeout = join.timeout.max(Duration::from_secs(1));
    let mut wait = Wait::new(&code, timeout, settings::command_for(args, "doctor"));
    if out.shows_hints() {
        // Before the join is asked for: the space may be here by the time of the first look.
        let before: StatusDto = client.get("status").await?;
        wait.before = before.spaces.into_iter().map(|space| space.id).collect();
    }
    let request = JoinRequest { code, timeout_s: Some(timeout.as_secs()) };
    let joined: JoinedDto = tokio::select! {
        joined = client.post("join", &request) => joined?,
        never = wait.tell(client, out) => match never {},
    };
    if out.is_json() {
        return out.document(&joined);
    }
    let records = count(joined.records, "record is", "records are");
    out.line(&format!("You are in {}; {records} here.", visible(&joined.space.name)))?;
    super::space::warn_of_namesakes(client, &joined.space.name, &joined.space.id, out).await;
    out.hint(&format!("See how it stands: {}", settings::command_for(args, "status")));
    Ok(())
}

/// What has been told so far about a join that is under way.
struct Wait {
    by_link: bool,
    timeout: Duration,
    doctor: String,
    /// Spaces that were here before.
    before: BTreeSet<String>,
    found: BTreeSet<String>,
    /// When to say next that it goes on.
    still_at: Duration,
    let_in: bool,
}

impl Wait {
    fn new(code: &str, timeout: Duration, doctor: String) -> Self {
        Self {
            by_link: code.contains("://"),
            timeout,
            doctor,
            before: BTreeSet::new(),
            found: BTreeSet::new(),
            still_at: LONG,
            let_in: false,
        }
    }

    /// Tells how it goes until it is dropped.
    async fn tell(&mut self, client: &Client, out: &Out) -> std::convert::Infallible {
        if !out.shows_hints() {
            return std::future::pending().await;
        }
        let started = Instant::now();
        let mut looks = interval_at(started + GLANCE, LOOK);
        looks.tick().await;
        out.hint(self.first_words());
        loop {
            // A node that doesn't answer this will answer the join itself, with the reason.
            if let Ok(status) = client.get::<StatusDto>("status").await {
                for line in self.news(&status, started.elapsed()) {
                    out.hint(&line);
                }
            }
            looks.tick().await;
        }
    }

    fn first_words(&self) -> &'static str {
        if self.by_link {
            "Connecting to the device that made the link..."
        } else {
            "Looking on this network for the device that made the code..."
        }
    }

    /// What there is to say after this time that has not been said.
    fn news(&mut self, status: &StatusDto, waited: Duration) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.let_in
            && let Some(space) = status.spaces.iter().find(|space| !self.before.contains(&space.id))
        {
            self.let_in = true;
            lines.push(format!("Let into {}; its records are coming.", visible(&space.name)));
        }
        if self.let_in {
            return lines;
        }
        lines.extend(self.newly_found(&status.peers));
        lines.extend(self.still(waited));
        lines
    }

    fn newly_found(&mut self, peers: &[PeerDto]) -> Option<String> {
        let near = peers.iter().filter(|peer| peer.state != "offline");
        let new = near.filter(|peer| self.found.insert(peer.peer_id.clone())).count();
        if self.by_link || new == 0 {
            return None;
        }
        let all = count(self.found.len() as u64, "device", "devices");
        Some(format!("Found {all} so far; asking whether the code is theirs."))
    }

    fn still(&mut self, waited: Duration) -> Option<String> {
        if waited < self.still_at {
            return None;
        }
        let first = self.still_at == LONG;
        self.still_at += STILL;
        let left = self.timeout.saturating_sub(waited).as_secs().max(1);
        let state = match (self.by_link, self.found.is_empty()) {
            (true, _) => "no connection yet",
            (false, true) => "no device found yet",
            (false, false) => "none of those found knows the code",
        };
        let mut text = format!("Still waiting: {state}. {} left.", span(left));
        if first {
            text.push_str(self.advice());
            text.push_str("\n  - Is something wrong on this side? ");
            text.push_str(&self.doctor);
            text.push_str(" looks.");
        }
        Some(text)
    }

    fn advice(&self) -> &'static str {
        if self.by_link {
            "\n  - Is `covey up` still running on the inviting device?\n  - Has its address changed since? Then ask \
             for a new link."
        } else {
            "\n  - Is `covey up` running on the inviting device?\n  - Are both on the same network? A guest Wi-Fi \
             often keeps devices apart; a link works where a code does not.\n  - Is the code typed right, and still \
             valid? The inviting device tells until when."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(spaces: &[&str], peers: &[(&str, &str)]) -> StatusDto {
        let spaces: Vec<_> = spaces
            .iter()
            .map(|id| serde_json::json!({"id": id, "name": id, "role": null, "members": 1, "entries": 0, "records": 0, "sync": []}))
            .collect();
        let peers: Vec<_> =
            peers.iter().map(|(id, state)| serde_json::json!({"peer_id": id, "state": state})).collect();
        let node = serde_json::json!({"user": "u", "device": "d", "peer_id": "p", "fingerprint": "f", "user_id": "u",
            "version": "0", "uptime_s": 0});
        serde_json::from_value(serde_json::json!({"node": node, "network": {"mode": "lan", "listen": []},
            "peers": peers, "spaces": spaces}))
        .unwrap()
    }

    #[test]
    fn a_wait_says_each_thing_once_and_after_a_while_what_to_check() {
        let mut wait = Wait::new("COVEY-AAAA-AAAA", Duration::from_mins(1), "covey doctor".into());
        wait.before.insert("old".into());
        let mut after = |seconds, spaces: &[&str], peers: &[(&str, &str)]| {
            wait.news(&status(spaces, peers), Duration::from_secs(seconds)).join("\n")
        };
        assert_eq!(after(0, &["old"], &[("away", "offline")]), "");
        let near = [("away", "offline"), ("near", "connected")];
        assert!(after(1, &["old"], &near).starts_with("Found 1 device so far"));
        assert_eq!(after(2, &["old"], &near), "");

        let said = after(5, &["old"], &near);
        assert!(said.contains("55 seconds left") && said.contains("same network"), "{said}");
        assert_eq!(after(24, &["old"], &near), "");
        let said = after(25, &["old"], &near);
        assert!(said.contains("35 seconds left") && !said.contains("same network"), "{said}");

        assert!(after(26, &["old", "new"], &near).starts_with("Let into new"));
        assert_eq!(after(59, &["old", "new"], &near), "");
    }

    #[test]
    fn a_space_that_is_here_at_the_first_look_is_the_joined_one_however_long_its_records_take() {
        let mut wait = Wait::new("COVEY-AAAA-AAAA", Duration::from_mins(1), "covey doctor".into());
        let near = status(&["new"], &[("near", "connected")]);
        let said = wait.news(&near, Duration::ZERO).join("\n");
        assert!(said.starts_with("Let into new"), "{said}");
        assert_eq!(wait.news(&near, 2 * LONG).join("\n"), "", "nothing of a code that nobody knows");
    }
}
