//! The front page: the web app, or in a build without it what this node is and how it does, in plain HTML without any
//! script.

use std::fmt::{self, Write as _};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::ApiState;
use crate::{
    convert,
    dto::{PeerDto, SpaceDto, StatusDto},
    extract::InQuery,
    problem::Problem,
    web,
};

const STYLE: &str = include_str!("page.css");

#[derive(Deserialize)]
pub(super) struct OpenQuery {
    code: String,
}

pub(super) async fn open(State(state): State<ApiState>, InQuery(query): InQuery<OpenQuery>) -> Response {
    let signed_in = state.access.open(&query.code).and_then(|cookie| {
        HeaderValue::from_str(&cookie).map_err(|_| Problem::internal("the cookie is not a header"))
    });
    if signed_in.is_ok()
        && let Err(error) = state.access.sessions.keep(&state.node).await
    {
        // It is signed in all the same, until the node starts again.
        tracing::warn!(%error, "keeping which browsers are signed in");
    }
    match signed_in {
        Ok(cookie) => ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response(),
        Err(problem) => {
            let page = Html(message_page("This link does not open anything", problem.detail()));
            (problem.status(), page).into_response()
        }
    }
}

pub(super) async fn front(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    if let Err(problem) = state.access.check_credential(&Method::GET, &headers) {
        let text = "To look at it, open the link that `covey up` printed, or let `covey web` print a new one. A link \
                    opens once.";
        let status = if problem.status() == StatusCode::TOO_MANY_REQUESTS {
            problem.status()
        } else {
            StatusCode::UNAUTHORIZED
        };
        return (status, Html(message_page("This is a Covey node", text))).into_response();
    }
    if let Some(document) = web::document() {
        return document.answer(&headers);
    }
    match state.node.status().await {
        Ok(status) => Html(status_page(&convert::status(status))).into_response(),
        Err(error) => {
            let problem = Problem::from(error);
            let page = message_page("This page can't be shown now", problem.detail());
            (problem.status(), Html(page)).into_response()
        }
    }
}

/// Text that can't become markup.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

fn page(title: &str, body: &str) -> String {
    let title = Escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} - Covey</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n\
         </body>\n</html>\n"
    )
}

fn message_page(title: &str, text: &str) -> String {
    page(title, &format!("<h1>{}</h1>\n<p>{}</p>\n", Escaped(title), with_code(text)))
}

/// A text in which what stands between backticks is to be typed.
fn with_code(text: &str) -> String {
    let part = |(i, part): (usize, &str)| match i % 2 {
        0 => Escaped(part).to_string(),
        _ => format!("<code>{}</code>", Escaped(part)),
    };
    text.split('`').enumerate().map(part).collect()
}

fn status_page(status: &StatusDto) -> String {
    let who = &status.node.identity;
    let mut body = head(status);
    let spaces = "What people share is in a space. Make one in a terminal: `covey space create garden`. Or join one \
                  by a code that someone gave you: `covey join COVEY-XXXX-XXXX`.";
    section(&mut body, "Spaces", spaces, &status.spaces, space_item);
    let devices = "No other device has been seen yet. To let one into a space, print a code in a terminal: \
                   `covey invite SPACE`.";
    section(&mut body, "Other devices", devices, &status.peers, peer_item);
    let _ = write!(
        body,
        "<h2>This device</h2>\n<div class=\"card\"><dl>\n<dt>Fingerprint</dt><dd><code>{}</code></dd>\n\
         <dt>Device id</dt><dd><code>{}</code></dd>\n</dl>\n<p class=\"soft\">Both stand for this \
         device's key: the id in full, the fingerprint short enough to be read aloud.</p></div>\n<p class=\"soft foot\">{}</p>\n",
        Escaped(&who.fingerprint),
        Escaped(&who.peer_id),
        with_code(
            "This is how it stood when the page was loaded; reload it to look again. This build has no web app in it \
             (`make web` makes it, before the node is built). To change something, use the `covey` command; `covey \
             doctor` looks for what may be wrong."
        ),
    );
    page(&who.device, &body)
}

