//! `covey invite` and `covey join`: how someone gets into a space.

use std::time::Duration;

use covey_api::dto::{InviteDto, JoinRequest, JoinedDto, NewInvite};
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

use crate::{
    args::{Args, Invite, Join},
    client::{Client, path},
    diag::Failure,
    output::{Out, Tone, visible},
    progress::Progress,
    settings,
    words::{count, time_left},
};

pub(super) async fn invite(client: &Client, invite: &Invite, out: &Out) -> Result<(), Failure> {
    let wanted =
        NewInvite { role: Some(invite.role.as_str().to_owned()), expires_s: Some(invite.expires.as_secs()) };
    let made: InviteDto = client.post(&path(&["spaces", &invite.space, "invites"]), &wanted).await?;
    if out.is_json() {
        return out.document(&made);
    }
    out.line(&format!("\n    {}\n", out.paint(Tone::Strong, &made.code)))?;
    let label = |text: &str| out.paint(Tone::Soft, &format!("{text:<8}"));
    out.line(&format!("  {} {}", label("Ends"), time_left(&made.expires_at)))?;
    out.line(&format!("  {} {}, for one device", label("Role"), made.role))?;
    out.line(&format!("  {} {}", label("Link"), made.link))?;
    if out.is_terminal()
        && let Some(code) = qr(&made.link, out)
    {
        out.line(&format!("\n{code}"))?;
    }
    let code = &made.code;
    out.hint(&format!(
        "\nOn the other device, on this network: covey join {code}\nFrom elsewhere, use the link instead."
    ));
    Ok(())
}

/// The link as a QR code; `None` if it is too long for one.
fn qr(link: &str, out: &Out) -> Option<String> {
    let code = QrCode::with_error_correction_level(link, EcLevel::L).ok()?;
    if out.has_color() {
        // Dark on light whatever the terminal's colours are: some cameras read nothing else.
        let text = code.render::<Dense1x2>().quiet_zone(true).build();
        let lines: Vec<_> = text.lines().map(|line| format!("\x1b[30;107m{line}\x1b[0m")).collect();
        return Some(lines.join("\n"));
    }
    Some(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

pub(super) async fn join(client: &Client, join: &Join, args: &Args, out: &Out) -> Result<(), Failure> {
    let code = match join.code.as_str() {
        "-" => super::record::stdin_text("a code")?.trim().to_owned(),
        code => code.to_owned(),
    };
    let request = JoinRequest { code, timeout_s: Some(join.timeout.max(Duration::from_secs(1)).as_secs()) };
    let progress = Progress::spinner(out, "looking for the inviter");
    let joined: JoinedDto = client.post("join", &request).await?;
    drop(progress);
    if out.is_json() {
        return out.document(&joined);
    }
    let records = count(joined.records, "record is", "records are");
    out.line(&format!("You are in {}; {records} here.", visible(&joined.space.name)))?;
    out.hint(&format!("See how it stands: {}", settings::command_for(args, "status")));
    Ok(())
}
