//! `covey invite`: a way into a space, as a code, a link and a QR code.

use covey_api::dto::{InviteDto, NewInvite, WithdrawnDto};
use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

use crate::{
    args::Invite,
    client::{Client, first_half, path},
    diag::Failure,
    output::{Out, Tone},
    words::validity,
};

pub(super) async fn invite(client: &Client, invite: &Invite, out: &Out) -> Result<(), Failure> {
    if let Some(code) = &invite.withdraw {
        return withdraw(client, &path(&["spaces", &invite.space, "invites", &first_half(code)]), out).await;
    }
    let wanted =
        NewInvite { role: Some(invite.role.as_str().to_owned()), expires_s: Some(invite.expires.as_secs()) };
    let made: InviteDto = client.post(&path(&["spaces", &invite.space, "invites"]), &wanted).await?;
    if out.is_json() {
        return out.document(&made);
    }
    let label = |text: &str| out.paint(Tone::Soft, &format!("{text:<8}"));
    let facts = [
        format!("{} {}", label("Valid"), validity(&made.expires_at)),
        format!("{} one device, as {}", label("For"), made.role),
        format!("{} {}", label("Link"), made.link),
    ];
    show_code(&made, &facts, out)?;
    out.hint(&format!(
        "\nOn the other device, on this network: covey join {}\nFrom elsewhere: covey join LINK, with the link above.",
        made.code
    ));
    Ok(())
}

/// Takes an invitation back.
pub(super) async fn withdraw(client: &Client, place: &str, out: &Out) -> Result<(), Failure> {
    let over: WithdrawnDto = client.remove(place).await?;
    if out.is_json() {
        return out.document(&over);
    }
    out.line(&match over.state.as_str() {
        "withdrawn" => {
            format!("The invitation {} is withdrawn: its code is good for nothing any more.", over.id)
        }
        state => format!("The invitation {} was over already: it is {state}.", over.id),
    })
}

/// Shows a code, what there is to know about it, and on a terminal its link as a QR code.
pub(super) fn show_code(made: &InviteDto, facts: &[String], out: &Out) -> Result<(), Failure> {
    out.line(&format!("\n    {}\n", out.paint(Tone::Strong, &made.code)))?;
    facts.iter().try_for_each(|fact| out.line(&format!("  {fact}")))?;
    if out.is_terminal()
        && let Some(code) = qr(&made.link, out)
    {
        // The QR code is taller than some terminals: what is read aloud has to stand where the eye ends up.
        out.line(&format!("\n{code}\n\n    {}", out.paint(Tone::Strong, &made.code)))?;
    }
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
