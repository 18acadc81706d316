//! One module per group of commands; each takes its arguments, asks the node, and prints.

mod audit;
mod backup;
mod chat;
mod config;
mod consent;
mod device;
mod doctor;
mod init;
mod invite;
mod join;
mod linking;
mod member;
mod profile;
mod record;
mod space;
mod sql;
pub(crate) mod status;
mod sync;
mod transfer;
mod watch;
mod web;

use clap::CommandFactory;
use serde_json::json;

use crate::{
    args::{Args, Command, Peer, Record, Space},
    client::Client,
    diag::Failure,
    output::Out,
};

pub(crate) use init::{intro, open_failure, profile};
pub(crate) use space::typed;

/// Does what the command line says.
pub(crate) async fn run(args: &Args, out: &Out) -> Result<(), Failure> {
    if let Some(yes) = args.command.consent() {
        consent::can_be_had(yes)?;
    }
    match &args.command {
        Command::Init(init) => init::run(args, init, out).await,
        Command::Up(up) => crate::up::run(args, up, out).await,
        Command::Status => status::status(&Client::new(args)?, out).await,
        Command::Doctor => doctor::run(args, out).await,
        Command::Peer(Peer::List) => status::peers(&Client::new(args)?, out).await,
        Command::Space(command) => space(args, command, out).await,
        Command::Member(command) => {
            let done = member::run(&Client::new(args)?, command, out).await;
            done.map_err(|failure| failure.in_space(command.space()))
        }
        Command::Device(command) => device::run(&Client::new(args)?, command, args, out).await,
        Command::Audit(audit) => audit::run(&Client::new(args)?, audit, out).await,
        Command::Invite(invite) => invite::invite(&Client::new(args)?, invite, out).await,
        Command::Join(join) => join::join(&Client::new(args)?, join, args, out).await,
        Command::Record(command) => record(args, command, out).await,
        Command::Channel(command) => chat::channel(&Client::new(args)?, command, out).await,
        Command::Chat(command) => chat::chat(&Client::new(args)?, command, out).await,
        Command::Dm(dm) => chat::dm(&Client::new(args)?, dm, out).await,
        Command::Sql(sql) => sql::run(&Client::new(args)?, sql, out).await,
        Command::Demo(demo) => crate::demo::run(args, demo, out).await,
        Command::Backup(order) => backup::backup(args, order, out).await,
        Command::Restore(order) => backup::restore(args, order, out).await,
        Command::Config(command) => config::run(args, command, out).await,
        Command::Web(order) => web::run(&Client::new(args)?, order, out).await,
        Command::Profile(order) => profile::run(&Client::new(args)?, order, out).await,
        Command::Completions { shell } => completions(*shell, out),
        Command::Version => version(out),
    }
}

async fn space(args: &Args, command: &Space, out: &Out) -> Result<(), Failure> {
    let client = Client::new(args)?;
    match command {
        Space::Create { name, parent, member } => {
            space::create(&client, (name, parent.as_deref(), member), args, out).await
        }
        Space::List { all } => space::list(&client, *all, out).await,
        Space::Show { space } => space::show(&client, space, out).await,
        Space::Leave { space, yes } => {
            let left = member::leave(&client, space, *yes, out).await;
            left.map_err(|failure| failure.in_space(space))
        }
        Space::RotateKey { space } => member::rotate_key(&client, space, out).await,
        Space::History { space, rule } => member::history(&client, space, *rule, out).await,
    }
}

async fn record(args: &Args, command: &Record, out: &Out) -> Result<(), Failure> {
    let client = Client::new(args)?;
    match command {
        Record::Put { place, id, document } => {
            record::put(&client, place, id.as_deref(), document, out).await
        }
        Record::Get { place, id } => record::get(&client, place, id, out).await,
        Record::Delete { place, id } => record::delete(&client, place, id, out).await,
        Record::Status { place, id } => sync::run(&client, place, id, out).await,
        Record::List { place, filter, limit } => {
            record::list(&client, place, filter.as_deref(), *limit, out).await
        }
        Record::Import(import) => transfer::import(&client, import, out).await,
        Record::Export { place, format } => transfer::export(&client, place, *format, out).await,
        Record::Watch { space, collection, since } => {
            watch::run(&client, space, collection.as_deref(), *since, out).await
        }
    }
}

fn completions(shell: clap_complete::Shell, out: &Out) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "covey", &mut script);
    if out.is_json() {
        let script = String::from_utf8_lossy(&script);
        return out.document(&json!({ "shell": shell.to_string(), "script": script }));
    }
    out.bytes(&script)
}

fn version(out: &Out) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if out.is_json() {
        return out.document(&json!({ "version": version }));
    }
    out.line(&format!("covey {version}"))
}