/// Who this is, and how it stands in one word.
fn head(status: &StatusDto) -> String {
    let node = &status.node;
    let connected = status.peers.iter().filter(|peer| peer.state == "connected").count() as u64;
    let (class, state) = match (status.network.mode.as_str(), connected) {
        ("solo", _) => ("calm", "network switched off".to_owned()),
        (_, 0) => ("calm", "alone just now".to_owned()),
        (_, n) => ("good", format!("connected to {}", count(n, "device", "devices"))),
    };
    format!(
        "<div class=\"head\"><h1>{}</h1><span class=\"pill {class}\">{state}</span></div>\n\
         <p class=\"soft\">{}'s device. Covey {}, running for {}.</p>\n",
        Escaped(&node.identity.device),
        Escaped(&node.identity.user),
        Escaped(&node.version),
        uptime(node.uptime_s),
    )
}

fn section<T>(body: &mut String, title: &str, when_empty: &str, items: &[T], item: fn(&T) -> String) {
    let _ = writeln!(body, "<h2>{}</h2>", Escaped(title));
    if items.is_empty() {
        let _ = writeln!(body, "<p class=\"soft\">{}</p>", with_code(when_empty));
        return;
    }
    body.push_str("<ul class=\"card\">\n");
    for one in items {
        body.push_str(&item(one));
    }
    body.push_str("</ul>\n");
}

/// `1 person`, `2 people`.
fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn uptime(seconds: u64) -> String {
    match seconds {
        0..60 => count(seconds, "second", "seconds"),
        60..3600 => count(seconds / 60, "minute", "minutes"),
        3600..86_400 => count(seconds / 3600, "hour", "hours"),
        _ => count(seconds / 86_400, "day", "days"),
    }
}

/// A name with a pill beside it, and what there is to say beneath.
fn item(name: &str, class: &str, state: &str, sentences: &[String]) -> String {
    let mut out = format!(
        "<li><div class=\"head\"><h3>{}</h3><span class=\"pill {class}\">{}</span></div>",
        Escaped(name),
        Escaped(state),
    );
    for sentence in sentences {
        let _ = write!(out, "<p class=\"soft\">{}</p>", Escaped(sentence));
    }
    out.push_str("</li>\n");
    out
}

fn space_item(space: &SpaceDto) -> String {
    let all = space.sync.len() as u64;
    let good = space.sync.iter().filter(|sync| sync.state == "in_sync").count() as u64;
    // A device that is away is weather; one that refuses or has other logs needs somebody.
    let needs_a_look = space.sync.iter().any(|sync| matches!(sync.state.as_str(), "behind" | "refused"));
    // Before the first sync nobody is known; later, whoever has no role was put out or has left.
    let is_out = space.role.is_none() && space.members > 0;
    let (class, state) = match (all, good) {
        _ if is_out => ("calm", "you are no longer in it".to_owned()),
        (0, _) => ("calm", "on this device only".to_owned()),
        (all, good) if all == good => ("good", "in sync".to_owned()),
        _ if needs_a_look => ("look", "needs a look".to_owned()),
        _ => ("calm", format!("in sync with {good} of {}", count(all, "device", "devices"))),
    };
    let role = match space.role.as_deref() {
        Some(role) => role,
        None if is_out => "none any more",
        None => "not known before the first sync",
    };
    let (people, records) =
        (count(space.members, "person", "people"), count(space.records, "record", "records"));
    let facts = format!("{people}, {records}. Your role: {role}.");
    // That others refuse to go on sharing it is no news to whoever is out.
    let lines = space.sync.iter().filter(|_| !is_out);
    let reasons = lines.filter_map(|sync| sync.reason.as_deref()).map(sentence);
    item(&space.name, class, &state, &std::iter::once(facts).chain(reasons).collect::<Vec<_>>())
}

