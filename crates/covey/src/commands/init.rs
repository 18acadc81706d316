//! `covey init`: a home and an identity, without a node. Also what `up` shares with it.

use covey_api::dto::IdentityDto;
use covey_node::{NodeConfig, OpenError, Profile};

use crate::{
    args::{self, Args, Up},
    diag::Failure,
    output::{Out, Tone, visible},
    settings::{self, Settings},
    unlock,
};

pub(super) async fn run(args: &Args, init: &args::Init, out: &Out) -> Result<(), Failure> {
    let as_up = Up {
        api: None,
        listen: Vec::new(),
        network: None,
        bootstrap: Vec::new(),
        profile: args::Init {
            name: init.name.clone(),
            device: init.device.clone(),
            unlock: args::Unlock { passphrase_file: None, passphrase: false },
        },
    };
    let settings = Settings::load(args, Some(&as_up))?;
    let home = settings::home_path(&settings);
    if covey_node::exists(home) {
        return Err(Failure::failed(format!("there is an identity in {} already", home.display()))
            .hint(format!("start its node: {}", settings::command(&settings.home, "up"))));
    }
    let mut config = NodeConfig::new(home);
    config.unlock = unlock::unlock(home, &init.unlock).await?;
    config.profile = Some(profile(&settings));
    let identity = covey_node::init(&config).await.map_err(open_failure)?;
    let identity = covey_api::identity(identity);
    if out.is_json() {
        return out.document(&identity);
    }
    out.line(&intro(&identity, out))?;
    out.hint(&format!("Next: {}", settings::command(&settings.home, "up")));
    Ok(())
}

/// The names for a new identity.
pub(crate) fn profile(settings: &Settings) -> Profile {
    Profile { user_name: settings.user_name(), device_name: settings.device_name() }
}

/// Who a node is, in three lines.
pub(crate) fn intro(identity: &IdentityDto, out: &Out) -> String {
    let label = |text: &str| out.paint(Tone::Soft, &format!("{text:<12}"));
    format!(
        "  {} {} on {}\n  {} {}\n  {} {}",
        label("You"),
        visible(&identity.user),
        visible(&identity.device),
        label("Device id"),
        identity.peer_id,
        label("Fingerprint"),
        identity.fingerprint,
    )
}

/// Why a node could not be opened. The errors name the next step themselves where there is one.
pub(crate) fn open_failure(error: OpenError) -> Failure {
    let text = error.to_string();
    match error {
        OpenError::Address { .. } => Failure::usage(text),
        OpenError::Net(_) => Failure::failed(text)
            .because(error)
            .hint("if another program has this port, choose one with --listen, or leave --listen out"),
        _ => Failure::failed(text).because(error),
    }
}
