//! `covey doctor`: every check with PASS or FAIL and a remedy. Without a node it checks what can be
//! checked from outside, and says so.

use std::path::Path;

use covey_api::dto::{CheckDto, DoctorDto};
use covey_types::ByteSize;

use crate::{
    args::Args,
    client::{self, Client},
    config::ConfigFile,
    diag::Failure,
    output::{Out, Tone, visible},
    settings::{self, Settings},
    words::count,
};

/// Less free room than this is worth a word: a busy space fills it within days.
const LOW_ROOM_BYTES: u64 = 512 << 20;

pub(super) async fn run(args: &Args, out: &Out) -> Result<(), Failure> {
    let (home, _) = settings::home(args)?;
    let mut checks = vec![check_config(args, &home), check_home(&home)];
    checks.extend(check_room(&home));
    checks.extend(check_api_file(&home));
    match ask_node(args).await {
        Ok(more) => {
            checks.push(pass("node", "a node is running and answers".to_owned()));
            // What the node says about the room tells more than what is seen from outside.
            if more.iter().any(|check| check.name == "room") {
                checks.retain(|check| check.name != "disk");
            }
            checks.extend(more);
        }
        Err(detail) => {
            let remedy = format!("start it: {}", settings::command_for(args, "up"));
            checks.push(fail("node", format!("{detail}; its own checks could not be run"), remedy));
        }
    }
    report(&checks.into(), out)
}

fn report(found: &DoctorDto, out: &Out) -> Result<(), Failure> {
    if out.is_json() {
        out.document(found)?;
    } else {
        print(found, out)?;
    }
    if found.ok { Ok(()) } else { Err(Failure::said()) }
}

fn print(found: &DoctorDto, out: &Out) -> Result<(), Failure> {
    let width = found.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for check in &found.checks {
        let mark = if check.ok { out.paint(Tone::Good, "PASS") } else { out.paint(Tone::Bad, "FAIL") };
        out.line(&format!("{mark}  {:<width$}  {}", check.name, visible(&check.detail)))?;
        if let Some(remedy) = &check.remedy {
            out.line(&format!("      {:<width$}  {}", "", out.paint(Tone::Look, &visible(remedy))))?;
        }
    }
    let bad = found.checks.iter().filter(|check| !check.ok).count() as u64;
    match bad {
        0 => out.line("\nAll is well."),
        bad => out.line(&format!("\n{} a look.", count(bad, "thing needs", "things need"))),
    }
}

async fn ask_node(args: &Args) -> Result<Vec<CheckDto>, String> {
    let client = Client::new(args).map_err(|failure| failure.message().to_owned())?;
    let found: DoctorDto = client.get("doctor").await.map_err(|failure| failure.message().to_owned())?;
    Ok(found.checks)
}

fn pass(name: &str, detail: String) -> CheckDto {
    CheckDto { name: name.to_owned(), ok: true, detail, remedy: None }
}

fn fail(name: &str, detail: String, remedy: impl Into<String>) -> CheckDto {
    CheckDto { name: name.to_owned(), ok: false, detail, remedy: Some(remedy.into()) }
}

fn check_config(args: &Args, home: &Path) -> CheckDto {
    match ConfigFile::read(home).and_then(|_| Settings::load(args, None)) {
        Ok(_) => pass("config", "every setting is valid".to_owned()),
        Err(failure) => fail("config", failure.message().to_owned(), "correct it, or remove the line"),
    }
}

fn check_home(home: &Path) -> CheckDto {
    let place = home.display();
    if !covey_node::exists(home) {
        let remedy = "`covey up` or `covey init` makes one; or name another home with --home";
        return fail("home", format!("there is no identity in {place}"), remedy);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(home).map_or(0, |about| about.permissions().mode() & 0o777);
        if mode & 0o077 != 0 {
            let detail = format!("{place} is open to other users of this machine (mode {mode:o})");
            return fail("home", detail, format!("close it: chmod 700 {place}"));
        }
    }
    pass("home", format!("{place} holds an identity and is closed to others"))
}

fn check_room(home: &Path) -> Option<CheckDto> {
    let free = free_bytes(home)?;
    let detail = format!("{} free on the disk of the home", ByteSize(free));
    Some(if free < LOW_ROOM_BYTES {
        fail("disk", detail, "make some room: with a full disk nothing new is stored")
    } else {
        pass("disk", detail)
    })
}

#[cfg(unix)]
fn free_bytes(home: &Path) -> Option<u64> {
    let room = rustix::fs::statvfs(home).ok()?;
    Some(room.f_bavail.saturating_mul(room.f_frsize))
}

#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}

/// The file with the token must be its owner's alone.
fn check_api_file(home: &Path) -> Option<CheckDto> {
    let path = home.join(client::API_FILE);
    let about = std::fs::metadata(&path).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = about.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let detail = format!("{} holds a token and is open to others (mode {mode:o})", path.display());
            return Some(fail("token", detail, format!("close it: chmod 600 {}", path.display())));
        }
    }
    let _ = about;
    Some(pass("token", "the API's token is readable by you alone".to_owned()))
}
