//! `covey config`: settings, and where each value is from. Needs no node.

use std::path::Path;

use crate::{
    args::{Args, Config},
    config::ConfigFile,
    diag::Failure,
    output::Out,
    settings::{self, Key, Setting, SettingJson, Settings},
};

pub(super) fn run(args: &Args, command: &Config, out: &Out) -> Result<(), Failure> {
    match command {
        Config::List => list(args, out),
        Config::Get { key } => get(args, key, out),
        Config::Set { key, value } => set(args, key, value, out),
    }
}

fn list(args: &Args, out: &Out) -> Result<(), Failure> {
    let settings = Settings::load(args, None)?;
    if out.is_json() {
        return out.document(&settings.all().map(SettingJson::from).collect::<Vec<_>>());
    }
    let rows: Vec<_> = settings
        .all()
        .map(|setting| vec![setting.name.to_owned(), setting.text(), setting.source.to_string()])
        .collect();
    out.table(&["SETTING", "VALUE", "FROM"], &rows)
}

fn get(args: &Args, key: &str, out: &Out) -> Result<(), Failure> {
    if key != "home" {
        Key::named(key)?;
    }
    let settings = Settings::load(args, None)?;
    let setting: &Setting =
        settings.all().find(|setting| setting.name == key).expect("every known key has a value");
    if out.is_json() { out.document(&SettingJson::from(setting)) } else { out.line(&setting.text()) }
}

fn set(args: &Args, key: &str, value: &str, out: &Out) -> Result<(), Failure> {
    if key == "home" {
        return Err(Failure::failed("the home can't be set in a file that lies in it")
            .hint("use --home DIR, or the environment variable COVEY_HOME"));
    }
    let key = Key::named(key)?;
    let values = key.split(value);
    key.check(&values).map_err(|why| Failure::failed(format!("{} was not set: {why}", key.name)))?;
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
