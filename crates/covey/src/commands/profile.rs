//! `covey profile`: what you are called.

use covey_api::dto::{NewProfile, ProfileDto};

use crate::{
    args::Profile,
    client::Client,
    diag::Failure,
    output::{Out, visible},
};

pub(super) async fn run(client: &Client, profile: &Profile, out: &Out) -> Result<(), Failure> {
    let now: ProfileDto = match &profile.name {
        None => client.get("profile").await?,
        Some(name) => client.patch("profile", &NewProfile { name: name.clone() }).await?,
    };
    if out.is_json() {
        return out.document(&now);
    }
    let named = if profile.name.is_some() { " now, on all your devices and in all your spaces" } else { "" };
    out.line(&format!("You are called {}{named}.", visible(&now.name)))?;
    if profile.name.is_none() {
        out.hint(
            "Take another name: covey profile --name NAME. Name a device: covey device rename DEVICE NAME",
        );
    }
    Ok(())
}
