//! `covey device link` and `covey device join`: a further device of one person.

use std::{fmt::Write as _, time::Duration};

use covey_api::dto::{InviteDto, JoinRequest, LinkedDto, NewLink};

use crate::{
    args::Args,
    client::{Client, first_half, path},
    commands::invite::show_code,
    diag::Failure,
    output::{Out, Tone, visible},
    settings,
    words::{count, validity},
};

pub(super) async fn link(
    client: &Client,
    expires: Duration,
    withdraw: Option<&str>,
    out: &Out,
) -> Result<(), Failure> {
    if let Some(code) = withdraw {
        return super::invite::withdraw(client, &path(&["devices", "link", &first_half(code)]), out).await;
    }
    let made: InviteDto =
        client.post("devices/link", &NewLink { expires_s: Some(expires.as_secs()) }).await?;
    if out.is_json() {
        return out.document(&made);
    }
    let label = |text: &str| out.paint(Tone::Soft, &format!("{text:<8}"));
    let facts = [
        format!("{} {}", label("Valid"), validity(&made.expires_at)),
        format!("{} one device, which becomes yours in all your spaces", label("For")),
        format!("{} {}", label("Link"), made.link),
    ];
    show_code(&made, &facts, out)?;
    out.hint(&format!(
        "\nOn the other device, in a fresh home, on this network: covey device join {}\nFrom elsewhere: covey device join \
         LINK, with the link above.\nGive the code to nobody else: whoever uses it is you.",
        made.code
    ));
    Ok(())
}

pub(super) async fn join(
    client: &Client,
    code: &str,
    timeout: Duration,
    args: &Args,
    out: &Out,
) -> Result<(), Failure> {
    let code = match code {
        "-" => super::record::stdin_text("a code")?.trim().to_owned(),
        code => code.to_owned(),
    };
    let timeout = timeout.max(Duration::from_secs(1));
    out.hint("Looking for the device that made the code...");
    let request = JoinRequest { code, timeout_s: Some(timeout.as_secs()) };
    let linked: LinkedDto = client.post("devices/join", &request).await?;
    if out.is_json() {
        return out.document(&linked);
    }
    let me = &linked.identity;
    out.line(&format!("This device is one of {}'s now.", visible(&me.user)))?;
    out.line(&super::intro(me, out))?;
    let label = out.paint(Tone::Soft, &format!("{:<12}", "Linked by"));
    out.line(&format!("  {label} {} ({})", visible(&linked.linked_by.name), linked.linked_by.fingerprint))?;
    let here = linked.spaces.iter().filter(|space| space.here).count() as u64;
    let coming = linked.spaces.len() as u64 - here;
    let mut text = format!("{} here", count(here, "space is", "spaces are"));
    if coming > 0 {
        let _ = write!(text, "; {} still to come, by themselves", count(coming, "more", "more"));
    }
    out.line(&format!("{text}. The person that this home was made with is given up."))?;
    out.hint(&format!(
        "On both devices {} shows the same fingerprints.",
        settings::command_for(args, "device list")
    ));
    Ok(())
}
