//! The front page: what this node is and how it does, in plain HTML without any script.

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
        let text =
            "To look at this node, open the link that covey up printed, or let covey web print a new one.";
        let status = if problem.status() == StatusCode::TOO_MANY_REQUESTS {
            problem.status()
        } else {
            StatusCode::UNAUTHORIZED
        };
        return (status, Html(message_page("This is a Covey node", text))).into_response();
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
    page(title, &format!("<h1>{}</h1>\n<p>{}</p>\n", Escaped(title), Escaped(text)))
}

fn status_page(status: &StatusDto) -> String {
    let node = &status.node;
    let who = &node.identity;
    let mut body = format!(
        "<h1>{}</h1>\n<p class=\"soft\">{}'s device, {}. Covey {}, running for {}.</p>\n\
         <dl>\n<dt>Fingerprint</dt><dd><code>{}</code></dd>\n<dt>Peer id</dt><dd><code>{}</code></dd>\n</dl>\n",
        Escaped(&who.device),
        Escaped(&who.user),
        Escaped(network_words(&status.network.mode)),
        Escaped(&node.version),
        uptime(node.uptime_s),
        Escaped(&who.fingerprint),
        Escaped(&who.peer_id),
    );
    section(
        &mut body,
        "Spaces",
        "No space yet. Make one: covey space create NAME",
        &status.spaces,
        space_item,
    );
    section(&mut body, "Devices near and known", "Nobody else has been seen yet.", &status.peers, peer_item);
    body.push_str("<p class=\"soft\">Reload this page to look again.</p>\n");
    page(&who.device, &body)
}

fn section<T>(body: &mut String, title: &str, when_empty: &str, items: &[T], item: fn(&T) -> String) {
    let _ = writeln!(body, "<h2>{}</h2>", Escaped(title));
    if items.is_empty() {
        let _ = writeln!(body, "<p class=\"soft\">{}</p>", Escaped(when_empty));
        return;
    }
    body.push_str("<ul>\n");
    for one in items {
        body.push_str(&item(one));
    }
    body.push_str("</ul>\n");
}

fn network_words(mode: &str) -> &str {
    match mode {
        "solo" => "on its own",
        "lan" => "on the local network",
        _ => "on the network",
    }
}

fn uptime(seconds: u64) -> String {
    let (amount, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{amount} {unit}{}", if amount == 1 { "" } else { "s" })
}

fn space_item(space: &SpaceDto) -> String {
    let waiting = space.sync.iter().filter(|sync| sync.state != "in_sync").count();
    let (class, words) = match (space.sync.len(), waiting) {
        (0, _) => ("calm", "nobody else has it yet".to_owned()),
        (_, 0) => ("good", "in sync".to_owned()),
        (all, waiting) => ("look", format!("in sync with {} of {all} devices", all - waiting)),
    };
    let mut out = format!(
        "<li><strong>{}</strong> <span class=\"pill {class}\">{words}</span>\
         <span class=\"soft\">{} records, {} people, you: {}</span>",
        Escaped(&space.name),
        space.records,
        space.members,
        Escaped(space.role.as_deref().unwrap_or("not known yet")),
    );
    for reason in space.sync.iter().filter_map(|sync| sync.reason.as_deref()) {
        let _ = write!(out, "<br><span class=\"soft\">{}</span>", Escaped(reason));
    }
    out.push_str("</li>\n");
    out
}

fn peer_item(peer: &PeerDto) -> String {
    let class = if peer.state == "connected" { "good" } else { "calm" };
    let name = peer.name.as_deref().unwrap_or(&peer.peer_id);
    let how = match (&peer.transport, peer.rtt_ms) {
        (Some(transport), Some(rtt_ms)) => format!("over {transport}, {rtt_ms:.1} ms away"),
        (Some(transport), None) => format!("over {transport}"),
        _ => String::new(),
    };
    format!(
        "<li><strong>{}</strong> <span class=\"pill {class}\">{}</span><span class=\"soft\">{} {}</span></li>\n",
        Escaped(name),
        Escaped(&peer.state),
        Escaped(peer.user.as_deref().unwrap_or_default()),
        Escaped(&how),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_become_markup() {
        let space = SpaceDto {
            id: "x".into(),
            name: "<script>alert('hi')</script>".into(),
            role: None,
            members: 1,
            entries: 1,
            records: 0,
            sync: Vec::new(),
        };
        let html = space_item(&space);
        assert!(!html.contains("<script"));
        assert!(html.contains("&lt;script&gt;alert(&#39;hi&#39;)"));
    }

    #[test]
    fn an_uptime_has_its_unit() {
        assert_eq!(uptime(1), "1 second");
        assert_eq!(uptime(7200), "2 hours");
    }
}
