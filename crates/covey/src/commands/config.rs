//! `covey config`: settings, and where each value is from. Needs no node.

use std::path::Path;

use covey_api::dto::StatusDto;
use covey_node::NodeConfig;

use crate::{
    args::{Args, Config},
    client::Client,
    config::ConfigFile,
    diag::Failure,
    output::Out,
    settings::{self, Key, Setting, SettingJson, Settings},
};

pub(super) async fn run(args: &Args, command: &Config, out: &Out) -> Result<(), Failure> {
    match command {
        Config::List => list(args, out).await,
        Config::Get { key } => get(args, key, out).await,
        Config::Set { key, value } => set(args, key, value, out),
    }
}

async fn list(args: &Args, out: &Out) -> Result<(), Failure> {
    let settings = with_identity(args).await?;
    if out.is_json() {
        return out.document(&settings.all().map(SettingJson::from).collect::<Vec<_>>());
    }
    let rows: Vec<_> = settings
        .all()
        .map(|setting| vec![setting.name.to_owned(), setting.text(), setting.source.to_string()])
        .collect();
    out.table(&["SETTING", "VALUE", "FROM"], &rows)
}

async fn get(args: &Args, key: &str, out: &Out) -> Result<(), Failure> {
    if key != "home" {
        Key::named(key)?;
    }
    let settings = match key {
        "name" | "device" => with_identity(args).await?,
        _ => Settings::load(args, None)?,
    };
    let setting: &Setting =
        settings.all().find(|setting| setting.name == key).expect("every known key has a value");
    if out.is_json() { out.document(&SettingJson::from(setting)) } else { out.line(&setting.text()) }
}

/// The settings as they hold: a home that has an identity keeps its names, whatever is set for a new one.
async fn with_identity(args: &Args) -> Result<Settings, Failure> {
    let mut settings = Settings::load(args, None)?;
    if covey_node::exists(settings::home_path(&settings)) {
        let names = names(args, &settings).await;
        settings.identity_is(names);
    }
    Ok(settings)
}

/// The names of the person and the device: the running node knows them, and a stopped one's home unless it is locked by
/// a passphrase.
async fn names(args: &Args, settings: &Settings) -> Option<(String, String)> {
    if let Ok(client) = Client::new(args) {
        let status: StatusDto = client.get("status").await.ok()?;
        return Some((status.node.identity.user, status.node.identity.device));
    }
    let home = settings::home_path(settings);
    if covey_node::needs_passphrase(home) {
        return None;
    }
    let identity = covey_node::init(&NodeConfig::new(home)).await.ok()?;
    Some((identity.user_name, identity.device_name))
}

fn set(args: &Args, key: &str, value: &str, out: &Out) -> Result<(), Failure> {
    if key == "home" {
        return Err(Failure::usage("the home can't be set in a file that lies in it")
            .hint("use --home DIR, or the environment variable COVEY_HOME"));
    }
    let key = Key::named(key)?;
    let values = key.split(value);
    key.check(&values).map_err(|why| Failure::usage(format!("{} was not set: {why}", key.name)))?;
    let (home, _) = settings::home(args)?;
    let mut file = ConfigFile::read(Path::new(&home))?;
    file.set(key, &values)?;
    let settings = Settings::load(args, None)?;
    let now = settings.all().find(|setting| setting.name == key.name).expect("every key has a value");
    if out.is_json() {
        return out.document(&SettingJson::from(now));
    }
    out.line(&format!("{} = {}", key.name, values.join(",")))?;
    if now.values != values {
        out.hint(&format!("For now {} overrides it with {}.", now.source, now.text()));
    }
    out.hint("A running node takes it up when it is started again.");
    Ok(())
}
