//! `covey web`: links that sign browsers in, and who is signed in.

use covey_api::dto::{BrowserDto, BrowserList, SignedOutDto, WebLinkDto};
use serde_json::json;

use crate::{
    args::Web,
    client::Client,
    diag::Failure,
    output::Out,
    words::{ago, count},
};

pub(super) async fn run(client: &Client, web: &Web, out: &Out) -> Result<(), Failure> {
    match web {
        Web { list: true, .. } => list(client, out).await,
        Web { sign_out: true, .. } => sign_out(client, out).await,
        Web { .. } => link(client, out).await,
    }
}

async fn link(client: &Client, out: &Out) -> Result<(), Failure> {
    let link: WebLinkDto = client.post("web-link", &json!({})).await?;
    if out.is_json() {
        return out.document(&link);
    }
    out.line(&link.link)?;
    out.hint("It opens once, in one browser, within the hour; that browser stays signed in for 30 days.");
    Ok(())
}

async fn list(client: &Client, out: &Out) -> Result<(), Failure> {
    let browsers: BrowserList = client.get("browsers").await?;
    if out.is_json() {
        return out.document(&browsers.items);
    }
    if browsers.items.is_empty() {
        return out.line("  No browser is signed in: covey web prints a link.");
    }
    let row = |browser: &BrowserDto| vec![browser.id.clone(), ago(&browser.since), browser.until.clone()];
    out.table(&["BROWSER", "SINCE", "UNTIL"], &browsers.items.iter().map(row).collect::<Vec<_>>())
}

async fn sign_out(client: &Client, out: &Out) -> Result<(), Failure> {
    let done: SignedOutDto = client.remove("browsers").await?;
    if out.is_json() {
        return out.document(&done);
    }
    let browsers = count(done.signed_out as u64, "browser is", "browsers are");
    out.line(&format!("{browsers} signed out."))
}
