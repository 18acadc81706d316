//! `covey record watch`: changes as they happen.

use covey_api::dto::{ChangeDto, ChangeKind};
use futures::StreamExt;
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};

use crate::{
    client::{Client, path, with_query},
    diag::Failure,
    output::{Out, Tone, json_visible, visible},
};

pub(super) async fn run(
    client: &Client,
    space: &str,
    collection: Option<&str>,
    since: Option<u64>,
    out: &Out,
) -> Result<(), Failure> {
    let parameters =
        [("collection", collection.map(str::to_owned)), ("since", since.map(|since| since.to_string()))];
    let mut socket = client.socket(&with_query(path(&["spaces", space, "watch"]), &parameters)).await?;
    let mut last = since;
    if out.is_terminal() && out.shows_progress() {
        let what = collection.map_or_else(
            || visible(space),
            |collection| format!("{}/{}", visible(space), visible(collection)).into(),
        );
        out.hint(&format!("Waiting for changes in {what}. Ctrl-C ends."));
    }
    while let Some(message) = socket.next().await {
        match message {
            Ok(Message::Text(text)) if out.is_json() => {
                out.line(&json_visible(&text))?;
                last = position(&text).or(last);
            }
            Ok(Message::Text(text)) => {
                let change: ChangeDto = serde_json::from_str(&text)
                    .map_err(|error| Failure::failed("the node sent no change").because(error))?;
                last = Some(change.position);
                out.line(&words(&change, out))?;
            }
            Ok(Message::Close(frame)) => return Err(ended(frame.as_ref(), last)),
            // The library answers pings by itself.
            Ok(_) => {}
            Err(error) => return Err(ended(None, last).because(error)),
        }
    }
    Err(ended(None, last))
}

fn position(text: &str) -> Option<u64> {
    serde_json::from_str::<ChangeDto>(text).ok().map(|change| change.position)
}

fn ended(frame: Option<&CloseFrame>, last: Option<u64>) -> Failure {
    let why = frame.map_or("the connection is gone", |frame| frame.reason.as_str());
    let failure = Failure::failed(format!("the watch ended: {why}"));
    match last {
        Some(position) => failure.hint(format!("go on where it ended with --since {position}")),
        None => failure,
    }
}

fn words(change: &ChangeDto, out: &Out) -> String {
    let place = format!("{}/{}", visible(&change.collection), visible(&change.id));
    match (change.kind, &change.doc) {
        (ChangeKind::Put, Some(doc)) => {
            format!("{} {place}  {}", out.paint(Tone::Good, "put   "), json_visible(doc.get()))
        }
        _ => format!("{} {place}", out.paint(Tone::Look, "delete")),
    }
}