/// A reason as it stands on its own.
fn sentence(reason: &str) -> String {
    let end = if reason.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{reason}{end}")
}

fn peer_item(peer: &PeerDto) -> String {
    let class = if peer.state == "connected" { "good" } else { "calm" };
    let tail = &peer.peer_id[peer.peer_id.len().saturating_sub(8)..];
    let whose = match &peer.user {
        Some(user) => format!("{user}'s device."),
        None => format!("It shares no space with this one. Its id ends in {tail}."),
    };
    let rtt = peer.rtt_ms.map_or_else(String::new, |rtt_ms| format!(", {rtt_ms:.1} ms there and back"));
    let how = match peer.path.as_deref() {
        Some("direct") => format!(" Connected directly{rtt}."),
        Some(path) => format!(" Connected, {path}{rtt}."),
        None => String::new(),
    };
    let name = peer.name.as_deref().unwrap_or("A device not known yet");
    item(name, class, &peer.state, &[whose + &how])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_become_markup() {
        let space = SpaceDto {
            personal: false,
            id: "x".into(),
            name: "<script>alert('hi')</script>".into(),
            parent: None,
            channel: None,
            role: None,
            members: 1,
            entries: 1,
            records: 0,
            pending: 0,
            sync: Vec::new(),
            removed: None,
            forks: Vec::new(),
            new_logs: Vec::new(),
        };
        let html = space_item(&space);
        assert!(!html.contains("<script"));
        assert!(html.contains("&lt;script&gt;alert(&#39;hi&#39;)"));
        assert!(html.contains("1 person, 0 records"), "{html}");
        assert_eq!(with_code("a `<b>` c"), "a <code>&lt;b&gt;</code> c");
    }

    #[test]
    fn whoever_is_out_is_told_so_and_not_that_others_refuse() {
        let refused = crate::dto::SyncDto {
            peer_id: "p".into(),
            state: "refused".into(),
            missing_here: 0,
            missing_there: 0,
            reason: Some("it refuses".into()),
            since: None,
        };
        let space = SpaceDto {
            personal: false,
            id: "x".into(),
            name: "garden".into(),
            parent: None,
            channel: None,
            role: None,
            members: 1,
            entries: 1,
            records: 0,
            pending: 0,
            sync: vec![refused],
            removed: None,
            forks: Vec::new(),
            new_logs: Vec::new(),
        };
        let html = space_item(&space);
        assert!(html.contains("you are no longer in it") && html.contains("none any more"), "{html}");
        assert!(!html.contains("refuses") && !html.contains("needs a look"), "{html}");
        let unknown = space_item(&SpaceDto { members: 0, ..space });
        assert!(unknown.contains("not known before the first sync"), "{unknown}");
    }

    /// Relative luminance of `#RRGGBB`, as WCAG 2.2 defines it.
    fn luminance(color: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    #[test]
    fn every_text_can_be_read_in_light_and_in_dark() {
        let themes: Vec<&str> = STYLE.split(":root").skip(1).collect();
        assert_eq!(themes.len(), 2);
        for theme in themes {
            let color = |name: &str| luminance(&theme.split(&format!("--{name}: ")).nth(1).unwrap()[..7]);
            for (text, ground) in [
                ("ink", "ground"),
                ("ink", "surface"),
                ("ink", "sunken"),
                ("soft", "ground"),
                ("soft", "surface"),
                ("soft", "sunken"),
                ("accent", "accent-ground"),
                ("amber", "amber-ground"),
            ] {
                let (a, b) = (color(text), color(ground));
                let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                assert!(contrast >= 4.5, "{text} on {ground}: {contrast:.2}");
            }
        }
    }

    #[test]
    fn an_uptime_has_its_unit() {
        assert_eq!(uptime(1), "1 second");
        assert_eq!(uptime(7200), "2 hours");
    }
}
